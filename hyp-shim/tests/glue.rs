// SPDX-License-Identifier: MIT
//! Runs the cases of `tests/glue/cases.c`: the C glue with the real device, on the
//! host.

#[path = "support/glue_files.rs"]
mod glue_files;
#[path = "support/staticlib.rs"]
mod staticlib;
mod support;

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

/// The runner, built once.
static RUNNER: LazyLock<PathBuf> = LazyLock::new(|| {
    let shim = support::shim();
    let runner = support::scratch().join("glue-cases");
    let glue = glue_files::GLUE.map(|f| shim.join("glue").join(f));
    let emulated =
        ["emul.c", "one-line.c", "monkey.c", "cases.c"].map(|f| shim.join("tests/glue").join(f));
    support::run(
        Command::new("cc")
            .args(["-std=gnu99", "-g", "-O1", "-fsanitize=address,undefined"])
            .args([
                "-fno-sanitize-recover=all",
                "-Wall",
                "-Wextra",
                "-Wno-unused-parameter",
            ])
            .args([
                "-Wstrict-prototypes",
                "-Wredundant-decls",
                "-Wvla",
                "-Werror",
            ])
            .arg("-Wdeclaration-after-statement")
            .arg("-I")
            .arg(shim.join("include"))
            .arg("-I")
            .arg(shim.join("tests/glue"))
            .arg("-o")
            .arg(&runner)
            .args(glue)
            .args(emulated)
            .arg(staticlib::build(None)),
    );
    runner
});

fn run(case: &str) {
    support::run(Command::new(&*RUNNER).arg(case));
}

macro_rules! cases {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_case_is_run() {
            let listed = support::run(&mut Command::new(&*RUNNER));
            assert_eq!(listed.lines().collect::<Vec<_>>(), [$(stringify!($name)),*]);
        }
    };
}

cases! {
    each_path_has_its_profile
    ring_lives_and_dies
    ring_failures_unwind
    xen_lives_and_dies
    odd_nodes_are_refused
    xen_failures_unwind
    private_lives_and_dies
    private_failures_unwind
    private_page_without_port_is_released
    private_order_and_repetition
    private_denied
    unpaused_in_the_middle
    break_reaches_the_guest
    break_on_every_backend
    break_denied
    private_bad_values
    second_device_is_refused
    init_is_refused_to_odd_domains
    direct_mapped_takes_the_hosts_place
    output_reaches_the_ring
    polling_a_full_ring_yields
    polling_an_empty_receiver_rests
    input_ends_a_rest_at_once
    an_interrupt_keeps_a_guest_from_resting
    input_interrupts_and_is_read
    line_is_injected_once_until_lost
    lowering_the_line_retracts
    mask_lowers_the_line
    stragglers_after_deinit_are_harmless
    widths_and_odd_offsets
    only_the_devices_accesses_are_handled
    list_registers_with_work_are_brought_in
    loads_and_stores_use_their_register
    decoded_accesses_reach_the_device
    the_debug_key_shows_the_device
    xen_prints_lines
    xen_flags_are_right
    xen_prints_bare_with_focus
    xen_console_input
    xen_console_input_is_bounded
    resource_is_the_hidden_page
    hostile_ring_is_survived
    any_order_of_parameters
}
