// SPDX-License-Identifier: MIT
//! Sequences that terminals do not answer, so that old output may contain them.
//! Unknown sequences may cause an answer and are removed.

use vte::Params;

/// Modes that a terminal answers when they are set: reports of its size.
const ANSWERED_MODES: [u16; 1] = [2048];

/// Whether a control sequence moves, erases, colours or sets modes only.
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
        // Soft reset, the cursor's shape, protected characters.
        b"!" => action == 'p',
        b" " | b"\"" => action == 'q',
        // How keys are reported.
        b">" => "mu".contains(action),
        b"<" | b"=" => action == 'u',
        _ => false,
    }
}

/// Whether an escape sequence passes: all do but the question who is there.
pub(crate) fn escape_passes(byte: u8) -> bool {
    byte != b'Z'
}

/// Whether a control string passes, with its terminator: an operating system
/// command that holds text and no question mark at the end of a part. Other
/// strings load, draw and ask.
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
    // 1337 is for what one terminal alone knows, questions among it.
    is_text && parts.all(|part| !part.ends_with(b"?") && part != b"1337")
}
