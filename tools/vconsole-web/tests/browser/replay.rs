// SPDX-License-Identifier: MIT
//! Recordings, played on their page.

use std::fs;
use std::path::{Path, PathBuf};

use viewers::{Host, wait_for};

use crate::chromium::Chromium;
use crate::client::{Web, host, host_with};
use crate::{SHOWN, STATE, open};

pub(crate) const HEADER: &str =
    "{\"version\": 2, \"width\": 80, \"height\": 24, \"timestamp\": 1000}\n";
pub(crate) const READY: &str = "document.querySelector('.pane')?.pane ? 'there' : ''";
/// Whether the controls are hidden; they are until a file is loaded.
const HIDDEN: &str = "document.querySelector('.tools').hidden + ''";
/// The player's position, and the terminal's size.
pub(crate) const POSITION: &str = "document.querySelector('.position')";
const SIZE: &str =
    "(({ cols, rows }) => cols + ' by ' + rows)(document.querySelector('.pane').pane.terminal)";
const BUTTON: &str = "document.querySelector('.play').textContent";
/// The number of the page's requests.
const ASKED: &str = "performance.getEntriesByType('resource').length + ''";
pub(crate) const END: u32 = 35;
const HOME: u32 = 36;

/// The page, before any file is chosen.
pub(crate) fn open_player(web: &Web, page: &mut Chromium) {
    page.open(&format!("{}/replay", web.origin()));
    page.until(READY, "there");
}

pub(crate) fn load(page: &mut Chromium, path: &Path) {
    page.choose(".file", path);
    page.until(HIDDEN, "false");
}

pub(crate) fn file(host: &Host, text: &str) -> PathBuf {
    let path = host.dir.path().join("some.cast");
    fs::write(&path, text).unwrap();
    path
}

/// Activates the control of that class, by the keyboard.
fn press(page: &mut Chromium, class: &str) {
    page.evaluate(&format!("document.querySelector('.{class}').focus()"));
    page.type_in(" ");
}

pub(crate) fn plays_what_the_daemon_recorded() {
    let host = host_with(|config| config.log.record = true);
    let (_, _pv, mut vuart) = host.guest("web");
    let cast = host.dir.path().join("log/guest-web-vuart0.cast");
    for (sent, last) in [
        ("gr\u{fc}\u{df}e, \x1b[31mred\x1b[0m\r\n", "red"),
        ("the end", "the end"),
    ] {
        vuart.send(sent.as_bytes());
        wait_for("the recording", || {
            let text = fs::read_to_string(&cast).ok()?;
            text.contains(last).then_some(())
        });
    }
    let (web, mut page) = open(&host);
    open_player(&web, &mut page);
    let asked = page.evaluate(ASKED);
    load(&mut page, &cast);
    press(&mut page, "play");
    page.until(SHOWN, "gr\u{fc}\u{df}e, redthe end");
    page.until(BUTTON, "Play");
    assert_eq!(page.evaluate(STATE), "");
    // The recording has not left the browser.
    assert_eq!(page.evaluate(ASKED), asked);
    assert_eq!(page.evaluate("violations.join()"), "");
}

