// SPDX-License-Identifier: MIT
//! The tables `[[access]]`: rights of users on consoles. They only grant, so
//! their order does not matter.

use std::fmt;

use console_proto::Tenant;
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Config;
use super::value::{Name, Pattern, SocketMode};

/// A right on a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// See that it exists.
    List,
    /// See its output from now on.
    Watch,
    /// See its earlier output.
    Log,
    /// Type into it.
    Type,
    /// Send it a break.
    Break,
    /// See its state on the host: its pty, its log, its viewers.
    Control,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::List,
        Self::Watch,
        Self::Log,
        Self::Type,
        Self::Break,
        Self::Control,
    ];
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "list",
            Self::Watch => "watch",
            Self::Log => "log",
            Self::Type => "type",
            Self::Break => "break",
            Self::Control => "control",
        })
    }
}

/// A set of rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    /// No right.
    pub const NONE: Self = Self(0);
    /// Every right.
    pub const ALL: Self = Self((1 << Right::ALL.len()) - 1);

    /// Whether the set has a right.
    #[must_use]
    pub fn has(self, right: Right) -> bool {
        self.0 & 1 << right as u8 != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// The union with another set.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The rights of the set.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.has(*right))
    }
}

impl FromIterator<Right> for Rights {
    /// A right includes those that it needs: a user who types sees the echo, and
    /// any right includes listing.
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        let with = |right| match right {
            Right::List => 0,
            Right::Type => 1 << Right::List as u8 | 1 << Right::Watch as u8,
            _ => 1 << Right::List as u8,
        };
        let bits = rights
            .into_iter()
            .map(|right| 1 << right as u8 | with(right));
        Self(bits.fold(0, |all, bits| all | bits))
    }
}

impl Serialize for Rights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Rights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Right>::deserialize(deserializer)?
            .into_iter()
            .collect())
    }
}

/// Domains, by a pattern for names or by UUID.
#[derive(Clone, Debug, PartialEq)]
pub enum Domains {
    /// Domains whose name matches.
    Named(Pattern),
    /// The domain with this UUID, in small letters.
    Uuid(String),
}

impl Domains {
    /// Whether a domain of that name and UUID matches.
    #[must_use]
    pub fn has(&self, name: &str, uuid: &str) -> bool {
        match self {
            Self::Named(pattern) => pattern.matches(name),
            Self::Uuid(wanted) => wanted.eq_ignore_ascii_case(uuid),
        }
    }
}

impl fmt::Display for Domains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(pattern) => pattern.fmt(f),
            Self::Uuid(uuid) => uuid.fmt(f),
        }
    }
}

impl Serialize for Domains {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Domains {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if is_uuid(&text) {
            return Ok(Self::Uuid(text.to_ascii_lowercase()));
        }
        let expected = &"a pattern for names, such as \"web-*\", or a UUID";
        let pattern = Pattern::new(&text);
        let pattern =
            pattern.ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), expected))?;
        Ok(Self::Named(pattern))
    }
}

/// Whether a text has the form 8-4-4-4-12 of a UUID.
fn is_uuid(text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = text.split('-').collect();
    let lengths = parts.iter().map(|part| part.len());
    lengths.eq([8, 4, 4, 4, 12]) && parts.iter().all(|part| is_hex(part))
}

/// One table.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "Fields", rename_all = "kebab-case")]
pub struct AccessRule {
    /// Users, by name or number.
    pub users: Vec<Name>,
    /// Groups, by name or number.
    pub groups: Vec<Name>,
    /// Tenants, who have no account here.
    pub tenants: Vec<Tenant>,
    /// Users whose processes may ask for those tenants.
    pub by: Vec<Name>,
    /// Domains that the rule is for.
    pub domains: Vec<Domains>,
    /// Consoles that the rule is for, such as `vuart0`.
    pub consoles: Vec<Pattern>,
    /// The granted rights.
    pub rights: Rights,
}

/// The keys of a table. A key whose absence would widen the rule has no default.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Fields {
    #[serde(default)]
    users: Vec<Name>,
    #[serde(default)]
    groups: Vec<Name>,
    #[serde(default)]
    tenants: Vec<Tenant>,
    #[serde(default)]
    by: Vec<Name>,
    #[serde(default)]
    domains: Vec<Domains>,
    #[serde(default = "all")]
    consoles: Vec<Pattern>,
    #[serde(default)]
    rights: Rights,
}

fn all() -> Vec<Pattern> {
    vec![Pattern::default()]
}

impl TryFrom<Fields> for AccessRule {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        let is_nobodys =
            fields.users.is_empty() && fields.groups.is_empty() && fields.tenants.is_empty();
        let missing = if is_nobodys {
            Some("`users`, `groups` or `tenants`")
        } else if fields.tenants.is_empty() != fields.by.is_empty() {
            Some("both `tenants` and `by`, the user whose processes ask for them, or neither")
        } else if fields.domains.is_empty() {
            Some("`domains`: patterns for names, or UUIDs")
        } else if fields.consoles.is_empty() {
            Some("`consoles`, or none of that key for all consoles")
        } else if fields.rights.is_empty() {
            Some("`rights`: list, watch, log, type, break, control")
        } else {
            None
        };
        let rule = Self {
            users: fields.users,
            groups: fields.groups,
            tenants: fields.tenants,
            by: fields.by,
            domains: fields.domains,
            consoles: fields.consoles,
            rights: fields.rights,
        };
        match missing {
            None => Ok(rule),
            Some(missing) => Err(format!("the rule for {rule} needs {missing}")),
        }
    }
}

/// Identifies the rule in errors: TOML's error has the line of the first table only.
impl fmt::Display for AccessRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |names: &[Name]| {
            let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
            names.join(", ")
        };
        let domains: Vec<String> = self.domains.iter().map(ToString::to_string).collect();
        let (users, groups) = (names(&self.users), names(&self.groups));
        let domains = domains.join(", ");
        write!(f, "users [{users}], groups [{groups}], ")?;
        if !self.tenants.is_empty() {
            let tenants: Vec<&str> = self.tenants.iter().map(AsRef::as_ref).collect();
            write!(f, "tenants [{}], ", tenants.join(", "))?;
        }
        write!(f, "domains [{domains}]")
    }
}

/// The mode of sockets when rules decide.
const EVERYBODY: SocketMode = SocketMode(0o666);

impl Config {
    /// The mode of a socket with that configured mode: while there are rules, a
    /// socket that was for its owner alone is open to all, because the rules
    /// decide.
    #[must_use]
    pub fn socket_mode(&self, configured: SocketMode) -> SocketMode {
        if self.access.is_empty() || configured != SocketMode::default() {
            configured
        } else {
            EVERYBODY
        }
    }
}
