// SPDX-License-Identifier: MIT
//! Results of the conformance suite's cases, on any target.

use conformance::protocol::{self, Request};
use conformance::{Stop, Verdict};
use serde::{Deserialize, Serialize};

/// The result of a case.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "ending", content = "why")]
pub enum Ending {
    /// It passed.
    Pass,
    /// It failed.
    Fail(String),
    /// The target cannot run it.
    NotApplicable(String),
    /// The target ended before it.
    Missing,
}

impl From<Verdict> for Ending {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Ok(()) => Self::Pass,
            Err(stop @ Stop::Failed(_)) => Self::Fail(stop.to_string()),
            Err(stop @ Stop::NotPossible(_)) => Self::NotApplicable(stop.to_string()),
        }
    }
}

impl Ending {
    /// Whether this is a failure of a target that must pass all cases.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Fail(_) | Self::Missing)
    }
}

/// The results of all cases on one target, in their order.
pub type Results = Vec<Ending>;

/// The results that a remote suite has sent so far.
#[derive(Debug, Default)]
pub struct Verdicts(Results);

impl Verdicts {
    /// Adds a verdict; returns whether the suite is done.
    pub fn take(&mut self, request: &Request<'_>) -> bool {
        if let Request::Verdict { case, ending, why } = *request {
            let why = String::from_utf8_lossy(why).into_owned();
            let ending = match ending {
                protocol::Ending::Passed => Ending::Pass,
                protocol::Ending::Failed => Ending::Fail(why),
                protocol::Ending::NotPossible => Ending::NotApplicable(why),
            };
            self.0.resize(case.into(), Ending::Missing);
            self.0.push(ending);
        }
        *request == Request::Done
    }

    /// The results, with an entry for each case.
    #[must_use]
    pub fn finish(mut self) -> Results {
        self.0.resize(conformance::all().count(), Ending::Missing);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_without_a_verdict_is_missing() {
        let mut verdicts = Verdicts::default();
        assert!(!verdicts.take(&Request::Verdict {
            case: 1,
            ending: protocol::Ending::Failed,
            why: b"so",
        }));
        assert!(verdicts.take(&Request::Done));
        let results = verdicts.finish();
        assert_eq!(results[..2], [Ending::Missing, Ending::Fail("so".into())]);
        assert_eq!(results.len(), conformance::all().count());
        assert!(results.iter().all(Ending::is_fault));
    }
}
