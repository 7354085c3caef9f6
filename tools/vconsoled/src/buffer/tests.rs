// SPDX-License-Identifier: MIT
use super::*;

const NOWHERE: Checkpoint = Checkpoint {
    ring: 0,
    out_cons: 0,
};

fn output(scrollback: u64) -> OutputBuffer {
    OutputBuffer::in_memory(scrollback).unwrap()
}

fn append(output: &OutputBuffer, bytes: &[u8]) {
    for step in bytes.chunks(4096) {
        output.append(step, NOWHERE).unwrap();
    }
}

/// Bytes that differ by position and by lap.
fn pattern(from: u64, length: usize) -> Vec<u8> {
    (from..)
        .take(length)
        .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56).to_le_bytes()[0])
        .collect()
}

fn take(cursor: &mut Cursor, output: &OutputBuffer) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 1000];
    loop {
        match cursor.peek(output, &mut buffer).unwrap() {
            0 => return all,
            // Less than was offered, like a slow consumer.
            length => {
                let taken = length.div_ceil(2);
                cursor.advance(taken);
                all.extend_from_slice(&buffer[..taken]);
            }
        }
    }
}

#[test]
fn what_is_appended_is_read_at_its_position() {
    let output = output(100);
    for chunk in [&b"abc"[..], b"", b"defgh"] {
        append(&output, chunk);
    }
    assert_eq!((output.start(), output.end()), (0, 8));
    let mut buffer = [0; 4];
    assert_eq!(output.read(2, &mut buffer).unwrap(), 4);
    assert_eq!(&buffer, b"cdef");
    assert_eq!(output.read(7, &mut buffer).unwrap(), 1);
    assert_eq!(buffer[0], b'h');
    assert_eq!(output.read(8, &mut buffer).unwrap(), 0);
    assert_eq!(output.read(u64::MAX, &mut buffer).unwrap(), 0);
}

#[test]
fn every_consumer_gets_all_of_it_over_many_laps() {
    let output = output(64 << 10);
    let (mut one, mut other) = (Cursor::default(), Cursor::default());
    let mut seen = (Vec::new(), Vec::new());
    let total = 3 * 1024 * 1024 + 77;
    let sent = pattern(0, total);
    for chunk in sent.chunks(30_011) {
        append(&output, chunk);
        seen.0.extend(take(&mut one, &output));
        if output.end().is_multiple_of(3) {
            seen.1.extend(take(&mut other, &output));
        }
        output.release(one.position().min(other.position()));
    }
    seen.1.extend(take(&mut other, &output));
    assert!(seen.0 == sent && seen.1 == sent);
    assert_eq!((one.lost(&output), other.lost(&output)), (0, 0));
}

#[test]
fn a_slow_consumer_gets_the_number_of_lost_bytes() {
    let output = output(100);
    let mut slow = Cursor::default();
    let sent = pattern(0, 1_500_000);
    append(&output, &sent[..1_000_000]);
    append(&output, &sent[1_000_000..]);
    let gap = 1_500_000 - 1024 * 1024;
    let expected = [
        format!("\r\n[{gap} bytes lost]\r\n").as_bytes(),
        &sent[gap..],
    ]
    .concat();
    assert!(take(&mut slow, &output) == expected);
    assert_eq!(slow.lost(&output), gap as u64);
    append(&output, b"x");
    assert_eq!(take(&mut slow, &output), b"x", "told once");
}

#[test]
fn only_scrollback_stays_when_no_consumer_waits() {
    let output = output(100);
    append(&output, &pattern(0, 5000));
    assert_eq!((output.start(), output.scrollback()), (0, 4900));
    output.release(3000);
    assert_eq!(output.start(), 3000, "someone waits");
    output.release(5000);
    assert_eq!(output.start(), 4900);
    let mut late = Cursor::at(output.scrollback());
    assert_eq!(take(&mut late, &output), pattern(4900, 100));
}

#[test]
fn one_piece_larger_than_everything_leaves_its_end() {
    let output = output(100);
    let sent = pattern(0, 2_000_000);
    append(&output, &sent);
    assert_eq!(output.end(), 2_000_000);
    let mut late = Cursor::at(output.start());
    assert!(take(&mut late, &output) == sent[2_000_000 - 1024 * 1024..]);
}

#[test]
fn memory_is_given_back() {
    let output = output(1000);
    let held = |output: &OutputBuffer| rustix::fs::fstat(&*output.file()).unwrap().st_blocks * 512;
    for from in (0..3_000_000).step_by(10_000) {
        append(&output, &pattern(from, 10_000));
    }
    assert!(held(&output) > 1_000_000);
    output.release(u64::MAX);
    assert!(held(&output) <= 64 * 1024, "{}", held(&output));
    append(&output, &pattern(3_000_000, 500));
    let mut late = Cursor::at(output.scrollback());
    assert_eq!(take(&mut late, &output), pattern(2_999_500, 1000));
}

