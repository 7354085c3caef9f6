// SPDX-License-Identifier: MIT
//! Which Xen: a version with hooks, built in some way.

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
    /// That of a tree that the user has given.
    #[value(skip)]
    #[serde(skip)]
    Given,
}

impl Version {
    /// The version in Xen's makefile and in the names of folders.
    pub(crate) fn number(self) -> &'static str {
        match self {
            Self::V4_17 => "4.17",
            Self::V4_20 => "4.20",
            Self::Given => "given",
        }
    }

    /// The folder of its fetched source, below `target/`; trees with hooks and without
    /// are beside it.
    pub(crate) fn source(self) -> &'static str {
        match self {
            Self::V4_17 => "xen/src",
            Self::V4_20 => "xen/src-4.20",
            Self::Given => "xen/src-given",
        }
    }

    /// A step's name for this version.
    pub(crate) fn step(self, name: &str) -> String {
        match self {
            Self::V4_17 => name.to_owned(),
            Self::V4_20 | Self::Given => format!("{name} {}", self.number()),
        }
    }
}

/// How hypervisor and toolstack are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// With our hooks and the Rust object.
    Ours,
    /// The same, with Xen's assertions and lock checks, our trace points, and
    /// FLASK, which enforces the tree's own policy.
    Debug,
    /// The same as ours, with Xen's other vGIC.
    NewVgic,
    /// The same as ours, with accesses only by Xen's own path.
    NoFastTrap,
    /// With our hooks, and both of their options off.
    Off,
    /// As in Debian, with the room of our parameters and the fixed timer, and blank
    /// lines for our other hooks: `Off` is compared with it.
    Room,
    /// As in Debian.
    Stock,
}

/// The device; its fast path is on by default.
const RUST: &str = "CONFIG_VPL011_RUST=y";
/// A built-in FLASK policy.
const POLICY: &str = "CONFIG_XSM_FLASK_POLICY=y";

impl Flavour {
    /// Its only hooks, if it does not have all of them: those that no option turns off.
    pub(crate) fn only_hooks(self) -> Option<&'static [&'static str]> {
        (self == Self::Room).then_some(&["public-hvm-params", "vtimer-handler-is-done"])
    }

    /// The text after the version in the names of trees, and of steps.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Ours => ("", ""),
            Self::Debug => ("-debug", " (debug)"),
            Self::NewVgic => ("-new-vgic", " (new vGIC)"),
            Self::NoFastTrap => ("-no-fast-trap", " (no fast trap)"),
            Self::Off => ("-off", " (options off)"),
            Self::Room => ("-room", " (stock, with room)"),
            Self::Stock => ("-stock", " (stock)"),
        }
    }

    /// Whether it has hooks.
    pub(crate) fn is_hooked(self) -> bool {
        self != Self::Stock
    }

    /// Whether it has the Rust object.
    pub(crate) fn has_device(self) -> bool {
        self.options().contains(&RUST)
    }

    /// Whether it has a FLASK policy.
    pub(crate) fn has_policy(self) -> bool {
        self.options().contains(&POLICY)
    }

    /// The options of its configuration besides Xen's defaults.
    pub(crate) fn options(self) -> &'static [&'static str] {
        match self {
            Self::Ours => &[RUST],
            Self::Debug => &[
                RUST,
                "CONFIG_DEBUG=y",
                "CONFIG_DEBUG_LOCKS=y",
                "CONFIG_VPL011_TRACE=y",
                "CONFIG_XSM_FLASK_DEFAULT=y",
                POLICY,
            ],
            Self::NewVgic => &[RUST, "CONFIG_NEW_VGIC=y"],
            Self::NoFastTrap => &[RUST, "CONFIG_VPL011_FAST_TRAP=n"],
            Self::Off | Self::Room | Self::Stock => &[],
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

/// For the default version.
impl From<Flavour> for Which {
    fn from(flavour: Flavour) -> Self {
        Self {
            version: Version::default(),
            flavour,
        }
    }
}

impl Which {
    /// The tree's folder and the prefix of the names of its results.
    pub(crate) fn tree(self) -> String {
        let (suffix, _) = self.flavour.names();
        format!("{}{suffix}", self.version.number())
    }

    /// A step's name for it.
    pub(crate) fn step(self, name: &str) -> String {
        let (_, suffix) = self.flavour.names();
        self.version.step(name) + suffix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_share_a_tree_or_a_step() {
        let mut trees = std::collections::BTreeSet::new();
        let mut steps = std::collections::BTreeSet::new();
        for version in [Version::V4_17, Version::V4_20, Version::Given] {
            use Flavour::{Debug, NewVgic, NoFastTrap, Off, Ours, Room, Stock};
            for flavour in [Ours, Debug, NewVgic, NoFastTrap, Off, Room, Stock] {
                let which = Which { version, flavour };
                assert!(trees.insert(which.tree()), "{which:?}");
                assert!(steps.insert(which.step("build")), "{which:?}");
            }
        }
        assert_eq!(Which::from(Flavour::Stock).tree(), "4.17-stock");
    }
}