/// The test controls the clock, so all times are exact.
pub(crate) fn has_its_times_and_is_wound() {
    let host = host();
    let (web, mut page) = open(&host);
    open_player(&web, &mut page);
    page.evaluate("window.passed = 0; performance.now = () => 1000 * passed");
    let events = "[5, \"o\", \"first\"]\n[125, \"o\", \" later\\u001b[1;90H|\\u001b[1;12H\"]\n[124, \"i\", \"typed\"]\n\
                  [125.25, \"r\", \"100x30\"]\n[125.5, \"o\", \" last\"]\n[125.5, \"r\", \"7\"]\n";
    load(&mut page, &file(&host, &format!("{HEADER}{events}")));
    // The text at that time, in a terminal of that size.
    let shows = |page: &mut Chromium, time: &str, text: &str, size: &str| {
        page.until(&format!("{POSITION}.value"), time);
        page.until(SHOWN, text);
        page.until(SIZE, size);
    };
    let pass = |page: &mut Chromium, seconds: &str| {
        page.evaluate(&format!("passed += {seconds}"));
    };
    // The mark is in the last column of the terminal's size at that time.
    let marked = |text| format!("{text:79}|");
    let first = "first";
    let (later, all) = (&marked("first later"), &marked("first later last"));
    let (size, other_size) = ("80 by 24", "100 by 30");
    shows(&mut page, "0", first, size);
    let time = "document.querySelector('.time').textContent";
    assert_eq!(page.evaluate(time), "0:00 of 2:00");
    assert_eq!(page.evaluate(STATE), "One line was skipped.");

    // Only the last two seconds of a pause remain.
    press(&mut page, "play");
    shows(&mut page, "118", first, size);
    assert_eq!(page.evaluate(BUTTON), "Pause");
    pass(&mut page, "1.75");
    shows(&mut page, "119.75", first, size);
    pass(&mut page, "0.25");
    shows(&mut page, "120", later, size);
    pass(&mut page, "0.25");
    shows(&mut page, "120.25", later, other_size);
    assert_eq!(page.evaluate(time), "2:00 of 2:00");
    pass(&mut page, "0.25");
    shows(&mut page, "120.5", all, other_size);
    page.until(BUTTON, "Play");

    // Uncut, and at another speed.
    press(&mut page, "cut");
    page.evaluate("document.querySelector('.speed').value = '4'");
    press(&mut page, "play");
    shows(&mut page, "0", first, size);
    pass(&mut page, "29");
    shows(&mut page, "116", first, size);
    pass(&mut page, "1");
    shows(&mut page, "120", later, size);
    press(&mut page, "play");
    assert_eq!(page.evaluate(BUTTON), "Play");
    pass(&mut page, "1000");
    press(&mut page, "play");
    assert_eq!(page.evaluate(BUTTON), "Pause");
    pass(&mut page, "0.0625");
    shows(&mut page, "120.25", later, other_size);
    press(&mut page, "play");

    page.evaluate(&format!("{POSITION}.focus()"));
    for _ in 0..2 {
        page.press("Home", HOME);
        shows(&mut page, "0", first, size);
        page.press("End", END);
        shows(&mut page, "120.5", all, other_size);
    }
    // Back to the middle, as with a mouse.
    page.evaluate(&format!(
        "{POSITION}.value = 120; {POSITION}.dispatchEvent(new Event('input'))"
    ));
    shows(&mut page, "120", later, size);
}

pub(crate) fn a_hostile_one_does_no_harm() {
    let host = host();
    let (web, mut page) = open(&host);
    open_player(&web, &mut page);
    page.evaluate(
        "window.harm = []; const note = async (what) => { harm.push(what); }; \
         window.alert = window.open = window.print = note; \
         navigator.clipboard.writeText = navigator.clipboard.readText = note; \
         document.querySelector('.pane').pane.terminal.onData(() => { window.answered = true; })",
    );
    let header = "{\"version\": 2, \"width\": 1e9, \"height\": -1, \
                  \"title\": \"</title><script>alert(1)</script>\"}\n";
    let said = "\\u001b]0;stolen\\u0007\\u001b]52;c;c3RvbGVu\\u0007\\u001b]52;c;?\\u0007\
                \\u001b[c\\u001b[6n\\u001b[8;5;5t\\u001b[5i\\u001b[?1000h\\u0007\
                \\u001b]8;;javascript:alert(1)\\u0007link\\u001b]8;;\\u0007\
                <img src=x onerror=alert(1)>\\ud800.";
    let text = format!("{header}[0, \"o\", \"{said}\"]\n[1e308, \"o\", \"end\"]\n");
    let asked = page.evaluate(ASKED);
    load(&mut page, &file(&host, &text));
    press(&mut page, "play");
    page.until(&format!("({SHOWN}).endsWith('.end') + ''"), "true");
    let shown = page.evaluate(&format!("({SHOWN}).toWellFormed()"));
    assert!(
        shown.starts_with("link<img src=x onerror=alert(1)>"),
        "{shown}"
    );
    assert_eq!(page.evaluate(SIZE), "500 by 1");
    let length = "document.querySelector('.time').textContent.split(' of ')[1]";
    assert_eq!(page.evaluate(length), "8784:00:00");
    // The terminal sends no answers.
    assert_eq!(page.evaluate("window.answered + ''"), "undefined");
    assert_eq!(page.evaluate("document.title"), "Recordings");
    let strange = "document.querySelectorAll('img, main script, iframe').length + ''";
    assert_eq!(page.evaluate(strange), "0");
    assert_eq!(page.evaluate("harm.join()"), "");
    assert_eq!(page.evaluate(ASKED), asked);
    assert_eq!(page.evaluate("violations.join()"), "");
}

