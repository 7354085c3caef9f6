// SPDX-License-Identifier: MIT
//! Sequences that terminals do not answer, so that old output may contain them.
//! Unknown sequences may cause an answer and are removed.

use vte::Params;

/// Modes whose setting a terminal answers: reports of its size.
const ANSWERED_MODES: [u16; 1] = [2048];

/// Whether a control sequence only moves, erases, colours or sets modes.
pub(crate) fn control_passes(params: &Params, between: &[u8], action: char) -> bool {
    match between {
        b"" => "@ABCDEFGHIJKLMPSTXZ`abdefghlmrsu".contains(action),
        b"?" => {
            let answered = params
                .iter()
                .flatten()
                .any(|mode| ANSWERED_MODES.contains(mode));
            "JKhlrs".contains(action) && !answered
        }
        // Soft reset, cursor shape, protected characters.
        b"!" => action == 'p',
        b" " | b"\"" => action == 'q',
        // Key reporting.
        b">" => "mu".contains(action),
        b"<" | b"=" => action == 'u',
        _ => false,
    }
}

/// Whether an escape sequence passes: all except DECID.
pub(crate) fn escape_passes(byte: u8) -> bool {
    byte != b'Z'
}

/// Whether a control string passes, with its terminator: an operating system
/// command that contains text and no part that ends with a question mark. Other
/// strings load, draw and query.
pub(crate) fn string_passes(held: &[u8]) -> bool {
    let Some(command) = held.strip_prefix(b"\x1b]") else {
        return false;
    };
    let ends = [&b"\x07"[..], b"\x1b\\"];
    let Some(command) = ends.iter().find_map(|end| command.strip_suffix(*end)) else {
        return false;
    };
    let is_text = str::from_utf8(command).is_ok_and(|text| !text.chars().any(char::is_control));
    let mut parts = command.split(|byte| *byte == b';');
    // 1337 is private to one terminal, and includes queries.
    is_text && parts.all(|part| !part.ends_with(b"?") && part != b"1337")
}
