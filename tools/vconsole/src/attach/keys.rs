// SPDX-License-Identifier: MIT
//! The meaning of the user's keys: input for the guest, the key that leaves, and
//! keys after the menu key.

/// The keys of the menu, and what the help prints for them.
const COMMANDS: [(&str, &str); 5] = [
    ("b", "send a break"),
    ("r", "read only, and back"),
    (SUSPEND, "suspend, as ^Z elsewhere"),
    (". or q", "leave"),
    ("? or h", "this help"),
];

const SUSPEND: &str = "z";

/// The meaning of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Input for the guest.
    Type(Vec<u8>),
    /// Leave.
    Leave,
    /// Show the help.
    Help,
    /// Send a break.
    Break,
    /// Switch between read only and read and write.
    ReadOnly,
    /// Suspend the client and return to the shell.
    Suspend,
    /// A key that the menu does not have.
    Unknown(u8),
}

/// Parses the user's keys.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    leave: Option<u8>,
    menu: Option<u8>,
    /// There is a shell to return to.
    suspends: bool,
    /// The last byte was the menu key.
    asked: bool,
}

impl Keys {
    /// Without either key every byte is for the guest.
    pub(crate) fn new(leave: Option<u8>, menu: Option<u8>, suspends: bool) -> Self {
        Self {
            leave,
            menu,
            suspends,
            asked: false,
        }
    }

    /// Whether any key has a meaning.
    pub(crate) fn any(&self) -> bool {
        self.leave.or(self.menu).is_some()
    }

    /// The meaning of these bytes, up to the key that leaves.
    pub(crate) fn press(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        for &byte in bytes {
            let key = if std::mem::take(&mut self.asked) {
                self.choose(byte)
            } else if Some(byte) == self.leave {
                Key::Leave
            } else if Some(byte) == self.menu {
                self.asked = true;
                continue;
            } else {
                Key::Type(vec![byte])
            };
            match (keys.last_mut(), key) {
                (Some(Key::Type(typed)), Key::Type(more)) => typed.extend(more),
                (_, Key::Leave) => {
                    keys.push(Key::Leave);
                    break;
                }
                (_, key) => keys.push(key),
            }
        }
        keys
    }

    fn choose(&self, byte: u8) -> Key {
        match byte {
            // After the menu key, either key is input for the guest.
            _ if Some(byte) == self.menu || Some(byte) == self.leave => Key::Type(vec![byte]),
            b'.' | b'q' | b'Q' => Key::Leave,
            b'?' | b'h' | b'H' => Key::Help,
            b'b' | b'B' => Key::Break,
            b'r' | b'R' => Key::ReadOnly,
            b'z' | b'Z' if self.suspends => Key::Suspend,
            _ => Key::Unknown(byte),
        }
    }

    /// A hint for the user: the key that leaves and the key for help.
    pub(crate) fn hint(&self) -> Option<String> {
        let leave = self.leave.map(|key| format!("{} leaves", name(key)));
        let menu = self.menu.map(|key| format!("{} ? helps", name(key)));
        let hints: Vec<String> = leave.into_iter().chain(menu).collect();
        (!hints.is_empty()).then(|| hints.join(", "))
    }

    /// The help, one line for each key.
    pub(crate) fn help(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(leave) = self.leave {
            lines.push(format!("{}  leave", name(leave)));
        }
        if let Some(menu) = self.menu {
            let menu = name(menu);
            for (key, what) in COMMANDS {
                if key == SUSPEND && !self.suspends {
                    continue;
                }
                lines.push(format!("{menu} {key}  {what}"));
            }
            lines.push(format!("{menu} {menu}  send {menu} itself"));
        }
        lines
    }
}

/// The display name of a key.
pub(crate) fn name(byte: u8) -> String {
    match byte {
        0..=0x1f => format!("^{}", char::from(byte | 0x40)),
        0x20..=0x7e => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> Key {
        Key::Type(bytes.to_vec())
    }

    #[test]
    fn one_key_leaves_and_nothing_after_it_counts() {
        let mut keys = Keys::new(Some(0x1d), None, true);
        assert_eq!(keys.press(b"ab"), [typed(b"ab")]);
        assert_eq!(keys.press(b"c\x1dd\x1d"), [typed(b"c"), Key::Leave]);
    }

    #[test]
    fn without_keys_every_byte_is_passed_on() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(Keys::default().press(&all), [typed(&all)]);
    }

    #[test]
    fn the_menu_key_gives_the_next_one_its_meaning() {
        let mut keys = Keys::new(Some(0x1d), Some(0x14), true);
        assert_eq!(
            keys.press(b"x\x14by\x14r\x14?\x14z\x14x"),
            [
                typed(b"x"),
                Key::Break,
                typed(b"y"),
                Key::ReadOnly,
                Key::Help,
                Key::Suspend,
                Key::Unknown(b'x')
            ]
        );
        // However the bytes are cut.
        assert_eq!(keys.press(b"\x14"), []);
        assert_eq!(keys.press(b"b"), [Key::Break]);
        assert_eq!(keys.press(b"b"), [typed(b"b")]);
        assert_eq!(keys.press(b"\x14."), [Key::Leave]);
    }

    #[test]
    fn either_key_can_be_sent_itself() {
        let mut keys = Keys::new(Some(0x1d), Some(0x14), true);
        assert_eq!(keys.press(b"a\x14\x14b\x14\x1dc"), [typed(b"a\x14b\x1dc")]);
    }

    #[test]
    fn help_names_the_keys_as_they_are_set() {
        let help = Keys::new(Some(0x1d), Some(1), true).help().join("\n");
        assert!(help.contains("^]  leave") && help.contains("^A b  send a break"));
        assert!(help.contains("^A ^A  send ^A itself"), "{help}");
        assert_eq!((name(b'~'), name(0xff)), ("~".into(), "\\xff".into()));
    }

    #[test]
    fn without_a_shell_the_client_is_not_suspended() {
        let mut keys = Keys::new(Some(0x1d), Some(0x14), false);
        assert_eq!(keys.press(b"\x14z"), [Key::Unknown(b'z')]);
        assert!(!keys.help().join("\n").contains("suspend"));
    }
}