pub(crate) fn a_broken_one_is_refused_in_words() {
    let host = host();
    let (web, mut page) = open(&host);
    open_player(&web, &mut page);
    let none = "This is not a recording (asciicast, version 2).";
    let good = format!("{HEADER}[0, \"o\", \"good\"]\n");
    for (text, why) in [
        ("a log\nand no recording\n", none),
        ("", none),
        ("[0, \"o\", \"no header\"]\n", none),
        ("[[[[", none),
        (
            "{\"version\": 3, \"term\": {}}\n",
            "This is asciicast, version 3, and only version 2 can be played.",
        ),
        (HEADER, "This recording has no output."),
    ] {
        // The recording loaded before does not remain.
        load(&mut page, &file(&host, &good));
        page.until(SHOWN, "good");
        page.choose(".file", &file(&host, text));
        page.until(STATE, why);
        page.until(SHOWN, "");
        assert_eq!(page.evaluate(HIDDEN), "true", "{text}");
    }
    let path = host.dir.path().join("other");
    fs::write(&path, b"\x28\xb5\x2f\xfd\x24").unwrap();
    page.choose(".file", &path);
    page.until(
        STATE,
        "This file is compressed. Unpack it first: \u{201c}zstd -d FILE\u{201d}.",
    );
    let huge = fs::File::create(host.dir.path().join("huge")).unwrap();
    huge.set_len((64 << 20) + 1).unwrap();
    page.choose(".file", &host.dir.path().join("huge"));
    let long = format!("({STATE}).startsWith('This file is longer than 64 MiB.') + ''");
    page.until(&long, "true");
    // As many lines as are allowed, and one more.
    let lines = |count: u32| {
        format!(
            "(() => {{ try {{ return parseRecording(new TextEncoder().encode('{{\"version\":2}}\\n' \
            + '[0,\"o\",\"\"]\\n'.repeat({}))).events.length + ''; }} \
            catch (error) {{ return error.message; }} }})()",
            count - 1
        )
    };
    assert_eq!(page.evaluate(&lines(1_000_000)), "1000000");
    let many = page.evaluate(&lines(1_000_001));
    assert!(
        many.starts_with("This file has more than a million lines."),
        "{many}"
    );
    let long = "parseRecording(new TextEncoder().encode('{\"version\":2}\\n[0,\"o\",\"' \
                + 'a'.repeat(4 << 20) + '\"]\\n[0,\"o\",\"b\"]')).skipped + ''";
    assert_eq!(page.evaluate(long), "1");

    // The complete lines of a truncated recording are played.
    let cut =
        "[0, \"o\", \"a\"]\n[0, \"o\", \"to\n[0, \"o\", \"b\"]\n[\"0\", \"o\", \"c\"]\n[0, \"o\"";
    load(&mut page, &file(&host, &format!("{HEADER}{cut}")));
    page.until(SHOWN, "ab");
    page.until(STATE, "3 lines were skipped.");
}
