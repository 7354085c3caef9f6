// SPDX-License-Identifier: MIT
//! One event, and the forms in which it is recorded.

use std::fmt;

use jiff::Timestamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::access::{Caller, Way};

/// Longest text from outside, in characters.
const TEXT_MAX: usize = 256;

/// An event of the audit.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(super) name: &'static str,
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl Event {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            fields: Vec::new(),
        }
    }

    /// Adds a field.
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::String(text) if text.len() > TEXT_MAX => {
                text.chars().take(TEXT_MAX).collect::<String>().into()
            }
            value => value,
        };
        self.fields.push((key, value));
        self
    }

    /// Adds a field if its value is known.
    pub(crate) fn maybe(self, key: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds the caller.
    pub(crate) fn by(self, caller: &Caller) -> Self {
        let tenant = caller.tenant.as_ref().map(ToString::to_string);
        self.maybe("uid", (caller.uid != u32::MAX).then_some(caller.uid))
            .maybe("pid", (caller.pid != 0).then_some(caller.pid))
            .maybe("tenant", tenant)
            .with(
                "way",
                match caller.way {
                    Way::Control => "control",
                    Way::Console => "socket",
                },
            )
    }

    /// The caller's user, if known.
    pub(super) fn uid(&self) -> Option<u32> {
        let mut fields = self.fields.iter();
        let (_, uid) = fields.find(|(key, _)| *key == "uid")?;
        u32::try_from(uid.as_u64()?).ok()
    }

    /// Adds the console, such as `3/vuart0`, and its domain's name.
    pub(crate) fn at(self, console: &str, domain: &str) -> Self {
        self.with("console", console).with("domain", domain)
    }
}

/// The form in messages: on one line, for any text.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        let mut fields = self.fields.iter();
        fields.try_for_each(|(key, value)| match value {
            Value::String(text) => write!(f, " {key}={text:?}"),
            value => write!(f, " {key}={value}"),
        })
    }
}

/// An event with its time.
#[derive(Debug)]
pub(super) struct Stamped {
    pub(super) time: Timestamp,
    pub(super) event: Event,
}

impl Stamped {
    pub(super) fn now(event: Event) -> Self {
        let time = Timestamp::now();
        Self { time, event }
    }
}

/// The JSON form.
impl Serialize for Stamped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &format_args!("{:.3}", self.time))?;
        map.serialize_entry("event", self.event.name)?;
        for (key, value) in &self.event.fields {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}
