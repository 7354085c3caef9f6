// SPDX-License-Identifier: MIT
//! The daemon as a process: its environment and privileges are those of a
//! process, and a test cannot change its own. So each test starts this program
//! again, as a daemon on the fake host.

mod access;
mod audit;
mod broker;
mod disk;
mod host;
mod input_rate;
mod log_kills;
mod manager;
mod operators;
mod outsiders;
#[expect(dead_code, reason = "most of it is for tests inside one process")]
#[path = "../daemon/peer.rs"]
mod peer;
mod privileges;
mod ptys;
mod restart;
mod retried;
mod service;
mod sockets;
mod starts;
#[expect(dead_code, reason = "most of it is for tests inside one process")]
#[path = "../daemon/support.rs"]
mod support;
mod tracer;
mod users;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Trial};
use rustix::fs::Mode;
use terminal::is_ready;
use tracing_subscriber::filter::LevelFilter;
use vconsoled::{Config, Server};
use xen_io::fake::Machine;

use support::{Daemon, Heard, PATIENCE, wait_for};

/// Makes this process a daemon with this configuration.
const ROLE: &str = "VCONSOLED_TEST_CONFIG";

fn main() -> ExitCode {
    if std::env::var_os(broker::ROLE).is_some() {
        vconsoled::confine::broker::serve().unwrap();
        return ExitCode::SUCCESS;
    }
    if let (Ok(host), Ok(config)) = (std::env::var(host::HOST), std::env::var(ROLE)) {
        host::serve(&host, &config);
        return ExitCode::SUCCESS;
    }
    if let Ok(config) = std::env::var(ROLE) {
        daemon(&config);
        return ExitCode::SUCCESS;
    }
    libtest_mimic::run(&Arguments::from_args(), tests()).exit_code()
}

