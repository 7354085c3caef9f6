// SPDX-License-Identifier: MIT
//! The figures, what they are compared with, and the goals.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A machine's results, by figure.
pub(crate) type Found = BTreeMap<String, f64>;

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Instructions of one nanosecond each.
    Instructions,
    /// The same, in milliseconds of the machine's time.
    Milliseconds,
    /// A number.
    Count,
    /// Bytes of memory.
    Bytes,
    /// One divided by another.
    Ratio,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Instructions => format!("{value:.1}"),
            Self::Milliseconds => format!("{:.2} ms", value / 1e6),
            Self::Count => format!("{value:.0}"),
            Self::Bytes => format!("{value:.0} B"),
            Self::Ratio => format!("{value:.2}"),
        }
    }
}

/// A limit of our figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// So many times the cost of an access without effect.
    Floor(f64),
    /// So many times stock's figure.
    Stock(f64),
    /// A value.
    Value(f64),
    /// Another figure of stock.
    Other(&'static str),
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// The name in the machine's report.
    pub(crate) key: &'static str,
    /// Its title.
    pub(crate) title: &'static str,
    /// Its unit.
    pub(crate) unit: Unit,
    /// Stock's figure for the cost of the trap alone.
    pub(crate) floor: Option<&'static str>,
    /// The limits of ours.
    pub(crate) goals: &'static [Goal],
}

/// An access that stock's device ignores, for reads and writes.
const READ_FLOOR: &str = "rsr_read";
const WRITE_FLOOR: &str = "fr_write";

const fn access(
    key: &'static str,
    title: &'static str,
    floor: &'static str,
    goals: &'static [Goal],
) -> Figure {
    Figure {
        key,
        title,
        unit: Unit::Instructions,
        floor: Some(floor),
        goals,
    }
}

const fn figure(
    key: &'static str,
    title: &'static str,
    unit: Unit,
    goals: &'static [Goal],
) -> Figure {
    Figure {
        key,
        title,
        unit,
        floor: None,
        goals,
    }
}

