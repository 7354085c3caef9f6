// SPDX-License-Identifier: MIT
//! The filter's output for any input in any pieces.

use proptest::prelude::*;
use text_filter::{Filter, HELD_MAX, Policy};

const POLICIES: [Policy; 3] = [Policy::File, Policy::Terminal, Policy::Replay];

fn filtered<'a>(policy: Policy, parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut filter = Filter::new(policy);
    let mut out = Vec::new();
    for part in parts {
        filter.push(part, &mut out);
    }
    filter.finish(&mut out);
    out
}

fn text(policy: Policy, bytes: &[u8]) -> String {
    String::from_utf8(filtered(policy, [bytes])).unwrap()
}

#[test]
fn sequences_go_and_text_stays() {
    for (raw, expected) in [
        ("plain\r\n\ttext", "plain\r\n\ttext"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[?25l\x1b[2Jcleared", "cleared"),
        ("\x1b(Bset\x1b#8\x1b7\x1bM", "set"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]0;title\x1b\\after", "after"),
        ("\x1bPq#0;2\x1b\\after", "after"),
        ("\x1b_x\ty\x1b\\z", "z"),
        ("\x1b[1\x1b[2mtwice", "twice"),
        ("\x1b[1\x18cancelled", "cancelled"),
        ("\x1b]0;title\x18cancelled", "cancelled"),
        ("\x1b[?1;?2mmalformed", "malformed"),
        ("\x1b[1\tmtab", "\ttab"),
        ("bell\x07 back\x08 null\0 del\x7f.", "bell back null del."),
        ("gr\u{fc}\u{df}e \u{1f427}", "gr\u{fc}\u{df}e \u{1f427}"),
    ] {
        assert_eq!(text(Policy::File, raw.as_bytes()), expected, "{raw:?}");
    }
    assert_eq!(
        text(Policy::Terminal, b"bell\x07 back\x08\0\x05"),
        "bell\x07 back\x08"
    );
}

#[test]
fn a_sequence_that_has_no_end_is_text() {
    for (raw, expected) in [
        (&b"\x1b]endless\nnext"[..], "]endless\nnext"),
        (b"\x1bPpanic\nnext", "Ppanic\nnext"),
        (b"\x1b[999999\nnext", "[999999\nnext"),
        (b"\x1b]8;;\x1b[1mbold", "]8;;bold"),
        (b"\x1b\0]panic\x1b", "]panic"),
        (b"cut \x1b", "cut "),
        ("\x1b\u{fc}ber".as_bytes(), "\u{fc}ber"),
        (b"\x1b\xffx", "\u{fffd}x"),
        ("\x1b[1\u{fc}ber".as_bytes(), "[1\u{fc}ber"),
    ] {
        assert_eq!(text(Policy::File, raw), expected, "{raw:?}");
    }
    // The line feed ends it at once, whatever has begun.
    for begun in ["[1;2", "]0;title", "P$q", "X", "^", "_G"] {
        for policy in POLICIES {
            let (mut filter, mut out) = (Filter::new(policy), Vec::new());
            filter.push(format!("\x1b{begun}\nnext").as_bytes(), &mut out);
            let shown = String::from_utf8(out).unwrap();
            assert_eq!(shown, format!("{begun}\nnext"), "{policy:?}");
        }
    }
    let endless = [&b"\x1b]0;"[..], &[b'x'; HELD_MAX], b"login: "].concat();
    let mut filter = Filter::new(Policy::Terminal);
    let mut out = Vec::new();
    filter.push(&endless, &mut out);
    assert!(out.ends_with(b"xlogin: "), "shown before the stream ends");
}

#[test]
fn controls_of_eight_bits_do_not_pass() {
    for raw in [&b"a\x9b2Jb"[..], "a\u{9b}2Jb".as_bytes()] {
        for policy in POLICIES {
            assert_eq!(text(policy, raw), "a2Jb", "{raw:?}");
        }
    }
    assert_eq!(
        text(Policy::File, b"f\xfcr \xe2\x82"),
        "f\u{fffd}r \u{fffd}"
    );
}

/// What a terminal answers (xterm's "ctlseqs", kitty's and iTerm's additions).
const QUESTIONS: [&str; 30] = [
    "\x05",
    "\x1bZ",
    "\x1b[c",
    "\x1b[0c",
    "\x1b[>c",
    "\x1b[=c",
    "\x1b[5n",
    "\x1b[6n",
    "\x1b[?6n",
    "\x1b[?996n",
    "\x1b[x",
    "\x1b[14t",
    "\x1b[18t",
    "\x1b[21t",
    "\x1b[?1$p",
    "\x1b[4$p",
    "\x1b[2$w",
    "\x1b[1;1;1;1;1;1*y",
    "\x1b[>q",
    "\x1b[>0q",
    "\x1b[?u",
    "\x1b[?1;1;0S",
    "\x1b[?2048h",
    "\x1b]4;1;?\x07",
    "\x1b]10;?\x1b\\",
    "\x1b]52;c;?\x07",
    "\x1b]1337;X\x07",
    "\x1bP$qm\x1b\\",
    "\x1bP+q544e\x1b\\",
    "\x1b_Gi=1,a=q;AAAA\x1b\\",
];

#[test]
fn replayed_output_has_no_queries_and_looks_the_same() {
    for question in QUESTIONS {
        let raw = format!("a{question}b");
        assert_eq!(text(Policy::Replay, raw.as_bytes()), "ab", "{question:?}");
        // A control within a sequence takes effect; it can be a query too.
        let inside = format!("\x1b[1\x05m{question}");
        assert_eq!(
            text(Policy::Replay, inside.as_bytes()),
            "\x1b[1m",
            "{question:?}"
        );
    }
    for shown in [
        "\x1b[1;31mred\x1b[0m\x07\x08",
        "\x1b[?25l\x1b[2J\x1b[10;20H\x1b[K\x1b[?1049h",
        "\x1b(B\x1b7\x1b8\x1bM\x1bc\x1b[!p\x1b[2 q",
        "\x1b]0;title\x07\x1b]8;;http://x/?a=b\x1b\\link\x1b]8;;\x1b\\",
        "unfinished \x1b[3",
    ] {
        assert_eq!(text(Policy::Replay, shown.as_bytes()), shown);
    }
}

/// Pieces in all combinations: text, sequences and their parts.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[a-z ]{0,4}".prop_map(String::into_bytes),
        "[\u{80}-\u{9f}\u{fc}\u{1f427}]".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..4),
        proptest::sample::select(QUESTIONS.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        proptest::sample::select(vec![
            &b"\x1b"[..],
            b"\x1b[",
            b"\x1b]",
            b"\x1bP",
            b"\x1b_",
            b"\x1b\\",
            b"\x07",
            b"\x18",
            b"\n",
            b"\r",
            b"\x9b",
            b"\x9c",
            b"\xe2",
            b"\xf0\x90",
            b"\xc3",
            b"m",
            b";",
            b"?",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn how_it_is_cut_does_not_matter(bytes in pieces(), cuts in any::<[prop::sample::Index; 3]>()) {
        for policy in POLICIES {
            let whole = filtered(policy, [&bytes[..]]);
            prop_assert_eq!(&filtered(policy, bytes.chunks(1)), &whole);
            let mut at = cuts.map(|cut| cut.index(bytes.len() + 1));
            at.sort_unstable();
            let parts = [&bytes[..at[0]], &bytes[at[0]..at[1]], &bytes[at[1]..at[2]], &bytes[at[2]..]];
            prop_assert_eq!(&filtered(policy, parts), &whole);
        }
    }

    /// As a daemon does after a restart.
    #[test]
    fn another_filter_continues_from_before_what_is_held(
        bytes in pieces(),
        cut in any::<prop::sample::Index>(),
    ) {
        let cut = cut.index(bytes.len() + 1);
        for policy in POLICIES {
            let mut first = Filter::new(policy);
            let mut out = Vec::new();
            first.push(&bytes[..cut], &mut out);
            prop_assert!(first.held() <= HELD_MAX);
            out.extend(filtered(policy, [&bytes[cut - first.held()..]]));
            prop_assert_eq!(out, filtered(policy, [&bytes[..]]));
        }
    }

    #[test]
    fn only_text_and_the_controls_of_the_policy_come_out(bytes in pieces()) {
        for (policy, controls) in [(Policy::File, "\t\r\n"), (Policy::Terminal, "\t\r\n\x07\x08")] {
            let shown = text(policy, &bytes);
            let foreign = shown.chars().find(|one| one.is_control() && !controls.contains(*one));
            prop_assert_eq!(foreign, None);
        }
    }

    /// After any input: the next line, or else what follows `HELD_MAX` bytes
    /// later.
    #[test]
    fn text_is_not_hidden_for_good(bytes in pieces(), line in "[ -~]{1,40}") {
        for policy in POLICIES {
            let mut filter = Filter::new(policy);
            let mut out = Vec::new();
            filter.push(&[&bytes[..], b"\n", line.as_bytes()].concat(), &mut out);
            let lines = String::from_utf8(out).unwrap();
            prop_assert!(lines.ends_with(&format!("\n{line}")), "{lines:?}");

            let mut filter = Filter::new(policy);
            let mut out = Vec::new();
            filter.push(&[&bytes[..], &[b'.'; HELD_MAX], line.as_bytes()].concat(), &mut out);
            prop_assert!(out.ends_with(line.as_bytes()));
        }
    }

    #[test]
    fn replayed_output_has_no_queries_wherever_they_stand(
        before in pieces(),
        question in proptest::sample::select(QUESTIONS.to_vec()),
    ) {
        // An end of line, so that the question does not begin in a sequence.
        let shown = text(Policy::Replay, &[&before[..], b"\n", question.as_bytes(), b"\n"].concat());
        prop_assert!(shown.ends_with("\n\n"), "{shown:?}");
        // The output passes through the filter unchanged.
        prop_assert_eq!(&text(Policy::Replay, shown.as_bytes()), &shown);
    }
}