fn test(name: &'static str, run: fn()) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}

/// Only root can change its user.
fn as_root(name: &'static str, run: fn()) -> Trial {
    let is_root = nix::unistd::geteuid().is_root();
    test(name, run)
        .with_kind("as root")
        .with_ignored_flag(!is_root)
}

/// Trials of functions, each by its name.
macro_rules! trials {
    ($kind:ident: $($module:ident::$name:ident,)*) => {
        vec![$($kind(stringify!($name), $module::$name),)*]
    };
}

fn tests() -> Vec<Trial> {
    let mut all = trials![
        test:
        service::the_manager_gets_readiness_reload_and_end,
        starts::of_several_that_start_at_once_one_serves,
        service::an_idle_loop_beats_and_one_that_has_ended_does_not,
        service::a_watchdog_for_another_process_is_left_alone,
        restart::a_hundred_kills_lose_nothing_and_repeat_nothing,
        restart::a_kill_at_every_system_call_loses_nothing_and_repeats_nothing,
        restart::a_terminal_survives_with_the_processes_that_have_it_open,
        restart::a_terminal_loses_nothing_and_gets_a_piece_twice_at_most,
        ptys::opens_and_closes_without_a_daemon_are_detected,
        sockets::a_plain_reader_notices_no_end_and_gets_every_byte_once,
        sockets::a_client_that_connects_while_there_is_no_daemon_is_served,
        sockets::a_slow_reader_gets_its_loss_reported_once_over_ends,
        sockets::what_is_typed_arrives_once_wherever_the_daemon_is_killed,
        input_rate::a_rate_holds_and_loses_nothing_over_kills,
        sockets::what_is_kept_goes_with_its_viewer_and_its_domain,
        privileges::a_confined_daemon_serves_and_can_do_nothing_else,
        privileges::other_users_may_pass_to_the_sockets_whatever_the_umask,
        privileges::a_confined_daemon_makes_channels_below_its_folders_and_nowhere_else,
        privileges::a_confined_daemon_compresses_and_removes_old_logs,
        privileges::a_confined_daemon_serves_its_counters_at_a_port,
        audit::a_confined_daemon_of_another_user_writes_the_audit,
        privileges::a_confined_daemon_makes_no_code_and_no_namespace_and_reaches_no_socket,
        privileges::a_log_folder_that_is_a_link_is_followed_and_a_log_is_not,
        retried::a_pty_is_kept_until_its_console_is_served,
        retried::sockets_and_viewers_are_kept_until_their_console_is_served,
        retried::input_is_kept_and_no_other_guest_waits,
        retried::what_waits_for_a_console_goes_with_its_domain,
        log_kills::a_line_has_the_time_at_which_it_came_whenever_it_is_written,
        log_kills::a_kill_at_every_system_call_of_the_log_loses_nothing_and_leaves_nothing_behind,
        log_kills::a_kill_at_every_system_call_of_a_recording_loses_nothing_and_repeats_nothing,
        audit::a_kill_at_every_system_call_of_the_audit_leaves_a_valid_chain,
        audit::what_the_audit_loses_while_its_disk_does_not_answer_is_counted_in_it,
        disk::a_disk_that_does_not_answer_delays_no_guest,
        disk::a_disk_that_is_slow_slows_the_guest_and_loses_nothing,
        disk::a_full_disk_costs_what_does_not_fit_and_no_more,
        disk::a_disk_that_stays_full_costs_what_the_log_reports,
        outsiders::no_guest_waits_for_the_service_manager,
        outsiders::no_guest_waits_for_journald,
        outsiders::no_guest_waits_for_the_reader_of_standard_error,
        outsiders::no_guest_waits_for_xenstored,
        outsiders::no_guest_waits_for_the_disk_of_the_logs,
        outsiders::no_guest_waits_for_a_viewer,
        outsiders::no_guest_waits_for_the_reader_of_a_pty,
        outsiders::no_guest_waits_for_the_reader_of_the_counters,
        outsiders::no_guest_waits_for_the_toolstack,
        outsiders::no_guest_waits_for_guests_that_flood_the_journal,
        outsiders::no_guest_waits_for_rules_that_watch_guests_that_flood,
    ];
    all.extend(trials![
        as_root:
        privileges::a_group_that_leads_to_the_logs_is_kept_and_roots_never,
        privileges::a_daemon_of_another_user_has_no_way_back,
        broker::a_daemon_that_is_no_longer_root_connects_to_xenstored_again,
        privileges::folders_of_others_stay_theirs,
        privileges::an_unknown_user_is_refused_with_a_message,
        broker::the_daemon_does_not_wait_for_the_broker,
        access::each_user_has_exactly_the_rights_of_the_rules,
        access::a_console_s_own_sockets_follow_the_same_rules,
        access::a_renamed_domain_keeps_no_viewer_without_rights,
        access::no_viewer_continues_on_another_domain_of_that_number,
        access::after_a_reboot_rights_are_decided_anew,
        access::a_reload_ends_sessions_and_input_without_a_right,
        access::of_many_groups_the_last_counts_too,
        access::a_confined_daemon_serves_users_by_rules,
        operators::users_without_rights_cannot_list_domains,
        operators::operators_are_users_with_the_right_control,
        operators::no_user_can_use_up_the_places_of_another,
        operators::attached_users_are_reported_from_beginning_to_end,
    ]);
    all
}

/// Serves, and executes each line of standard input until its end.
fn daemon(config: &str) {
    let config = match config {
        "" => Config::default(),
        text => Config::parse(text).unwrap(),
    };
    // The umask of a background daemon and of the unit.
    rustix::process::umask(Mode::WGRP | Mode::RWXO);
    let machine = Machine::new();
    let port = config.sockets.metrics_listen;
    let port = port.map(|at| std::net::TcpListener::bind(at).unwrap());
    let address = port.as_ref().map(|port| port.local_addr().unwrap());
    let in_force = vconsoled::confine::give_up(&config).unwrap();
    let heard = Heard::default();
    let (daemon, ready) = Daemon::begin_made(&heard, LevelFilter::WARN, || {
        let server = Server::new(machine.platform().unwrap(), config).unwrap();
        match port {
            Some(port) => server.with_metrics_port(port).unwrap(),
            None => server,
        }
    });
    ready.recv_timeout(PATIENCE).expect("the daemon serves");
    for line in std::io::stdin().lines() {
        match line.unwrap().as_str() {
            "reopen" => daemon.handle.reopen_logs(),
            "in force" => println!("{in_force}"),
            "port" => println!("{}", address.map_or(0, |address| address.port())),
            "guest" => println!("{}", privileges::talk(&machine)),
            other => match other.split_once(' ') {
                Some(("channel", path)) => println!("{}", privileges::channel(&machine, path)),
                Some(("heard", what)) => println!("{}", heard.lines(what).len()),
                _ => println!("{}", privileges::attempt(other)),
            },
        }
    }
    daemon.stop().unwrap();
}

/// A daemon in a process of its own.
struct Process {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn start(config: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(ROLE, config)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            requests: child.stdin.take(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn tell(&mut self, request: &str) {
        writeln!(self.requests.as_mut().unwrap(), "{request}").unwrap();
    }

    fn ask(&mut self, request: &str) -> String {
        self.tell(request);
        let is_answered = is_ready(self.answers.get_ref(), PATIENCE);
        assert!(is_answered, "an answer to {request:?}");
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Requests its end.
    fn end(&mut self) {
        self.requests = None;
    }

    /// Waits for its end; returns whether it succeeded.
    fn wait(mut self) -> bool {
        self.requests = None;
        let ended = wait_for("the daemon's end", || self.child.try_wait().unwrap());
        ended.success()
    }

    /// Waits for its successful end.
    fn ended(self) {
        assert!(self.wait());
    }
}
