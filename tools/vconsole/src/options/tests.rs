// SPDX-License-Identifier: MIT
use clap::Parser as _;

use super::{Options, Xenconsole};

#[test]
fn usual_command_lines_are_parsed() {
    for line in [
        "vconsole list",
        "vconsole list --json --watch --control /s",
        "vconsole attach",
        "vconsole attach web/vuart0 -r --scrollback none --menu-key ^A --filter",
        "vconsole attach web --menu-key none --escape ^X",
        "vconsole log -f web",
        "vconsole log web --since 10m --until 2026-11-29T17:03 --grep error --boot -1",
        "vconsole break 3",
        "vconsole attach web --exclusive",
        "vconsole attach web --wait",
        "vconsole send web reboot --enter",
        "vconsole send web",
        "vconsole expect web login: --timeout 60 --scrollback all",
        "vconsole expect web login: --send root",
        "vconsole attach web --force",
        "vconsole who --json",
        "vconsole message web the host is rebooted at ten",
        "vconsole message --all soon",
        "vconsole login",
        "vconsole login web/vuart0",
    ] {
        let parsed = Options::try_parse_from(line.split(' '));
        assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
    }
    for line in [
        "vconsole",
        "vconsole break",
        "vconsole attach --menu-key ab",
        "vconsole attach web --exclusive --read-only",
        "vconsole attach --wait",
        "vconsole log web --since yesterday",
        "vconsole log web --follow --boot 0",
        "vconsole send",
        "vconsole expect web",
        "vconsole expect web (",
        "vconsole message",
        "vconsole message web",
        "vconsole message --all",
    ] {
        assert!(Options::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}

/// Every call of this program that a page quotes. Brackets of a usage text are
/// removed.
#[test]
fn command_lines_of_the_pages_are_parsed() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut left = vec![docs];
    let mut seen = 0;
    while let Some(page) = left.pop() {
        if page.is_dir() {
            left.extend(page.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        }
        if page.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&page).unwrap();
        let code = text.lines().flat_map(|line| {
            let in_block = !line.contains('`');
            let block = Some(line.trim_start()).filter(|_| in_block);
            block.into_iter().chain(line.split('`').skip(1).step_by(2))
        });
        for code in code {
            let call = code.trim_start_matches("# ").split(" #").next();
            let words = call.unwrap_or_default().split_whitespace();
            let words: Vec<_> = words.map(|word| word.replace(['[', ']'], "")).collect();
            if words.len() > 1 && words[0] == "vconsole" {
                let parsed = Options::try_parse_from(&words);
                assert!(parsed.is_ok(), "{}: {code}", page.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "only {seen}: the pages may have another form");
}

#[test]
fn command_lines_of_libxl_are_parsed() {
    for line in [
        "xenconsole 3 --num 0 --type pv",
        "xenconsole 3 --num 1 --type pv --start-notify-fd 9",
        "xenconsole 3 --num 0 --type vuart --start-notify-fd 9 --escape ^X",
        "xenconsole 3 --num 0 --type serial --interactive",
        "xenconsole 3 -n 2",
        "xenconsole 3",
    ] {
        let parsed = Xenconsole::try_parse_from(line.split(' '));
        assert_eq!(parsed.map(|options| options.domid).unwrap(), 3, "{line}");
    }
    for line in [
        "xenconsole",
        "xenconsole x",
        "xenconsole -1",
        "xenconsole 3 --type tty",
    ] {
        assert!(
            Xenconsole::try_parse_from(line.split(' ')).is_err(),
            "{line}"
        );
    }
}
