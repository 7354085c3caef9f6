// SPDX-License-Identifier: MIT
//! Input at no more than its console's rate. The daemon's clock is real here, so
//! the tests assert only that nothing came too early; the exact rate is tested in
//! `console/input_rate.rs`.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::peer::{Attached, connect};
use crate::support::*;
use terminal::noise;
use vconsoled::Config;
use vconsoled::config::{InputRate, Rule, Sockets};
use xen_io::fake::Machine;

/// Bytes per second.
const RATE: u32 = 2000;
/// Most bytes at once at that rate.
const BURST: u32 = 9;

fn rate() -> InputRate {
    InputRate::Bytes(RATE.try_into().unwrap())
}

/// The shortest time for this many bytes.
fn time(bytes: u32) -> Duration {
    Duration::from_secs(1) * (bytes - BURST) / RATE
}

fn limited(domain: &str, console: &str) -> Rule {
    let rule = format!(
        "[[console]]\ndomain = \"{domain}\"\nconsole = \"{console}\"\ninput-rate = {RATE}\n"
    );
    Config::parse(&rule).unwrap().rules.remove(0)
}

#[test]
fn input_of_every_source_shares_the_rate_of_its_console() {
    let dir = tempfile::tempdir().unwrap();
    let (control, consoles) = (
        dir.path().join("run/control"),
        dir.path().join("run/consoles"),
    );
    let config = Config {
        input_rate: rate(),
        sockets: Sockets {
            control: Some(control.clone()),
            consoles: Some(consoles.clone()),
            ..Sockets::default()
        },
        ..Config::default()
    };
    let machine = Machine::new();
    let (domid, mut pv, mut uart) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, config);
    for (console, name) in [(PV, "pv0"), (VUART, "vuart0")] {
        let guest: &mut dyn Serial = if console == PV { &mut pv } else { &mut uart };
        let mut pty = Viewer::open(&machine, domid, console);
        let mut attached = Attached::new(
            &control,
            &format!("\"domid\":{domid},\"console\":\"{name}\""),
        );
        let mut plain = connect(&consoles.join(format!("{domid}/{name}.sock")));
        let begin = Instant::now();
        pty.write(&[b'1'; 200]);
        attached.type_in(&[b'2'; 200]);
        plain.write_all(&[b'3'; 200]).unwrap();
        let mut typed = guest.receive(600);
        let took = begin.elapsed();
        assert!(took >= time(600), "{name}: 600 bytes in {took:?}");
        typed.sort_unstable();
        assert!(typed == [[b'1'; 200], [b'2'; 200], [b'3'; 200]].concat());
    }
}

#[test]
fn other_consoles_and_output_do_not_wait_for_a_rate() {
    let machine = Machine::new();
    let (domid, mut pv, mut uart) = guest(&machine, "guest");
    let config = Config {
        rules: vec![Rule {
            input_rate: Some(InputRate::Bytes(1.try_into().unwrap())),
            ..limited("guest", "vuart0")
        }],
        ..Config::default()
    };
    let _daemon = Daemon::start(&machine, config);
    let mut limited = Viewer::open(&machine, domid, VUART);
    let mut other = Viewer::open(&machine, domid, PV);
    // It takes longer than the test waits.
    limited.write(&[b'x'; 1000]);
    let typed = noise(3000);
    other.write(&typed);
    assert!(pv.receive(3000) == typed);
    let sent = noise(50_000);
    uart.send(&sent);
    assert!(limited.read(50_000) == sent);
}

#[test]
fn a_rate_follows_a_reload() {
    let machine = Machine::new();
    let (domid, mut pv, _uart) = guest(&machine, "guest");
    let mut config = Config::default();
    let daemon = Daemon::start(&machine, config.clone());
    let mut viewer = Viewer::open(&machine, domid, PV);
    config.rules = vec![limited("guest", "pv0")];
    daemon.handle.reload(Ok(config.clone()));
    until_looked_at(&machine);
    let typed = noise(1000);
    let begin = Instant::now();
    viewer.write(&typed);
    assert!(pv.receive(1000) == typed);
    let took = begin.elapsed();
    assert!(took >= time(1000), "1000 bytes in {took:?}");
    // Waiting input continues at a new rate.
    config.input_rate = InputRate::Bytes(1.try_into().unwrap());
    config.rules.clear();
    daemon.handle.reload(Ok(config.clone()));
    until_looked_at(&machine);
    viewer.write(&typed);
    config.input_rate = InputRate::Unlimited;
    daemon.handle.reload(Ok(config));
    assert!(pv.receive(1000) == typed);
}

#[test]
fn a_uart_has_the_rate_that_its_guest_set() {
    let machine = Machine::new();
    let (domid, mut pv, mut uart) = guest(&machine, "guest");
    let config = Config {
        input_rate: InputRate::Auto,
        ..Config::default()
    };
    let _daemon = Daemon::start(&machine, config);
    let mut viewer = Viewer::open(&machine, domid, VUART);
    let typed = noise(1000);
    // UARTIBRD, UARTFBRD and UARTLCR_H: 19,200 baud at 24 MHz, with 7 bits, a
    // parity bit and a stop bit.
    for (register, value) in [(0x024, 78), (0x028, 8), (0x02C, 0x52)] {
        uart.store(register, value);
    }
    let begin = Instant::now();
    viewer.write(&typed);
    assert!(uart.receive(1000) == typed);
    let took = begin.elapsed();
    // 1920 bytes per second, and 8 at once.
    let least = Duration::from_secs(1) * (1000 - 8) / 1920;
    assert!(took >= least, "1000 bytes in {took:?}");
    // A PV console has no line to set.
    Viewer::open(&machine, domid, PV).write(&typed);
    assert!(pv.receive(1000) == typed);
}

#[test]
fn the_status_has_the_rate_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let (general, control) = with_control(&dir);
    let machine = Machine::new();
    let (domid, _pv, mut uart) = guest(&machine, "guest");
    let config = Config {
        input_rate: InputRate::Auto,
        rules: vec![limited("guest", "pv0")],
        ..general.clone()
    };
    let daemon = Daemon::start(&machine, config);
    // A guest that is being destroyed may still be listed.
    let rates = || {
        let consoles = status(&control).consoles.into_iter();
        let ours = consoles.filter(|one| one.domid == domid.0);
        ours.map(|one| one.input_rate).collect::<Vec<_>>()
    };
    assert_eq!(rates(), [RATE, 0], "no line is set");
    for (baud, divisor, bytes) in [("19,200", 78, 1923), ("115,200", 13, 11_538)] {
        for (register, value) in [(0x024, divisor), (0x028, 0), (0x02C, 0x70)] {
            uart.store(register, value);
        }
        assert_eq!(rates(), [RATE, bytes], "{baud} baud");
    }
    daemon.handle.reload(Ok(general));
    until_looked_at(&machine);
    assert_eq!(rates(), [0, 0]);
}
