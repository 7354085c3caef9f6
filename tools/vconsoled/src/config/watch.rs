// SPDX-License-Identifier: MIT
//! The tables `[[watch]]`: lines of guests' output that are counted and reported.

use std::sync::{Arc, LazyLock};

use regex::bytes::{Regex, RegexBuilder};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::access::Domains;
use super::value::Pattern;

/// Most tables.
const WATCH_MAX: usize = 64;
/// Memory limits in bytes: of a compiled expression, and of its DFA cache.
const COMPILED_MAX: usize = 64 * 1024;
const CACHE_MAX: usize = 256 * 1024;
/// Longest name, in bytes.
const NAME_MAX: usize = 32;

/// All tables.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "Vec<WatchRule>")]
pub struct WatchRules(pub(super) Vec<WatchRule>);

impl TryFrom<Vec<WatchRule>> for WatchRules {
    type Error = String;

    fn try_from(rules: Vec<WatchRule>) -> Result<Self, Self::Error> {
        if rules.len() > WATCH_MAX {
            return Err(format!("there may be {WATCH_MAX} tables [[watch]] at most"));
        }
        let twin = |(at, rule): (usize, &WatchRule)| {
            let mut before = rules[..at].iter();
            before
                .any(|one| one.name == rule.name)
                .then_some(rule.name.0.clone())
        };
        match rules.iter().enumerate().find_map(twin) {
            Some(name) => Err(format!("two tables [[watch]] have the name {name:?}")),
            None => Ok(Self(rules)),
        }
    }
}

impl WatchRules {
    /// The rules for a console, by its domain's name and UUID and its own name.
    #[must_use]
    pub fn of(&self, domain: &str, uuid: &str, console: &str) -> Vec<&WatchRule> {
        let rules = self.0.iter();
        let fits = |rule: &&WatchRule| {
            rule.domains.iter().any(|one| one.has(domain, uuid))
                && rule.consoles.iter().any(|one| one.matches(console))
        };
        rules.filter(fits).collect()
    }
}

/// One table.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "Fields", rename_all = "kebab-case")]
pub struct WatchRule {
    /// The rule's name in counters and the journal.
    pub(crate) name: WatchName,
    /// Domains that the rule is for.
    pub(crate) domains: Vec<Domains>,
    /// Consoles that the rule is for, such as `vuart0`.
    pub(crate) consoles: Vec<Pattern>,
    /// The operator's expression; without it, that of [`Set`].
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    own: Option<Expression>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<Set>,
}

impl WatchRule {
    /// The expression that matches the rule's lines.
    #[must_use]
    pub fn regex(&self) -> Arc<Regex> {
        match (&self.own, self.set) {
            (Some(own), _) => Arc::clone(&own.0),
            (None, set) => set.unwrap_or_default().regex(),
        }
    }
}

/// The keys of a table.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Fields {
    name: WatchName,
    #[serde(default = "all_domains")]
    domains: Vec<Domains>,
    #[serde(default = "all_consoles")]
    consoles: Vec<Pattern>,
    #[serde(rename = "match")]
    own: Option<Expression>,
    set: Option<Set>,
}

fn all_domains() -> Vec<Domains> {
    vec![Domains::Named(Pattern::default())]
}

fn all_consoles() -> Vec<Pattern> {
    vec![Pattern::default()]
}

impl TryFrom<Fields> for WatchRule {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        let name = &fields.name.0;
        if fields.own.is_some() == fields.set.is_some() {
            return Err(format!(
                "the table [[watch]] {name:?} needs either `match`, a regular expression, or `set`"
            ));
        }
        if fields.domains.is_empty() || fields.consoles.is_empty() {
            return Err(format!(
                "the table [[watch]] {name:?} is for no console: leave out `domains` or `consoles` \
                 for all"
            ));
        }
        Ok(Self {
            name: fields.name,
            domains: fields.domains,
            consoles: fields.consoles,
            own: fields.own,
            set: fields.set,
        })
    }
}

