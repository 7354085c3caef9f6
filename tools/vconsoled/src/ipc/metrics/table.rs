// SPDX-License-Identifier: MIT
//! The counters of a console.

use console_proto::Row;

/// A metric: its name, its type and its help text.
pub(super) struct Metric<'a>(pub(super) &'a str, pub(super) &'a str, pub(super) &'a str);

pub(super) type Value = fn(&Row) -> u64;

/// The metrics of each connected console: a further label, and the value.
pub(super) const METRICS: &[(Metric, &[(&str, Value)])] = &[
    (
        Metric(
            "vconsoled_console_bytes_total",
            "counter",
            "Bytes moved, from the guest (out) and to it (in).",
        ),
        &[
            ("direction=\"out\"", |one| one.from_guest),
            ("direction=\"in\"", |one| one.to_guest),
        ],
    ),
    (
        Metric(
            "vconsoled_console_doorbells_total",
            "counter",
            "Event-channel notifications.",
        ),
        &[
            ("direction=\"received\"", |one| one.doorbells_in),
            ("direction=\"sent\"", |one| one.doorbells_out),
        ],
    ),
    (
        Metric(
            "vconsoled_console_dropped_bytes_total",
            "counter",
            "Bytes lost by slow viewers, at the pty and on sockets.",
        ),
        &[
            ("viewer=\"pty\"", |one| one.dropped),
            ("viewer=\"socket\"", |one| one.lost),
        ],
    ),
    (
        Metric(
            "vconsoled_console_log_lost_bytes_total",
            "counter",
            "Bytes that are missing from the log or the recording.",
        ),
        &[("", |one| one.log_lost)],
    ),
    (
        Metric(
            "vconsoled_console_journal_lost_lines_total",
            "counter",
            "Lines that are missing from the journal.",
        ),
        &[("", |one| one.journal_lost)],
    ),
    (
        Metric(
            "vconsoled_console_resyncs_total",
            "counter",
            "Resyncs of the ring because of invalid indices.",
        ),
        &[("", |one| one.resyncs)],
    ),
    (
        Metric(
            "vconsoled_console_viewers",
            "gauge",
            "Viewers on sockets, plus one while the pty is open.",
        ),
        &[("", |one| one.viewers as u64)],
    ),
    (
        Metric(
            "vconsoled_console_ring_bytes",
            "gauge",
            "Bytes that wait in the ring.",
        ),
        &[
            ("direction=\"out\"", |one| one.out_waiting as u64),
            ("direction=\"in\"", |one| one.in_waiting as u64),
        ],
    ),
    (
        Metric(
            "vconsoled_console_input_lost_bytes_total",
            "counter",
            "Input that a lossy console discarded.",
        ),
        &[("", |one| one.input_lost)],
    ),
    (
        Metric(
            "vconsoled_console_input_rate_bytes_per_second",
            "gauge",
            "The input rate in force, in bytes a second; 0 if there is none.",
        ),
        &[("", |one| one.input_rate.into())],
    ),
];
