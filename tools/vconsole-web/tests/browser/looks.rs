// SPDX-License-Identifier: MIT
//! The look of pages, and that users with low vision or without a mouse can use
//! them.

use std::path::Path;

use serde_json::json;

use crate::chromium::Chromium;
use crate::client::{Web, host};
use crate::replay::{END, HEADER, POSITION, READY, file, load, open_player};
use crate::{ATTACHED, open};

/// The folder for screenshots of the pages, for docs/use/web.md; none are written
/// without it.
const PICTURES: &str = "VCONSOLE_WEB_PICTURES";
const SCHEMES: [&str; 2] = ["light", "dark"];

/// Controls without an accessible name; a page without a language, a heading or a
/// main part of its own.
const NAMELESS: &str = "[...document.querySelectorAll('a, button, input:not([type=hidden]), select, section')]\
    .filter((one) => !one.closest('.terminal') && (one.matches('select') || !one.textContent.trim()) && !one.ariaLabel \
    && !(one.labels && one.labels.length)).map((one) => one.outerHTML).join() + \
    ['html[lang=en]', 'h1', 'main'].filter((one) => \
    document.querySelectorAll(one).length !== 1).join()";

/// Text with too little contrast, by WCAG 2.1, 1.4.3.
const PALE: &str = "(() => { \
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number); \
    const light = (colour) => parts(colour).slice(0, 3).map((part) => part / 255) \
      .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4) \
      .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0.05); \
    const back = (one) => { for (; one; one = one.parentElement) { \
      const colour = getComputedStyle(one).backgroundColor; \
      if (parts(colour)[3] !== 0) return colour; } return 'rgb(255, 255, 255)'; }; \
    const ratio = (one) => { \
      const both = [light(getComputedStyle(one).color), light(back(one))]; \
      return Math.max(...both) / Math.min(...both); }; \
    return [...document.querySelectorAll('body *')] \
      .filter((one) => !one.closest('.terminal') && one.checkVisibility() \
        && [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) \
      .filter((one) => ratio(one) < 4.5) \
      .map((one) => one.outerHTML + ' ' + ratio(one)).join(); })()";

/// The controls that the keyboard must reach, in order, and the one with the focus.
const FOCUS: &str = "(() => { \
    const all = [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea')] \
      .filter((one) => one.checkVisibility()); \
    const which = (one) => one.closest('.terminal') ? 'terminal' \
      : one.ariaLabel || (one.matches('select') ? '' : one.textContent.trim()) || one.className; \
    return { all: all.map(which).join(), now: which(document.activeElement) }; })()";

/// Tab and F6, by their numbers.
const TAB: u32 = 9;
const F6: u32 = 117;

/// Each page of a visitor, by its address.
fn each(web: &Web, page: &mut Chromium, mut look: impl FnMut(&mut Chromium, &str)) {
    for path in [
        "/",
        "/view?c=vuart0/web-1&c=pv0/web-2",
        "/text?c=vuart0/web-1",
        "/break?c=1/vuart0",
        "/replay",
        "/nonesuch",
        "/login",
    ] {
        page.open(&format!("{}{path}", web.origin()));
        page.until("document.readyState", "complete");
        if path.starts_with("/view") {
            page.until(ATTACHED, "there");
        }
        if path == "/replay" {
            // Including the controls that are hidden until a recording is loaded.
            page.evaluate("document.querySelector('.tools').hidden = false");
        }
        look(page, path);
    }
}

pub(crate) fn legible() {
    let host = host();
    let _guests = ["web-1", "web-2"].map(|name| host.guest(name));
    let (web, mut page) = open(&host);
    for scheme in SCHEMES {
        page.prefer(scheme);
        each(&web, &mut page, |page, path| {
            assert_eq!(page.evaluate(NAMELESS), "", "{path}");
            assert_eq!(page.evaluate(PALE), "", "{path}, {scheme}");
        });
    }
}