/// The name of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub(crate) struct WatchName(String);

impl AsRef<str> for WatchName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for WatchName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if (1..=NAME_MAX).contains(&text.len()) && text.chars().all(is_plain) {
            return Ok(Self(text));
        }
        let expected = &"a name of at most 32 letters, digits, `-`, `_` and `.`";
        Err(D::Error::invalid_value(Unexpected::Str(&text), expected))
    }
}

/// The operator's regular expression.
#[derive(Clone, Debug)]
struct Expression(Arc<Regex>);

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_str().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        compiled(&text).map(Self).map_err(D::Error::custom)
    }
}

fn compiled(text: &str) -> Result<Arc<Regex>, regex::Error> {
    let mut builder = RegexBuilder::new(text);
    let builder = builder.unicode(false);
    let builder = builder.size_limit(COMPILED_MAX).dfa_size_limit(CACHE_MAX);
    builder.build().map(Arc::new)
}

/// Predefined expressions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Set {
    /// A kernel panic: Linux, the BSDs.
    #[default]
    KernelPanic,
    /// A fault that Linux' kernel survived: one line of each.
    Oops,
    /// Linux kills a process because it is out of memory.
    OutOfMemory,
    /// A getty's prompt for a name.
    LoginPrompt,
}

impl Set {
    const ALL: [(Self, &str); 4] = [
        (
            Self::KernelPanic,
            r"(?:^|[\]>] ?)Kernel panic - not syncing|^panic(?:: |\[)",
        ),
        // The kernel numbers each fault that it counts.
        (
            Self::Oops,
            r"(?:Oops|Internal error|invalid opcode|fault|divide error).*\[#[0-9]+\]",
        ),
        (Self::OutOfMemory, r"(?i)out of memory: kill(?:ed)? process"),
        (Self::LoginPrompt, r"^(?:\S+ )?login: $"),
    ];

