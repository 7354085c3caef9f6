// SPDX-License-Identifier: MIT
//! The output of a console.

/// All output, and how much of it was consumed.
#[derive(Debug, Default)]
pub struct Screen {
    shown: Vec<u8>,
    seen: usize,
}

impl Screen {
    /// Adds output.
    pub fn show(&mut self, bytes: &[u8]) {
        self.shown.extend_from_slice(bytes);
    }

    /// All output so far.
    #[must_use]
    pub fn shown(&self) -> &[u8] {
        &self.shown
    }

    /// The output that was not consumed yet.
    #[must_use]
    pub fn fresh(&self) -> &[u8] {
        &self.shown[self.seen..]
    }

    /// Consumes `length` more bytes, if available.
    pub fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let bytes = self.fresh().get(..length)?.to_vec();
        self.seen += length;
        Some(bytes)
    }

    /// Finds the pattern that ends first in the output not consumed yet, and
    /// consumes everything up to its end. Returns its index in `patterns`, and the
    /// bytes before it. `skip` is 0 for new patterns. Without a match it becomes
    /// the number of bytes in which none of them begins, so that a flood is not
    /// searched again for every byte.
    pub fn find(&mut self, patterns: &[&[u8]], skip: &mut usize) -> Option<(usize, Vec<u8>)> {
        let fresh = &self.fresh()[*skip..];
        let found = patterns
            .iter()
            .enumerate()
            .filter_map(|(which, pattern)| {
                let mut parts = fresh.windows(pattern.len());
                let start = parts.position(|part| part == *pattern)?;
                Some((start + pattern.len(), start, which))
            })
            .min();
        let Some((end, start, which)) = found else {
            let longest = patterns.iter().map(|pattern| pattern.len()).max();
            let tail = longest.unwrap_or(0).saturating_sub(1);
            *skip = self.fresh().len().saturating_sub(tail).max(*skip);
            return None;
        };
        let before = self.fresh()[..*skip + start].to_vec();
        self.seen += *skip + end;
        Some((which, before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_that_ends_first_wins_and_what_follows_is_kept() {
        let mut screen = Screen::default();
        let mut skip = 0;
        assert_eq!(screen.find(&[b"# "], &mut skip), None);
        screen.show(b"Debian\r\nlogi");
        assert_eq!(screen.find(&[b"# ", b"login: "], &mut skip), None);
        screen.show(b"n: # x");
        assert_eq!(
            screen.find(&[b"# ", b"login: "], &mut skip),
            Some((1, b"Debian\r\n".to_vec()))
        );
        let mut find = |patterns: &[&[u8]]| screen.find(patterns, &mut 0);
        assert_eq!(find(&[b"# ", b"login: "]), Some((0, b"".to_vec())));
        assert_eq!(find(&[b"login: "]), None);
        assert_eq!(find(&[b"x"]), Some((0, b"".to_vec())));
    }

    #[test]
    fn what_was_read_is_not_found_again() {
        let mut screen = Screen::default();
        let mut find = |more: &[u8]| {
            screen.show(more);
            screen.find(&[b"# "], &mut 0).map(|(_, before)| before)
        };
        assert_eq!(find(b""), None);
        assert_eq!(find(b"a# b"), Some(b"a".to_vec()));
        assert_eq!(find(b""), None);
        assert_eq!(find(b"# "), Some(b"b".to_vec()));
    }

    #[test]
    fn a_pattern_is_found_however_it_is_cut() {
        for cut in 1..10 {
            let (mut screen, mut skip) = (Screen::default(), 0);
            let text = b"flood\r\nend> rest";
            screen.show(&text[..cut]);
            assert_eq!(screen.find(&[b"\r\nend>"], &mut skip), None);
            screen.show(&text[cut..]);
            let found = screen.find(&[b"\r\nend>"], &mut skip);
            assert_eq!(found, Some((0, b"flood".to_vec())), "cut at {cut}");
            assert_eq!(screen.take(5), Some(b" rest".to_vec()));
            assert_eq!(screen.take(1), None);
        }
    }
}