pub(crate) fn without_a_mouse() {
    let host = host();
    let (_, _pv, mut vuart) = host.guest("web");
    let (web, mut page) = open(&host);
    let reached = |page: &mut Chromium| {
        let count = page.evaluate(&format!("{FOCUS}.all.split(',').length + ''"));
        let count: usize = count.parse().unwrap();
        let mut reached = Vec::new();
        for _ in 0..count {
            page.press("Tab", TAB);
            reached.push(page.evaluate(&format!("{FOCUS}.now")));
        }
        reached.join(",")
    };
    let joined = |page: &mut Chromium| page.evaluate(&format!("{FOCUS}.all"));
    let list = reached(&mut page);
    assert_eq!(list, joined(&mut page));
    assert!(
        list.starts_with("Skip to the content,Consoles,Recordings,Log out,"),
        "{list}"
    );
    page.open(&format!("{}/view?c=vuart0/web", web.origin()));
    page.until(ATTACHED, "there");
    let view = reached(&mut page);
    assert_eq!(view, joined(&mut page));
    assert!(view.ends_with(",terminal"), "{view}");
    // There Tab is input for the guest, and F6 leaves the terminal.
    page.press("Tab", TAB);
    assert_eq!(vuart.receive(1), b"\t");
    page.press("F6", F6);
    assert_eq!(page.evaluate("document.activeElement.className"), "search");
    // The player takes no input, so Tab moves on.
    let recording = "{\"version\": 2}\n[0, \"o\", \"a\"]\n[1, \"o\", \"b\"]\n";
    open_player(&web, &mut page);
    load(&mut page, &file(&host, recording));
    let player = reached(&mut page);
    assert_eq!(player, joined(&mut page));
    assert!(
        player.contains(",file,Play,speed,cut,position,terminal"),
        "{player}"
    );
    page.press("Tab", TAB);
    assert_ne!(page.evaluate(&format!("{FOCUS}.now")), "terminal");
}

/// Linux's first output, approximately.
const BOOT: &[u8] = b"[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x411fd070]\r\n\
    [    0.000000] Machine model: XENVM-4.17\r\n\
    [    0.074120] 22000000.pl011: ttyAMA0 at MMIO 0x22000000 (irq = 12) is a PL011 rev3\r\n\
    [    0.081534] printk: console [ttyAMA0] enabled\r\n\
    [\x1b[0;32m  OK  \x1b[0m] Reached target \x1b[0;1;39mmulti-user.target\x1b[0m.\r\n\r\n\
    Debian GNU/Linux 12 web-1 ttyAMA0\r\n\r\nweb-1 login: ";
const TOP: &[u8] = b"\x1b[7m  PID USER      %CPU COMMAND         \x1b[0m\r\n\
    \x20 412 www-data  \x1b[1;33m12.0\x1b[0m nginx: worker\r\n\
    \x20 398 postgres   \x1b[32m3.1\x1b[0m postgres\r\n\
    \x20   1 root       0.0 systemd\r\n\r\n\x1b[31mdisk 91% full\x1b[0m\r\nweb-2# ";

pub(crate) fn pictures() {
    let host = host();
    let mut guests = ["web-1", "web-2"].map(|name| host.guest(name));
    guests[0].2.send(BOOT);
    guests[1].1.send(TOP);
    let (web, mut page) = open(&host);
    let boot = String::from_utf8_lossy(BOOT);
    let lines = boot.split_inclusive('\n').enumerate();
    let events = lines.map(|(at, line)| format!("{}\n", json!([at, "o", line])));
    let recording = file(&host, &format!("{HEADER}{}", events.collect::<String>()));
    // With the cursors' positions when all of it is shown.
    for (name, path, size, cursors) in [
        ("list", "/", (900, 340), ""),
        (
            "terminals",
            "/view?c=vuart0/web-1&c=pv0/web-2",
            (1600, 660),
            "13,7",
        ),
        ("recording", "/replay", (900, 800), "13"),
    ] {
        page.size(size.0, size.1);
        for scheme in SCHEMES {
            page.prefer(scheme);
            page.open(&format!("{}{path}", web.origin()));
            page.until("document.readyState", "complete");
            if name == "recording" {
                page.until(READY, "there");
                load(&mut page, &recording);
                page.evaluate(&format!("{POSITION}.focus()"));
                page.press("End", END);
            }
            let shown = "[...document.querySelectorAll('.pane')].map((one) => \
                one.pane.terminal.buffer.active.cursorX).join()";
            page.until(shown, cursors);
            let picture = page.picture();
            assert!(picture.starts_with(b"\x89PNG"), "{name}, {scheme}");
            if let Some(folder) = std::env::var_os(PICTURES) {
                let file = Path::new(&folder).join(format!("web-{name}-{scheme}.png"));
                std::fs::write(file, picture).unwrap();
            }
        }
    }
}