    fn regex(self) -> Arc<Regex> {
        static SETS: LazyLock<Vec<(Set, Arc<Regex>)>> = LazyLock::new(|| {
            let sets = Set::ALL.into_iter();
            let sets = sets.filter_map(|(set, text)| Some((set, compiled(text).ok()?)));
            sets.collect()
        });
        let set = SETS.iter().find(|(set, _)| *set == self);
        Arc::clone(&set.expect("each is among them and can be compiled").1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn rules(text: &str) -> Result<Vec<WatchRule>, String> {
        let config = Config::parse(text);
        config
            .map(|config| config.watch.0)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_table_is_for_all_consoles_unless_it_names_some() {
        let text = "[[watch]]\nname = \"a\"\nset = \"oops\"\n\
                    [[watch]]\nname = \"b\"\nmatch = \"x\"\ndomains = [\"web-*\", \
                    \"00000000-0000-0000-0000-00000000000A\"]\nconsoles = [\"vuart?\"]\n";
        let watch = Config::parse(text).unwrap().watch;
        let names = |domain, uuid, console| {
            let rules = watch.of(domain, uuid, console).into_iter();
            rules.map(|rule| rule.name.0.as_str()).collect::<String>()
        };
        let uuid = "00000000-0000-0000-0000-00000000000a";
        assert_eq!(names("db", "", "pv0"), "a");
        assert_eq!(names("web-1", "", "vuart0"), "ab");
        assert_eq!(names("web-1", "", "pv0"), "a");
        assert_eq!(names("db", uuid, "vuart0"), "ab");
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_a_message() {
        let table = |keys: &str| rules(&format!("[[watch]]\n{keys}\n")).unwrap_err();
        for (keys, words) in [
            ("set = \"oops\"", "missing field `name`"),
            ("name = \"a b\"\nset = \"oops\"", "line 2"),
            ("name = \"\"\nset = \"oops\"", "a name of at most 32"),
            (
                "name = \"a\\u0022\"\nset = \"oops\"",
                "a name of at most 32",
            ),
            ("name = \"a\"", "\"a\" needs either `match`"),
            (
                "name = \"a\"\nset = \"oops\"\nmatch = \"x\"",
                "\"a\" needs either `match`",
            ),
            ("name = \"a\"\nset = \"crash\"", "`kernel-panic`, `oops`"),
            (
                "name = \"a\"\nset = \"oops\"\ndomains = []",
                "is for no console",
            ),
            (
                "name = \"a\"\nset = \"oops\"\nconsoles = []",
                "is for no console",
            ),
            ("name = \"a\"\nmatch = \"(\"", "line 3"),
            ("name = \"a\"\nmatch = \"a(b\"", "unclosed group"),
            ("name = \"a\"\nmatch = '(a)\\1'", "backreferences"),
            ("name = \"a\"\nmatch = '(?=a)'", "look-around"),
            ("name = \"a\"\nmatch = '(a{1000}){1000}'", "size limit"),
        ] {
            let said = table(keys);
            assert!(said.contains(words), "{keys}: {said}");
        }
        let twins = "[[watch]]\nname = \"a\"\nset = \"oops\"\n".repeat(2);
        assert!(rules(&twins).unwrap_err().contains("have the name \"a\""));
        let table = |at: usize| format!("[[watch]]\nname = \"{at}\"\nset = \"oops\"\n");
        let tables = |count| (0..count).map(table).collect::<String>();
        assert_eq!(rules(&tables(WATCH_MAX)).unwrap().len(), WATCH_MAX);
        assert!(
            rules(&tables(WATCH_MAX + 1))
                .unwrap_err()
                .contains("64 tables")
        );
    }

    /// Lines as systems print them, with the set that matches each.
    #[test]
    fn sets_have_the_lines_that_they_are_for_and_each_once() {
        for (line, expected) in [
            (
                "[    1.0] Kernel panic - not syncing: VFS: Unable to mount root fs",
                Some(Set::KernelPanic),
            ),
            ("Kernel panic - not syncing: sysrq", Some(Set::KernelPanic)),
            (
                "[    1.0] ---[ end Kernel panic - not syncing: x ]---",
                None,
            ),
            ("panic: page fault", Some(Set::KernelPanic)),
            ("don't panic: it is a test", None),
            (
                "[    1.0] Unable to handle kernel NULL pointer dereference at virtual address 8",
                None,
            ),
            (
                "[    1.0] Internal error: Oops: 0000000096000004 [#1] PREEMPT SMP",
                Some(Set::Oops),
            ),
            ("BUG: unable to handle page fault for address: ffff", None),
            ("Oops: 0000 [#2] SMP PTI", Some(Set::Oops)),
            ("invalid opcode: 0000 [#1] SMP", Some(Set::Oops)),
            ("[#3] Oops", None),
            (
                "[    1.0] Out of memory: Killed process 7 (stress) total-vm:1kB",
                Some(Set::OutOfMemory),
            ),
            (
                "Memory cgroup out of memory: Killed process 7 (stress)",
                Some(Set::OutOfMemory),
            ),
            (
                "Out of memory: Kill process 7 (a) score 9",
                Some(Set::OutOfMemory),
            ),
            ("Killed process 7 (a)", None),
            ("web-1 login: ", Some(Set::LoginPrompt)),
            ("login: ", Some(Set::LoginPrompt)),
            ("web-1 login: root", None),
            ("Last login: Sun Nov 29 17:03:05 UTC 2026 on ttyAMA0", None),
        ] {
            let sets = Set::ALL.into_iter().map(|(set, _)| set);
            let having = sets.filter(|set| set.regex().is_match(line.as_bytes()));
            assert_eq!(
                having.collect::<Vec<_>>(),
                Vec::from_iter(expected),
                "{line}"
            );
        }
    }
}