/// A reader in another thread detects overwritten bytes.
#[test]
fn an_overtaken_reader_gets_an_error() {
    let output = output(100);
    let total: u64 = 10_000_000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut from = 0;
            while from < total {
                append(&output, &pattern(from, 50_000));
                from += 50_000;
            }
        });
        let mut buffer = [0; 4096];
        let mut position = 0;
        while position < total {
            match output.read(position, &mut buffer) {
                Ok(length) => {
                    assert!(buffer[..length] == pattern(position, length));
                    position += length as u64;
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::NotFound);
                    position = output.start();
                }
            }
        }
    });
}

/// A buffer in a file, as a daemon that is killed leaves it.
fn in_file(dir: &tempfile::TempDir, owner: &str) -> OutputBuffer {
    OutputBuffer::open(&dir.path().join("history"), owner, 1000).unwrap()
}

#[test]
fn the_next_process_continues_where_the_last_one_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut sent = Vec::new();
    for round in 0..5_u32 {
        let output = in_file(&dir, "me");
        assert_eq!(output.end(), sent.len() as u64);
        let expected = if round == 0 { NOWHERE } else { mark(round - 1) };
        assert_eq!(output.checkpoint(), expected);
        assert_eq!(output.record(Record::Log), (round > 0).then(|| vec![7; 20]));
        let mut late = Cursor::at(output.scrollback());
        assert!(take(&mut late, &output) == sent[sent.len().saturating_sub(1000)..]);
        for step in 0..100 {
            let bytes = pattern(sent.len() as u64, 4096 - step);
            output.append(&bytes, mark(round)).unwrap();
            sent.extend(bytes);
        }
        output.write_record(Record::Log, &[7; 20]).unwrap();
        output.release(output.end() - 100_000);
        let mut behind = Cursor::at(output.end() - 100_000);
        drop(output);
        // Killed: nothing else was recorded. Unread output is still there.
        let output = in_file(&dir, "me");
        assert!(take(&mut behind, &output) == sent[sent.len() - 100_000..]);
    }
}

/// The ring position after this many bytes, all from it.
fn after(bytes: usize) -> Checkpoint {
    Checkpoint {
        ring: 9,
        out_cons: u32::try_from(bytes).unwrap().wrapping_sub(5_000),
    }
}

/// Appends the next bytes as if from a ring.
fn go_on(output: &OutputBuffer, sent: &mut Vec<u8>, length: usize) {
    let bytes = pattern(sent.len() as u64, length);
    sent.extend(&bytes);
    output.append(&bytes, after(sent.len())).unwrap();
}

#[test]
fn what_is_added_by_a_mapping_is_read_and_outlives_the_process() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut sent = Vec::new();
    for round in 0..6 {
        let output = in_file(&dir, "me");
        assert_eq!(output.end(), sent.len() as u64, "round {round}");
        let mut late = Cursor::at(output.scrollback());
        assert!(take(&mut late, &output) == sent[sent.len().saturating_sub(1000)..]);
        let before = sent.len();
        go_on(&output, &mut sent, 100);
        output.map();
        // Pieces that fit neither pages nor laps, and other writes in between.
        for step in 0..200 {
            go_on(&output, &mut sent, 2048 - step);
            if step % 50 == 49 {
                output
                    .append_shown(b"", after(sent.len()), Some(&[1]))
                    .unwrap();
            }
        }
        assert!(output.writer().mapping.is_some());
        assert!(take(&mut late, &output) == sent[before..]);
        assert_eq!(output.checkpoint(), after(sent.len()));
        if round % 2 == 1 {
            output.unmap();
            assert!(output.writer().mapping.is_none());
            output.release(output.end());
        }
        // Killed: no record has the rest.
    }
    let output = in_file(&dir, "me");
    assert_eq!(output.checkpoint(), after(sent.len()));
}

/// A buffer with 10 bytes in a record, and 20 more in a mapping.
fn with_mapping(dir: &tempfile::TempDir) -> (OutputBuffer, Vec<u8>) {
    let output = in_file(dir, "me");
    let mut sent = Vec::new();
    go_on(&output, &mut sent, 10);
    output.map();
    go_on(&output, &mut sent, 20);
    (output, sent)
}

#[test]
fn bytes_of_a_mapping_count_when_their_word_is_written() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let (output, mut sent) = with_mapping(&dir);
    drop(output);
    // As if the process had written bytes and not their end.
    let file = File::options()
        .write(true)
        .open(dir.path().join("history"))
        .unwrap();
    file.write_all_at(&[0xee; 4096], HEADER + 30).unwrap();
    let output = in_file(&dir, "me");
    assert_eq!((output.end(), output.checkpoint()), (30, after(30)));
    assert!(take(&mut Cursor::at(0), &output) == sent);
    // A record that is newer than the word.
    go_on(&output, &mut sent, 500);
    drop(output);
    let output = in_file(&dir, "me");
    assert_eq!((output.end(), output.checkpoint()), (530, after(530)));
}

#[test]
fn the_pty_s_position_is_in_a_word_while_there_is_a_mapping() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let output = in_file(&dir, "me");
    assert!(!output.show(5), "there is no mapping");
    assert_eq!(output.shown(), 0);
    drop(output);
    let (output, _sent) = with_mapping(&dir);
    assert!(output.show(25));
    drop(output);
    assert_eq!(in_file(&dir, "me").shown(), 25);
    // A new buffer has shown nothing.
    assert_eq!(in_file(&dir, "another").shown(), 0);
}

