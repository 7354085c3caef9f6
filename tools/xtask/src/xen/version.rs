// SPDX-License-Identifier: MIT
//! Which Xen: a version that there are hooks for, built in some way.

use clap::ValueEnum;
use serde::Deserialize;

/// A version of Xen that there are hooks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Deserialize)]
pub(crate) enum Version {
    /// Debian 12's.
    #[default]
    #[value(name = "4.17")]
    #[serde(rename = "4.17")]
    V4_17,
    /// Debian 13's.
    #[value(name = "4.20")]
    #[serde(rename = "4.20")]
    V4_20,
}

impl Version {
    /// As Xen's makefile states it.
    pub(crate) fn number(self) -> &'static str {
        match self {
            Self::V4_17 => "4.17",
            Self::V4_20 => "4.20",
        }
    }

    /// The folder of its source as fetched.
    pub(crate) fn source(self) -> &'static str {
        match self {
            Self::V4_17 => "src",
            Self::V4_20 => "src-4.20",
        }
    }

    /// A step's name for this version.
    pub(crate) fn step(self, name: &str) -> String {
        match self {
            Self::V4_17 => name.to_owned(),
            Self::V4_20 => format!("{name} {}", self.number()),
        }
    }
}

/// How hypervisor and toolstack are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// With our hooks and the Rust object.
    Ours,
    /// The same, with Xen's assertions and lock checks.
    Debug,
    /// The same as ours, with Xen's other implementation of the vGIC.
    NewVgic,
    /// As Debian has it.
    Stock,
}

impl Flavour {
    /// Whether it has our hooks and the Rust object.
    pub(crate) fn is_hooked(self) -> bool {
        self != Self::Stock
    }

    /// What its configuration has beside Xen's defaults.
    pub(crate) fn options(self) -> &'static [&'static str] {
        match self {
            Self::Ours | Self::Stock => &[],
            Self::Debug => &["CONFIG_DEBUG=y", "CONFIG_DEBUG_LOCKS=y"],
            Self::NewVgic => &["CONFIG_NEW_VGIC=y"],
        }
    }

    /// A step's name for this flavour of the default version.
    pub(crate) fn step(self, name: &str) -> String {
        Which::from(self).step(name)
    }
}

/// A flavour of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Which {
    pub(crate) version: Version,
    pub(crate) flavour: Flavour,
}

/// Of the default version.
impl From<Flavour> for Which {
    fn from(flavour: Flavour) -> Self {
        Self {
            version: Version::default(),
            flavour,
        }
    }
}

impl Which {
    /// The tree's folder and the beginning of the names of what is made of it.
    pub(crate) fn tree(self) -> String {
        let suffix = match self.flavour {
            Flavour::Ours => "",
            Flavour::Debug => "-debug",
            Flavour::NewVgic => "-new-vgic",
            Flavour::Stock => "-stock",
        };
        format!("{}{suffix}", self.version.number())
    }

    /// A step's name for it.
    pub(crate) fn step(self, name: &str) -> String {
        let name = self.version.step(name);
        match self.flavour {
            Flavour::Ours => name,
            Flavour::Debug => format!("{name} (debug)"),
            Flavour::NewVgic => format!("{name} (new vGIC)"),
            Flavour::Stock => format!("{name} (stock)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_share_a_tree_or_a_step() {
        let mut trees = std::collections::BTreeSet::new();
        let mut steps = std::collections::BTreeSet::new();
        for &version in Version::value_variants() {
            use Flavour::{Debug, NewVgic, Ours, Stock};
            for flavour in [Ours, Debug, NewVgic, Stock] {
                let which = Which { version, flavour };
                assert!(trees.insert(which.tree()), "{which:?}");
                assert!(steps.insert(which.step("build")), "{which:?}");
            }
        }
        assert_eq!(Which::from(Flavour::Stock).tree(), "4.17-stock");
    }
}
