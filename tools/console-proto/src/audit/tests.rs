// SPDX-License-Identifier: MIT
use super::*;
use serde_json::json;

/// Continues the chain of `left` as the daemon does.
fn go_on(left: &[u8], lines: u32) -> Vec<u8> {
    let end = end(left).unwrap();
    let mut file = left.to_vec();
    let mut chain = end.chain.unwrap_or_default();
    let mut says = Vec::new();
    file.extend(end.ends.then_some(b'\n'));
    if let Some(torn) = end.torn {
        says.push(json!({"event": TORN, "torn": torn}));
    }
    says.extend((0..lines).map(|line| json!({"event": "x", "line": line, "text": "\n\"hash"})));
    for says in says {
        let (line, next) = chain.seal(&says).unwrap();
        file.extend(line.as_bytes());
        chain = next;
    }
    file
}

fn check(file: &[u8]) -> (Result<(), Break>, Check) {
    let mut check = Check::default();
    (check.file(file, None).unwrap(), check)
}

fn lines(file: &[u8]) -> Vec<Vec<u8>> {
    let lines = file.split_inclusive(|byte| *byte == b'\n');
    lines.map(<[u8]>::to_vec).collect()
}

#[test]
fn the_chain_continues_wherever_a_kill_cuts_it() {
    let whole = go_on(b"", 3);
    let ends: Vec<usize> = (1..=whole.len())
        .filter(|at| whole[at - 1] == b'\n')
        .collect();
    for cut in 0..=whole.len() {
        let (left, state) = check(&whole[..cut]);
        let between = cut == 0 || ends.contains(&cut);
        assert_eq!((left, state.unfinished), (Ok(()), !between), "{cut}");
        // The next daemon is killed while it reports that.
        let next = go_on(&whole[..cut], 2);
        let some = usize::from(cut % 97 != 0) * next.len() + cut;
        for again in (some..=next.len()).step_by(7) {
            let (held, state) = check(&go_on(&next[..again], 1));
            assert_eq!((held, state.unfinished), (Ok(()), false), "{cut} {again}");
        }
        let (held, state) = check(&next);
        // A line lacks only its newline.
        let left = ends.iter().filter(|end| **end <= cut + 1).count() as u64;
        let torn = u64::from(!between && !ends.contains(&(cut + 1)));
        assert_eq!((held, state.torn), (Ok(()), torn), "{cut}");
        assert_eq!(state.lines, left + 2 + torn, "{cut}");
    }
}

#[test]
fn a_byte_that_is_changed_is_found_on_its_line() {
    let whole = go_on(b"", 3);
    for at in 0..whole.len() {
        for bit in [1, 0x20] {
            let mut file = whole.clone();
            file[at] ^= bit;
            let line = lines(&whole[..=at]).len() as u64;
            let (held, state) = check(&file);
            if at + 1 == whole.len() {
                assert!(state.unfinished, "the last line's end");
            } else {
                assert_eq!(held, Err(Break::Changed(line)), "{at}");
            }
        }
    }
}

#[test]
fn lines_that_are_removed_moved_added_or_made_anew_are_found() {
    let whole = go_on(b"", 5);
    let lines = lines(&whole);
    for at in 0..5 {
        let mut removed = lines.clone();
        removed.remove(at);
        let expected = match at {
            // The missing line may be in a file that was deleted.
            0 | 4 => Ok(()),
            _ => Err(Break::Follows(at as u64 + 1)),
        };
        assert_eq!(check(&removed.concat()).0, expected, "{at}");
        for other in 0..at {
            let mut moved = lines.clone();
            moved.swap(at, other);
            let (held, _) = check(&moved.concat());
            assert!(matches!(held, Err(Break::Follows(_))), "{at} {other}");
        }
        let mut twice = lines.clone();
        twice.insert(at, lines[at].clone());
        assert_eq!(
            check(&twice.concat()).0,
            Err(Break::Follows(at as u64 + 2)),
            "{at}"
        );
        // A forger who computes correct hashes.
        let mut anew = lines.clone();
        let before = end(&lines[..at].concat()[..]).unwrap();
        let (line, _) = before
            .chain
            .unwrap_or_default()
            .seal(&json!({"a": 1}))
            .unwrap();
        anew[at] = line.into_bytes();
        let expected = match at {
            4 => Ok(()),
            _ => Err(Break::Follows(at as u64 + 2)),
        };
        assert_eq!(check(&anew.concat()).0, expected, "{at}");
    }
    let foreign = [whole.as_slice(), b"{\"event\":\"x\"}\n"].concat();
    assert_eq!(check(&foreign).0, Err(Break::Changed(6)));
    // The next daemon continues after it and reports it.
    assert_eq!(check(&go_on(&foreign, 1)).0, Ok(()));
}

#[test]
fn a_line_about_torn_bytes_covers_those_bytes_alone() {
    let whole = go_on(&[&go_on(b"", 1)[..], b"a part"].concat(), 1);
    let (held, state) = check(&whole);
    assert_eq!((held, state.torn), (Ok(()), 1));
    let text = String::from_utf8(whole).unwrap();
    for (instead, found) in [
        ("another", Err(Break::Changed(2))),
        ("a part\nand more", Err(Break::Changed(2))),
    ] {
        let file = text.replacen("a part", instead, 1);
        assert_eq!(check(file.as_bytes()).0, found, "{instead}");
    }
    let file = text.replacen("a part\n", "", 1);
    assert_eq!(check(file.as_bytes()).0, Err(Break::Follows(2)));
}

/// A removed end, which a chain cannot show by itself.
#[test]
fn a_hash_that_was_kept_shows_that_the_end_is_another() {
    let whole = go_on(b"", 3);
    let kept = check(&whole).1.last.unwrap().hash;
    let cut = lines(&whole)[..2].concat();
    for (file, found) in [(go_on(&whole, 1), true), (go_on(&cut, 2), false)] {
        let mut check = Check::default();
        assert_eq!(check.file(&file[..], Some(&kept)).unwrap(), Ok(()));
        assert_eq!(check.found, found);
    }
}

#[test]
fn files_of_one_chain_are_checked_together() {
    let whole = go_on(b"", 4);
    let lines = lines(&whole);
    let (old, new) = (lines[..2].concat(), lines[2..].concat());
    let both = |first: &[u8], second: &[u8]| {
        let mut check = Check::default();
        check.file(first, None).unwrap().unwrap();
        check.file(second, None).unwrap()
    };
    assert_eq!(both(&old, &new), Ok(()));
    assert_eq!(both(&new, &old), Err(Break::Follows(1)));
    assert_eq!(check(&new).0, Ok(()), "the old one may be gone");
}
