// SPDX-License-Identifier: MIT
//! The file of tenants: the tokens and certificates with which tenants log in. It
//! is read again for each login, so a removed line has no effect any more.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use console_proto::Tenant;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Longest file.
const FILE_MAX: u64 = 1 << 20;

/// A means of identification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Token,
    Certificate,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Certificate => "cert",
        }
    }
}

/// The path of the file; without one, there are no tenants.
pub(crate) struct Tenants(Option<PathBuf>);

impl Tenants {
    /// An error if the file cannot be read or parsed now.
    pub(crate) fn new(file: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(file) = file {
            parse(&read(file)?).with_context(|| file.display().to_string())?;
        }
        Ok(Self(file.map(Path::to_owned)))
    }

    /// Whether there is a file of tenants.
    pub(crate) fn are_listed(&self) -> bool {
        self.0.is_some()
    }

    /// The tenant of a token or certificate.
    pub(crate) fn find(&self, kind: Kind, secret: &[u8]) -> Option<Tenant> {
        let file = self.0.as_ref()?;
        let lines = read(file).and_then(|text| parse(&text));
        let lines = lines
            .inspect_err(|error| tracing::warn!("{}: {error:#}", file.display()))
            .ok()?;
        let hash = hash(secret);
        let mut lines = lines.into_iter();
        let line = lines.find(|line| line.kind == kind && line.hash == hash)?;
        Some(line.tenant)
    }
}

struct Line {
    kind: Kind,
    hash: String,
    tenant: Tenant,
}

fn read(file: &Path) -> anyhow::Result<String> {
    let what = || format!("the file of tenants {} cannot be read", file.display());
    let mut text = String::new();
    let opened = File::open(file).with_context(what)?;
    let mut opened = opened.take(FILE_MAX + 1);
    let length = opened.read_to_string(&mut text).with_context(what)?;
    if length as u64 > FILE_MAX {
        bail!("{}: longer than {FILE_MAX} bytes", what());
    }
    Ok(text)
}

fn parse(text: &str) -> anyhow::Result<Vec<Line>> {
    let lines = (1..).zip(text.lines().map(str::trim));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            parse_line(line).with_context(|| {
                format!("line {number} is neither `token SHA256 NAME` nor `cert SHA256 NAME`")
            })
        })
        .collect()
}

fn parse_line(line: &str) -> Option<Line> {
    let (word, rest) = line.split_once(char::is_whitespace)?;
    let (hash, name) = rest.trim_start().split_once(char::is_whitespace)?;
    let kind = [Kind::Token, Kind::Certificate]
        .into_iter()
        .find(|kind| kind.word() == word)?;
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then_some(Line {
        kind,
        hash: hash.to_ascii_lowercase(),
        tenant: Tenant::new(name.trim_start())?,
    })
}

fn hash(secret: &[u8]) -> String {
    hex(digest(&SHA256, secret).as_ref())
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    let digits = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    bytes.iter().flat_map(digits).collect()
}

/// 256 random bits.
pub(crate) fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.ok().context("the kernel gives no random numbers")?;
    Ok(hex(&bytes))
}

/// A token for a tenant of that name, and its line for the file.
pub fn new_token(name: &str) -> anyhow::Result<(String, String)> {
    let tenant = Tenant::new(name).context("a tenant's name has 1 to 128 bytes on one line")?;
    let token = random()?;
    let line = format!("{} {} {tenant}", Kind::Token.word(), hash(token.as_bytes()));
    Ok((token, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_tenant_s_while_its_line_is_there() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (token, line) = new_token("alice of sales").unwrap();
        std::fs::write(file.path(), format!("# people\n\n{line}\n")).unwrap();
        let tenants = Tenants::new(Some(file.path())).unwrap();
        let find = |kind, secret: &str| tenants.find(kind, secret.as_bytes());
        assert_eq!(
            find(Kind::Token, &token),
            Tenant::new("alice of sales"),
            "{line}"
        );
        assert_eq!(find(Kind::Certificate, &token), None);
        assert_eq!(find(Kind::Token, &token[1..]), None);
        assert_eq!(find(Kind::Token, ""), None);
        std::fs::write(file.path(), "").unwrap();
        assert_eq!(find(Kind::Token, &token), None);
        // With an invalid file nobody can log in.
        std::fs::write(file.path(), format!("{line}\nnonsense\n")).unwrap();
        assert_eq!(find(Kind::Token, &token), None);
    }

    #[test]
    fn errors_in_a_file_name_the_line() {
        let hash = "a".repeat(64);
        for line in [
            "token",
            "token x alice",
            &format!("token {hash}"),
            &format!("password {hash} alice"),
            &format!("token {}g alice", &hash[1..]),
            &format!("token {hash} al\u{7}ice"),
        ] {
            let error = parse(&format!("token {hash} bob\n{line}\n")).err().unwrap();
            assert!(error.to_string().starts_with("line 2 "), "{line}: {error}");
        }
        let missing = Tenants::new(Some(Path::new("/nonesuch"))).err().unwrap();
        assert!(missing.to_string().contains("/nonesuch"), "{missing}");
    }
}