/// In the order of the table.
pub(crate) const FIGURES: &[Figure] = &[
    access("fr_write", "FR write (ignored)", WRITE_FLOOR, &[]),
    access("rsr_read", "RSR read", READ_FLOOR, &[]),
    access(
        "dr_write",
        "DR write, ring with room",
        WRITE_FLOOR,
        &[Goal::Floor(1.10)],
    ),
    access("fr_read", "FR read", READ_FLOOR, &[Goal::Floor(1.08)]),
    access("ris_read", "RIS read", READ_FLOOR, &[Goal::Floor(1.08)]),
    access(
        "imsc_write",
        "IMSC write that changes nothing",
        WRITE_FLOOR,
        &[Goal::Floor(1.08)],
    ),
    access(
        "imsc_change",
        "IMSC write that changes it",
        WRITE_FLOOR,
        &[Goal::Value(300.0)],
    ),
    access("icr_write", "ICR write", WRITE_FLOOR, &[Goal::Floor(1.08)]),
    figure(
        "polled_byte",
        "64 KiB polled (FR, DR), a byte",
        Unit::Instructions,
        &[Goal::Value(1500.0)],
    ),
    figure(
        "ttyama0_64k",
        "64 KiB written to ttyAMA0 by Linux",
        Unit::Milliseconds,
        &[Goal::Value(60e6), Goal::Other("hvc0_64k")],
    ),
    figure(
        "hvc0_64k",
        "64 KiB written to hvc0 by Linux",
        Unit::Milliseconds,
        &[],
    ),
    figure(
        "ttyama0_1m",
        "1 MiB written to ttyAMA0 by Linux",
        Unit::Milliseconds,
        &[Goal::Value(1e9)],
    ),
    figure(
        "earlycon_boot",
        "boot log by earlycon, to a shell",
        Unit::Milliseconds,
        &[Goal::Stock(0.6)],
    ),
    figure(
        "silent_boot",
        "the same boot, nothing printed",
        Unit::Milliseconds,
        &[],
    ),
    figure(
        "paste_64k",
        "64 KiB pasted into ttyAMA0",
        Unit::Milliseconds,
        &[Goal::Value(200e6)],
    ),
    figure(
        "ttyama0_64k_interrupts_count",
        "guest interrupts for 64 KiB out",
        Unit::Count,
        &[Goal::Value(65536.0 / 16.0)],
    ),
    figure(
        "ttyama0_64k_doorbells_count",
        "doorbells for 64 KiB out",
        Unit::Count,
        &[Goal::Value(64.0)],
    ),
    figure(
        "paste_64k_interrupts_count",
        "guest interrupts for 64 KiB in",
        Unit::Count,
        &[Goal::Value(65536.0 / 16.0)],
    ),
    figure(
        "ttyama0_1m_daemon",
        "console daemon, 1 MiB of output",
        Unit::Milliseconds,
        &[Goal::Stock(1.0 / 3.0)],
    ),
    figure(
        "echo",
        "one byte to the guest and back",
        Unit::Milliseconds,
        &[Goal::Stock(1.0)],
    ),
    figure(
        "crowd_total",
        "8 guests, 16 KiB each, until the last is done",
        Unit::Milliseconds,
        &[Goal::Stock(0.5)],
    ),
    figure(
        "crowd_spread_ratio",
        "of these, slowest by fastest",
        Unit::Ratio,
        &[Goal::Value(1.2)],
    ),
    figure(
        "beside_a_poller",
        "300 ms of computing beside a guest that polls",
        Unit::Milliseconds,
        &[Goal::Value(315e6)],
    ),
    figure(
        "hypercall",
        "no UART: null hypercall",
        Unit::Instructions,
        &[Goal::Stock(1.0)],
    ),
    figure(
        "hypercall_pending",
        "no UART: the same, an interrupt pending",
        Unit::Instructions,
        &[Goal::Stock(1.0)],
    ),
    figure(
        "event_pending",
        "no UART: event, an interrupt pending",
        Unit::Instructions,
        &[Goal::Stock(1.0)],
    ),
    figure(
        "interrupt_between",
        "no UART: interrupt from vCPU to vCPU",
        Unit::Instructions,
        &[Goal::Stock(1.0)],
    ),
    figure(
        "size_text",
        "the device in the hypervisor, text",
        Unit::Bytes,
        &[Goal::Value(8192.0)],
    ),
    figure("size_rodata", "the same, rodata", Unit::Bytes, &[]),
    figure(
        "size_all",
        "the same with its glue, text and rodata",
        Unit::Bytes,
        &[],
    ),
    figure(
        "size_state",
        "state of a domain's device",
        Unit::Bytes,
        &[Goal::Value(512.0)],
    ),
];

impl Figure {
    /// Whether ours meets every goal; `None` if there is none, or no figure to compare
    /// with.
    pub(crate) fn met(&self, stock: &Found, ours: &Found) -> Option<bool> {
        let value = *ours.get(self.key)?;
        let limits: Option<Vec<f64>> = self
            .goals
            .iter()
            .map(|goal| self.limit(*goal, stock))
            .collect();
        let limits = limits?;
        (!limits.is_empty()).then(|| limits.iter().all(|limit| value <= *limit))
    }

    /// The limit of ours, if any.
    pub(crate) fn goal(&self, stock: &Found) -> Option<f64> {
        let limits = self
            .goals
            .iter()
            .filter_map(|goal| self.limit(*goal, stock));
        limits.reduce(f64::min)
    }

    /// A goal as a value.
    fn limit(&self, goal: Goal, stock: &Found) -> Option<f64> {
        match goal {
            Goal::Floor(times) => Some(stock.get(self.floor?)? * times),
            Goal::Stock(times) => Some(stock.get(self.key)? * times),
            Goal::Value(value) => Some(value),
            Goal::Other(key) => stock.get(key).copied(),
        }
    }

