// SPDX-License-Identifier: MIT
//! `vpl011-qtest` as a program: its protocol and its serial peer.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::Qtest;

const BASE: u64 = 0x0900_0000;
const DR: u64 = BASE;
const FR: u64 = BASE + 0x18;
const LCR_H: u64 = BASE + 0x2C;
const IMSC: u64 = BASE + 0x38;
const RIS: u64 = BASE + 0x3C;
const ICR: u64 = BASE + 0x44;
const PERIPH_ID2: u64 = BASE + 0xFE8;
const RXFE: u32 = 1 << 4;
const TXFF: u32 = 1 << 5;
const FEN: u32 = 1 << 4;
const TX: u32 = 1 << 5;
/// RX and RT (bits 4 and 6).
const RX_RT: u32 = 0x50;

fn qtest(arguments: &[&str]) -> Qtest {
    Qtest::start(Command::new(env!("CARGO_BIN_EXE_vpl011-qtest")).args(arguments))
}

fn peer(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("the program listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

/// A program with a peer's socket in its own folder.
fn with_chardev() -> (Qtest, tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("serial");
    let mut program = qtest(&["--chardev", path.to_str().unwrap()]);
    // Answered only once the socket exists.
    assert_eq!(program.command("clock_step"), "OK 0");
    (program, dir, path)
}

#[test]
fn registers_answer_at_every_width() {
    let mut program = qtest(&[]);
    for width in ['b', 'w', 'l'] {
        assert_eq!(program.read(width, PERIPH_ID2), 0x34);
    }
    program.write('l', IMSC, 0x7FF);
    program.write('b', IMSC, 0);
    assert_eq!(program.read('w', IMSC), 0x700);
    assert!(program.end());
}

#[test]
fn the_base_is_the_callers() {
    let mut program = qtest(&["--base", "0x22000000"]);
    assert_eq!(program.read('l', 0x2200_0FE8), 0x34);
    assert!(
        program
            .command("readl 0x9000000")
            .starts_with("FAIL no device")
    );
}

/// Whether there is room for a character: perhaps not at the first read, as after a
/// burst.
fn has_room(program: &mut Qtest) -> bool {
    (0..2).any(|_| program.read('l', FR) & TXFF == 0)
}

/// The SBSA's registers only, and FIFOs enabled from reset.
#[test]
fn the_profile_is_the_callers() {
    for (profile, id, places) in [("pl011", 0x34, 1), ("sbsa", 0, 32)] {
        let mut program = qtest(&["--profile", profile]);
        assert_eq!(program.read('l', PERIPH_ID2), id, "{profile}");
        let mut sent = 0;
        while has_room(&mut program) {
            program.write('l', DR, 0x41);
            sent += 1;
        }
        assert_eq!(sent, 2048 + places, "{profile}");
    }
    let refused = Command::new(env!("CARGO_BIN_EXE_vpl011-qtest"))
        .args(["--profile", "16550"])
        .output()
        .unwrap();
    assert!(!refused.status.success());
}

#[test]
fn bad_lines_fail_and_the_next_one_works() {
    let mut program = qtest(&[]);
    for line in [
        "",
        "frobnicate",
        "readl",
        "readl zero",
        "writel 0x9000000",
        "readl 0x9000000 1",
        "readl 0x1ffffffffffffffff",
        "readl 0x8fffffc",
        "writel 0x9001000 1",
        "clock_step soon",
        "clock_step 1 2",
        "irq_intercept_in",
        "READL 0x9000000",
    ] {
        assert!(program.command(line).starts_with("FAIL "), "{line:?}");
    }
    assert!(program.command(&"x".repeat(100_000)).starts_with("FAIL "));
    assert_eq!(program.read('l', PERIPH_ID2), 0x34);
}

#[test]
fn output_waits_for_a_peer_and_is_all_there() {
    let (mut program, _dir, path) = with_chardev();
    program.write('l', LCR_H, FEN);
    let mut sent = Vec::new();
    while has_room(&mut program) {
        let byte = u8::try_from(sent.len() % 251).unwrap();
        program.write('l', DR, byte.into());
        sent.push(byte);
    }
    // `out` of the console ring and a FIFO of 32.
    assert_eq!(sent.len(), 2048 + 32);
    let mut stream = peer(&path);
    let mut got = vec![0; sent.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, sent);
    assert_eq!(program.read('l', FR) & TXFF, 0);
}

#[test]
fn input_interrupts_in_order_and_a_second_peer_is_served() {
    let (mut program, _dir, path) = with_chardev();
    assert_eq!(program.command("irq_intercept_in /machine/uart"), "OK");
    program.write('l', IMSC, RX_RT);
    for text in [b"first", b"again"] {
        let mut stream = peer(&path);
        stream.write_all(text).unwrap();
        let mut got = Vec::new();
        while got.len() < text.len() {
            if program.read('l', FR) & RXFE == 0 {
                got.push(u8::try_from(program.read('l', DR)).unwrap());
            }
        }
        assert_eq!(got, text);
    }
    assert_eq!(program.irqs.first(), Some(&true));
    assert_eq!(program.irqs.last(), Some(&false));
    assert!(
        program.irqs.windows(2).all(|pair| pair[0] != pair[1]),
        "{:?}",
        program.irqs
    );
}

#[test]
fn a_peer_that_writes_too_much_is_held_back_and_loses_nothing() {
    let (mut program, _dir, path) = with_chardev();
    let mut stream = peer(&path);
    let text: Vec<u8> = (0..65_536_u32)
        .map(|at| u8::try_from(at % 253).unwrap())
        .collect();
    let writer = std::thread::spawn({
        let text = text.clone();
        move || stream.write_all(&text).map(|()| stream)
    });
    let mut got = Vec::new();
    while got.len() < text.len() {
        if program.read('l', FR) & RXFE == 0 {
            got.push(u8::try_from(program.read('l', DR)).unwrap());
        }
    }
    assert!(got == text, "bytes lost or out of order");
    writer.join().unwrap().unwrap();
}

#[test]
fn the_socket_goes_with_the_program_and_is_never_taken_over() {
    let (program, _dir, path) = with_chardev();
    let second = Command::new(env!("CARGO_BIN_EXE_vpl011-qtest"))
        .args(["--chardev", path.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("cannot listen on"));
    assert!(path.exists());
    assert!(program.end());
    assert!(!path.exists());
}

/// In QEMU's wording.
#[test]
fn answers_have_their_form() {
    let mut program = qtest(&[]);
    assert_eq!(program.command("readl 0x9000fe8"), "OK 0x0000000000000034");
    assert_eq!(program.command("writel 0x9000038 0x7ff"), "OK");
    assert_eq!(program.command("writeb 0x9000038 0xfffffffffffffe00"), "OK");
    assert_eq!(program.command("readw 0x9000038"), "OK 0x0000000000000700");
    assert_eq!(program.command("clock_step"), "OK 0");
    assert_eq!(program.command("clock_step 1000"), "OK 1000");
    assert_eq!(program.command("clock_step 0x10"), "OK 1016");
    assert_eq!(program.command("irq_intercept_in /any"), "OK");
}

#[test]
fn a_change_of_the_line_stands_before_the_answer() {
    let mut program = qtest(&[]);
    program.write('l', IMSC, TX);
    program.write('l', DR, 0x41);
    assert!(program.irqs.is_empty(), "they were not requested yet");
    // RIS was read, so the clear is final.
    assert_eq!(program.read('l', RIS), TX);
    program.write('l', ICR, TX);
    assert_eq!(program.command("irq_intercept_in /any"), "OK");
    program.write('l', DR, 0x41);
    assert_eq!(program.irqs, [true]);
    assert_eq!(program.read('l', RIS), TX);
    assert_eq!(program.irqs, [true], "no change, no line");
    program.write('l', ICR, TX);
    assert_eq!(program.irqs, [true, false]);
}

#[test]
fn the_peer_is_served_while_no_command_is_pending() {
    let (mut program, _dir, path) = with_chardev();
    assert_eq!(program.command("irq_intercept_in /any"), "OK");
    program.write('l', IMSC, RX_RT);
    program.write('l', DR, 0x42);
    let mut stream = peer(&path);
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    assert_eq!(byte, [0x42]);
    stream.write_all(b"x").unwrap();
    assert_eq!(program.line(), "IRQ raise 0");
    assert_eq!(program.read('l', DR), u32::from(b'x'));
}

/// Input that a peer wrote before a command is served before its answer, for the first
/// peer and any other.
#[test]
fn a_new_peer_is_accepted_before_the_next_answer() {
    let (mut program, _dir, path) = with_chardev();
    for byte in 0..50_u8 {
        let mut stream = peer(&path);
        stream.write_all(&[byte]).unwrap();
        assert_eq!(program.read('l', FR) & RXFE, 0, "peer {byte}");
        assert_eq!(program.read('l', DR), u32::from(byte));
        program.write('l', DR, byte.into());
        let mut got = [0];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(got, [byte]);
        // A program that another test starts holds a copy of every socket for a moment,
        // so dropping this one does not end the connection.
        stream.shutdown(Shutdown::Both).unwrap();
    }
}

#[test]
fn a_peer_that_does_not_read_holds_the_guest_back() {
    let (mut program, _dir, path) = with_chardev();
    let mut stream = peer(&path);
    let mut sent = Vec::new();
    while program.read('b', FR) & TXFF == 0 {
        let byte = u8::try_from(sent.len() % 251).unwrap();
        program.write('b', DR, byte.into());
        sent.push(byte);
        assert!(sent.len() < 4 << 20, "no end of room");
    }
    assert!(sent.len() > 2048);
    let mut got = vec![0; sent.len()];
    stream.read_exact(&mut got).unwrap();
    assert!(got == sent, "bytes lost or out of order");
    assert_eq!(program.read('b', FR) & TXFF, 0);
}

/// More than the ring holds, from a peer that disconnects, with output that was not
/// taken; then another peer.
#[test]
fn a_peer_that_leaves_loses_nothing() {
    let (mut program, _dir, path) = with_chardev();
    let text: Vec<u8> = (0..5000_u32)
        .map(|at| u8::try_from(at % 253).unwrap())
        .collect();
    let mut stream = peer(&path);
    stream.write_all(&text[..4000]).unwrap();
    stream.shutdown(Shutdown::Both).unwrap();
    program.write('l', DR, 0x41);
    let mut stream = peer(&path);
    stream.write_all(&text[4000..]).unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    assert_eq!(byte, [0x41], "the next peer gets the output");
    let got: Vec<u8> = text
        .iter()
        .map(|_| {
            assert_eq!(program.read('l', FR) & RXFE, 0);
            u8::try_from(program.read('l', DR)).unwrap()
        })
        .collect();
    assert!(got == text, "bytes lost or out of order");
}

#[test]
fn the_end_of_input_ends_it_whatever_waits() {
    let (mut program, _dir, path) = with_chardev();
    let mut stream = peer(&path);
    stream.write_all(&[0; 4000]).unwrap();
    program.write('l', DR, 0x41);
    assert!(program.end());
    let mut rest = Vec::new();
    // The unread input may end the connection by a reset.
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, [0x41]);
}
