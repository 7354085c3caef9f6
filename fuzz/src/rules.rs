// SPDX-License-Identifier: MIT
//! Any text as the daemon's configuration: it is refused, or its rules are
//! complete, match like a simple implementation of their patterns, and can be
//! written and read again.

use vconsoled::Config;
use vconsoled::config::{AccessRule, Domains, Right};

const NAMES: [&str; 5] = ["web-1", "db", "w", "", "\u{fc}ber *?"];
const UUID: &str = "0123abcd-0000-1111-2222-33334444ffff";

/// A configuration up to a zero byte, then lines to match against its rules.
///
/// # Panics
///
/// When a property fails.
pub fn run(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let text = parts.next().unwrap_or_default();
    let lines = parts.next().unwrap_or_default();
    let Ok(config) = Config::parse(&String::from_utf8_lossy(text)) else {
        return;
    };
    config.access.iter().for_each(check);
    for name in NAMES {
        let rules = config.watch.of(name, UUID, "vuart0");
        assert!(rules.len() <= 64);
        for rule in rules {
            for line in lines.split(|byte| *byte == b'\n') {
                let _found = rule.regex().is_match(line);
            }
        }
        let _one = (config.console(name, "pv0"), config.banner(name, "pv0"));
    }
    let written = toml::Table::try_from(&config).expect("it can be written");
    let again = Config::parse(&written.to_string()).expect("and read again");
    let unknown = Vec::new();
    assert_eq!(again, Config { unknown, ..config });
}

/// A rule grants rights, on domains and consoles, to a user, a group or a tenant.
fn check(rule: &AccessRule) {
    let somebody = [rule.users.len(), rule.groups.len(), rule.tenants.len()];
    assert!(somebody.iter().sum::<usize>() > 0, "{rule}");
    assert_eq!(rule.tenants.is_empty(), rule.by.is_empty(), "{rule}");
    assert!(
        !rule.domains.is_empty() && !rule.consoles.is_empty(),
        "{rule}"
    );
    assert!(rule.rights.has(Right::List), "{rule}");
    assert!(
        rule.rights.has(Right::Watch) || !rule.rights.has(Right::Type),
        "{rule}"
    );
    for domains in &rule.domains {
        for name in NAMES {
            let expected = match domains {
                Domains::Named(pattern) => {
                    let text = pattern.to_string();
                    assert!(!text.eq_ignore_ascii_case(UUID), "{text} is a name");
                    fits(&letters(&text), &letters(name))
                }
                Domains::Uuid(uuid) => uuid == UUID,
            };
            assert_eq!(domains.has(name, UUID), expected, "{domains} and {name:?}");
        }
    }
}

fn letters(text: &str) -> Vec<char> {
    text.chars().collect()
}

/// Whether a pattern of `*` and `?` fits a name, computed from the prefixes of it that
/// fit.
fn fits(pattern: &[char], name: &[char]) -> bool {
    let mut fitting = vec![false; name.len() + 1];
    fitting[0] = true;
    for one in pattern {
        let before = fitting.clone();
        fitting[0] = *one == '*' && before[0];
        for at in 1..=name.len() {
            fitting[at] = match one {
                '*' => before[at] || fitting[at - 1],
                '?' => before[at - 1],
                one => before[at - 1] && *one == name[at - 1],
            };
        }
    }
    fitting[name.len()]
}