    /// The cells of its line in the table.
    fn cells(&self, stock: &Found, ours: &Found) -> [String; 7] {
        let show = |value: Option<&f64>| value.map_or("-".into(), |value| self.unit.show(*value));
        let (theirs, our) = (stock.get(self.key), ours.get(self.key));
        let ratio = match (our, theirs) {
            (Some(our), Some(theirs)) if *theirs > 0.0 => format!("{:.2}", our / theirs),
            _ => "-".into(),
        };
        let limit = self.goal(stock);
        let met = match self.met(stock, ours) {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        [
            self.title.to_owned(),
            show(self.floor.and_then(|floor| stock.get(floor))),
            show(theirs),
            show(our),
            ratio,
            show(limit.as_ref()),
            met.to_owned(),
        ]
    }
}

/// The table, in Markdown.
pub(crate) fn table(figures: &[&Figure], stock: &Found, ours: &Found) -> String {
    let head = [
        "figure",
        "trap floor",
        "stock",
        "ours",
        "ours/stock",
        "goal",
        "",
    ];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(figures.iter().map(|figure| figure.cells(stock, ours)));
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].len())
            .max()
            .unwrap_or(0)
            .max(3)
    };
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut text = String::new();
    for (n, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            // Words to the left, numbers to the right.
            let _ = match column {
                0 => write!(text, "| {cell:<width$} "),
                _ => write!(text, "| {cell:>width$} "),
            };
        }
        text.push_str("|\n");
        if n == 0 {
            for (column, width) in widths.iter().enumerate() {
                let end = if column == 0 { '-' } else { ':' };
                let _ = write!(text, "| {}{end} ", "-".repeat(width - 1));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(figures: &[(&str, f64)]) -> Found {
        figures
            .iter()
            .map(|(key, value)| ((*key).to_owned(), *value))
            .collect()
    }

    fn by_key(key: &str) -> &'static Figure {
        FIGURES.iter().find(|figure| figure.key == key).unwrap()
    }

    #[test]
    fn a_goal_is_met_up_to_its_limit() {
        let stock = found(&[("fr_write", 500.0), ("dr_write", 900.0)]);
        let met = |value| by_key("dr_write").met(&stock, &found(&[("dr_write", value)]));
        assert_eq!(met(550.0), Some(true));
        assert_eq!(met(550.5), Some(false));
        // Nothing to compare with, and a figure that was not measured.
        assert_eq!(
            by_key("dr_write").met(&found(&[]), &found(&[("dr_write", 1.0)])),
            None
        );
        assert_eq!(by_key("fr_write").met(&stock, &stock), None);
    }

    #[test]
    fn every_goal_of_a_figure_counts() {
        let stock = found(&[("ttyama0_64k", 180e6), ("hvc0_64k", 50e6)]);
        let met = |value| by_key("ttyama0_64k").met(&stock, &found(&[("ttyama0_64k", value)]));
        assert_eq!(met(49e6), Some(true));
        assert_eq!(met(55e6), Some(false));
        assert_eq!(met(65e6), Some(false));
    }

    #[test]
    fn the_table_shows_which_goal_was_missed() {
        let stock = found(&[("rsr_read", 579.0), ("fr_read", 636.0)]);
        let text = table(&[by_key("fr_read")], &stock, &found(&[("fr_read", 640.0)]));
        let line = text.lines().nth(2).unwrap();
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        assert_eq!(
            cells[1..8],
            [
                "FR read", "579.0", "636.0", "640.0", "1.01", "625.3", "MISSED"
            ]
        );
    }

    #[test]
    fn keys_are_unique() {
        let keys: std::collections::BTreeSet<_> = FIGURES.iter().map(|f| f.key).collect();
        assert_eq!(keys.len(), FIGURES.len());
    }
}
