// SPDX-License-Identifier: MIT
//! Seeds for targets that random input does not get far with, by the target's name.
//! They are generated, not stored as files.

use vpl011::ring::fake::AtomicPage;
use vpl011::ring::memory::RingMemory;
use vpl011::ring::peer::RingPeer;
use vpl011::ring::port::RingPort;
use vpl011::trap::Width;
use vpl011::{Access, Profile, Uart};

/// The targets, each with its seeds.
#[must_use]
pub fn all() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    vec![
        ("mmio", noise(2000)),
        ("ring_peer", noise(2000)),
        ("snapshot", snapshots()),
        ("trap", noise(500)),
        (
            "xenstore",
            [noise(2000), vec![nonsense_first(), many_answers()]].concat(),
        ),
        ("session", noise(400)),
        ("rules", configurations()),
        ("browser", noise(400)),
        ("hvm_param", parameters()),
    ]
}

/// Bytes in which no sequence repeats.
#[must_use]
pub fn noise(length: usize) -> Vec<Vec<u8>> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..4)
        .map(|_| std::iter::repeat_with(&mut next).take(length).collect())
        .collect()
}

/// The installed configuration with each of its keys enabled, and configurations that
/// are refused.
fn configurations() -> Vec<Vec<u8>> {
    const EXAMPLE: &str = include_str!("../../tools/vconsoled/packaging/vconsoled.toml");
    let is_key = |rest: &str| rest.starts_with(|one: char| one.is_ascii_lowercase() || one == '[');
    let lines = EXAMPLE.lines().filter_map(|line| line.strip_prefix('#'));
    let keys: Vec<&str> = lines.filter(|rest| is_key(rest)).collect();
    let from = |table: &str| keys.iter().position(|line| *line == table).unwrap_or(0);
    let access = keys[from("[[access]]")..].join("\n");
    let watch = keys[from("[[watch]]")..from("[[access]]")].join("\n");
    let lines = "\0Kernel panic - not syncing\nI/O error, dev sda\n\u{fc}";
    let uuid = "[[access]]\ngroups=['1']\ndomains=['0123ABCD-0000-1111-2222-33334444FFFF','*']\n\
                rights=['control']\n";
    let seeds = [
        keys.join("\n"),
        access,
        format!("{watch}{lines}"),
        uuid.to_owned(),
        format!("[[watch]]\nname='a'\nmatch='(a|b){{3,}}?$'{lines}"),
        "[[watch]]\nname='a'\nmatch='('".to_owned(),
    ];
    // Refused: rules without a required key, and one table too many. The last rule has
    // a right that requires another one.
    let lacking = [
        "domains=['*']\nrights=['list']",
        "tenants=['a']\ndomains=['*']\nrights=['list']",
        "users=['a']\nrights=['list']",
        "users=['a']\ndomains=['*']\nconsoles=[]\nrights=['list']",
        "users=['a']\ndomains=['*']",
        "users=['a']\ndomains=['*']\nrights=['type']",
    ];
    let lacking = lacking.map(|keys| format!("[[access]]\n{keys}\n"));
    let tables = (0..65).map(|at| format!("[[watch]]\nname='{at}'\nset='oops'\n"));
    let seeds = seeds.into_iter().chain(lacking).chain([tables.collect()]);
    seeds.map(String::into_bytes).collect()
}

/// States of a device, each with the indices of its ring.
fn snapshots() -> Vec<Vec<u8>> {
    /// Writes of registers that set up the state.
    type Setup = &'static [(u16, u32)];
    const SETUPS: [Setup; 4] = [
        &[],
        &[(0x02c, 0x70), (0x030, 0x301), (0x038, 0x7ff)],
        &[
            (0x02c, 0x10),
            (0x034, 0x3f),
            (0x038, 0x050),
            (0x030, 0xff81),
        ],
        &[(0x024, 0x1234), (0x028, 0x3f), (0x048, 7), (0x020, 0xff)],
    ];
    let mut seeds = Vec::new();
    for profile in [Profile::Pl011, Profile::Sbsa] {
        for setup in SETUPS {
            for busy in [false, true] {
                let page = AtomicPage::new();
                let mut uart = Uart::with_profile(profile, RingPort::new(&page));
                for &(offset, value) in setup {
                    let _ = uart.write(Access::new(offset, Width::Word), value);
                }
                if busy {
                    let mut peer = RingPeer::new(&page);
                    for byte in 0..2060_u32 {
                        let _ = uart.write(Access::new(0, Width::Word), byte);
                    }
                    let _ = peer.put_in(&[b'i'; 200]);
                    let _ = uart.backend_event();
                    let _ = uart.receive_break();
                }
                let indices = (3072..3088).map(|at| page.load_u8(at));
                seeds.push(uart.save().0.into_iter().chain(indices).collect());
            }
        }
    }
    seeds
}

/// The value from which `arbitrary` makes the fourth of five variants, and the second.
const LENGTH: u32 = 0xc000_0000;
const ERROR: u32 = 0x4000_0000;

/// A client's messages, the first with an impossible length: the server closes the
/// connection with the rest unread, which resets it. The target once took that for
/// endless answers.
fn nonsense_first() -> Vec<u8> {
    let mut input = vec![1];
    input.extend([LENGTH, u32::MAX].map(u32::to_le_bytes).as_flattened());
    input.push(0);
    input.extend(errors(300));
    input
}

/// A server's answers, too many for a socket if written one by one. The target once did
/// that and waited for itself.
fn many_answers() -> Vec<u8> {
    [vec![0], errors(390)].concat()
}

fn errors(many: usize) -> Vec<u8> {
    let one = [ERROR.to_le_bytes().as_slice(), &[0]].concat();
    one.repeat(many)
}

/// The order that a toolstack keeps, and wrong orders (hyp-shim/tests/glue/monkey.c
/// defines the pairs of bytes).
fn parameters() -> Vec<Vec<u8>> {
    let page = [0, 0];
    let port = [1, 1];
    let finished = [10, 0];
    let breaks = [2, 2];
    vec![
        [page, port, finished, breaks].concat(),
        [port, page, page, port].concat(),
        [finished, page, port, breaks].concat(),
    ]
}