#[test]
fn a_read_does_not_allocate_released_memory() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let output = in_file(&dir, "me");
    let held = || rustix::fs::fstat(&*output.file()).unwrap().st_blocks;
    append(&output, &pattern(0, 300_000));
    output.release(u64::MAX);
    output.map();
    let before = held();
    let read = output.read(0, &mut [0; 16 * 1024]);
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(held(), before);
}

#[test]
fn a_replaced_ring_is_in_a_note() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let (output, _sent) = with_mapping(&dir);
    output.append(b"other", mark(0)).unwrap();
    drop(output);
    let output = in_file(&dir, "me");
    assert_eq!((output.end(), output.checkpoint()), (35, mark(0)));
}

#[test]
fn memory_of_a_mapping_is_given_back_when_it_is_closed() {
    let output = output(1000);
    let held = |output: &OutputBuffer| rustix::fs::fstat(&*output.file()).unwrap().st_blocks * 512;
    let mut sent = Vec::new();
    go_on(&output, &mut sent, 4000);
    output.map();
    for _ in 0..800 {
        go_on(&output, &mut sent, 2000);
        output.release(output.end());
    }
    assert!(held(&output) > 1_000_000);
    let mut late = Cursor::at(output.scrollback());
    output.unmap();
    output.release(output.end());
    assert!(held(&output) <= 64 * 1024, "{}", held(&output));
    assert!(take(&mut late, &output) == sent[sent.len() - 1000..]);
}

#[test]
fn a_file_that_is_no_memory_has_no_mapping_and_is_still_used() {
    let file = tempfile::tempfile().unwrap();
    let output = OutputBuffer::over(file, 1000);
    let mut sent = Vec::new();
    go_on(&output, &mut sent, 10);
    output.map();
    go_on(&output, &mut sent, 20);
    output.unmap();
    assert!(take(&mut Cursor::at(0), &output) == sent);
}

fn mark(n: u32) -> Checkpoint {
    Checkpoint {
        ring: 5,
        out_cons: 0xffff_fff0_u32.wrapping_add(n),
    }
}

#[test]
fn bytes_without_their_note_do_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let output = in_file(&dir, "me");
    // More than a lap, so that the next bytes overwrite the oldest.
    let sent = pattern(0, 2 * 1024 * 1024);
    append(&output, &sent);
    let end = output.end();
    let (offset, _) = place(end);
    drop(output);
    let file = File::options()
        .write(true)
        .open(dir.path().join("history"))
        .unwrap();
    file.write_all_at(&[0xee; 4096], offset).unwrap();
    let output = in_file(&dir, "me");
    assert_eq!(output.end(), end);
    let mut cursor = Cursor::at(output.start());
    let kept = take(&mut cursor, &output);
    assert!(kept.len() >= 1024 * 1024 - 4096);
    assert!(sent.ends_with(&kept), "no torn byte is shown");
}

#[test]
fn a_file_that_is_not_ours_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history");
    let output = in_file(&dir, "other");
    append(&output, b"of another domain");
    drop(output);
    let whole = std::fs::read(&path).unwrap();
    let mut wrong_sum = whole.clone();
    wrong_sum[256] ^= 1;
    let mut endless = whole.clone();
    endless[256 + 4..256 + 8].copy_from_slice(&u32::MAX.to_le_bytes());
    let cases: [&[u8]; 6] = [
        &whole,
        &wrong_sum,
        &endless,
        &whole[..whole.len() - 1],
        &whole[..300],
        &[0xff; 10_000],
    ];
    for (at, content) in cases.into_iter().enumerate() {
        let owner = if at == 0 { "me" } else { "other" };
        std::fs::write(&path, content).unwrap();
        let output = in_file(&dir, owner);
        assert_eq!(
            (output.end(), output.checkpoint()),
            (0, NOWHERE),
            "case {at}"
        );
        assert_eq!(output.record(Record::Pty), None);
        append(&output, b"new");
        drop(output);
        assert_eq!(in_file(&dir, owner).end(), 3);
    }
}

#[test]
fn a_file_that_cannot_be_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let output = in_file(&dir, "me");
    let path = dir.path().join("history");
    assert!(OutputBuffer::open(&path, "me", 0).is_err(), "it is in use");
    drop(output);
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(OutputBuffer::open(&link, "me", 0).is_err());
    assert!(OutputBuffer::open(dir.path(), "me", 0).is_err());
    assert!(OutputBuffer::open(&dir.path().join("none/history"), "me", 0).is_err());
}

#[test]
fn what_cannot_be_written_is_kept_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history");
    let output = in_file(&dir, "me");
    append(&output, b"before ");
    // The file is made read-only.
    let read_only = File::open(&path).unwrap();
    *output.file.write().unwrap() = read_only;
    append(&output, b"after");
    let mut cursor = Cursor::default();
    assert_eq!(take(&mut cursor, &output), b"before after");
    append(&output, b"!");
    assert_eq!(take(&mut cursor, &output), b"!");
}
