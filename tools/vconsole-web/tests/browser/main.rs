// SPDX-License-Identifier: MIT
//! The page in Chromium, end to end: a tenant logs in, types, sees the echo, and
//! continues at the same byte after the daemon's restart; and plays a recording.
//! Requires Chromium, and xterm.js as npm installs it: `npm ci` in
//! `target/web-assets`, with the two files of `npm/`. Without either, the tests are
//! ignored and the reason is printed.

mod chromium;
#[path = "../web/client.rs"]
#[expect(dead_code, reason = "the other tests use all of it")]
mod client;
mod looks;
mod replay;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use chromium::Chromium;
use client::{Web, host};
use viewers::Host;

fn main() -> ExitCode {
    let missing = match (chromium::program(), xterm()) {
        (None, _) => Some("needs chromium"),
        (_, None) => Some("needs xterm.js"),
        _ => None,
    };
    let trials = [
        (
            "a_tenant_uses_a_terminal_in_chromium",
            a_tenant_uses_a_terminal as fn(),
        ),
        (
            "pages_are_legible_in_the_dark_and_in_the_light",
            looks::legible,
        ),
        ("pages_can_be_used_without_a_mouse", looks::without_a_mouse),
        ("pictures_of_the_pages_are_made", looks::pictures),
        (
            "a_recording_of_the_daemon_is_played",
            replay::plays_what_the_daemon_recorded,
        ),
        (
            "a_recording_has_its_times_and_is_wound",
            replay::has_its_times_and_is_wound,
        ),
        (
            "a_hostile_recording_does_no_harm",
            replay::a_hostile_one_does_no_harm,
        ),
        (
            "a_broken_recording_is_refused_with_a_message",
            replay::a_broken_one_is_refused_in_words,
        ),
    ];
    let trials = trials.into_iter().map(|(name, test)| {
        let trial = Trial::test(name, move || {
            test();
            Ok(())
        });
        trial
            .with_kind(missing.unwrap_or("in chromium"))
            .with_ignored_flag(missing.is_some())
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// npm's folder, if xterm.js is installed.
fn xterm() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let folder = own.ancestors().nth(3)?.join("web-assets/node_modules");
    folder
        .join("@xterm/xterm/lib/xterm.js")
        .exists()
        .then_some(folder)
}

/// A terminal's text, in one line.
const SHOWN: &str = "(() => { const buffer = document.querySelector('.pane').pane.terminal.buffer.active; \
    let text = ''; for (let at = 0; at < buffer.length; at++) \
    text += buffer.getLine(at).translateToString(true); return text; })()";
const STATE: &str = "document.querySelector('.state').textContent";
/// Whether a terminal has output.
const ATTACHED: &str = "document.querySelector('.pane')?.pane?.place ? 'there' : ''";

/// The service with xterm.js, and a browser that has logged in.
fn open(host: &Host) -> (Web, Chromium) {
    let assets = xterm().unwrap_or_default();
    let words = ["--listen", "127.0.0.1:0", "--assets", path(&assets)];
    let web = Web::with(host, &words, "");
    let mut page = Chromium::start();
    page.open(&format!("{}/login#{}", web.origin(), web.tokens[0]));
    page.until("document.title", "Consoles");
    // The title is set before the rest of the page is loaded.
    page.until("document.readyState", "complete");
    (web, page)
}

fn a_tenant_uses_a_terminal() {
    let mut host = host();
    let (domid, _pv, mut vuart) = host.guest("web");
    let (web, mut page) = open(&host);

    page.open(&format!("{}/view?c=vuart0/web", web.origin()));
    page.until(ATTACHED, "there");
    page.evaluate("document.querySelector('.pane').pane.terminal.focus()");
    page.type_in("hi");
    assert_eq!(vuart.receive(2), b"hi");
    // The echo, and a hostile guest's additions to it.
    vuart.send(b"hi\x1b]0;stolen\x07\x1b[31m<img src=x onerror=document.title='stolen'>\x1b[0m.");
    page.until(SHOWN, "hi<img src=x onerror=document.title='stolen'>.");
    assert_eq!(page.evaluate("document.title"), "web – console");
    assert_eq!(
        page.evaluate("document.querySelectorAll('img').length + ''"),
        "0"
    );

    host.stop_daemon();
    page.until(STATE, "Disconnected; reconnecting.");
    vuart.send(b"after");
    host.start_daemon();
    page.until(STATE, "Reconnected.");
    page.until(SHOWN, "hi<img src=x onerror=document.title='stolen'>.after");
    page.type_in("x");
    assert_eq!(vuart.receive(1), b"x");

    page.evaluate("document.querySelector('.break').click()");
    page.until("document.querySelector('dialog').open + ''", "true");
    page.evaluate("document.querySelector('dialog button[value=send]').click()");
    page.until(STATE, "A break was sent to the console 1/vuart0.");

    // The guest reboots: another domain of the same name.
    host.machine.destroy(domid).unwrap();
    let (_, _pv, mut vuart) = host.guest("web");
    page.until(
        &format!("({SHOWN}).includes('[another stream; bytes may be missing here]') + ''"),
        "true",
    );
    vuart.send(b"login:");
    page.until(&format!("({SHOWN}).endsWith('login:') + ''"), "true");
    page.type_in("y");
    assert_eq!(vuart.receive(1), b"y");
    assert_eq!(page.evaluate("violations.join()"), "");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}
