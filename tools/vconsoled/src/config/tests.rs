// SPDX-License-Identifier: MIT
use super::*;

/// The installed file.
const EXAMPLE: &str = include_str!("../../packaging/vconsoled.toml");

/// Uncomments lines that show a key or a table.
fn switched_on(text: &str) -> String {
    text.lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn error(text: &str) -> String {
    Config::parse(text).unwrap_err().to_string()
}

#[test]
fn an_empty_configuration_is_the_installed_one() {
    assert_eq!(Config::parse("").unwrap(), Config::installed());
    assert_eq!(Config::parse(EXAMPLE).unwrap(), Config::installed());
    let some = "[log]\n[sockets]\n[process]\n";
    assert_eq!(Config::parse(some).unwrap(), Config::installed());
}

#[test]
fn the_example_shows_every_key_with_its_default() {
    let shown = Config::parse(&switched_on(EXAMPLE)).unwrap();
    // The exceptions are an example; all else is the default.
    assert_eq!((shown.rules.len(), shown.access.len()), (1, 1));
    let general = Config {
        rules: Vec::new(),
        access: Vec::new(),
        watch: WatchRules::default(),
        ..shown.clone()
    };
    assert_eq!(general, Config::installed());
    let shown: toml::Table = toml::from_str(&switched_on(EXAMPLE)).unwrap();
    let all = Config {
        rules: vec![Rule {
            log: Some(true),
            timestamps: Some(true),
            filter: Some(Filter::None),
            size: Some(Size(0)),
            count: Some(0),
            record: Some(false),
            record_input: Some(false),
            journal: Some(false),
            journal_rate: Some(0),
            journal_burst: Some(0),
            history: Some(History::default()),
            overflow: Some(Overflow::Discard),
            input_rate: Some(InputRate::Unlimited),
            lossy: Some(false),
            idle_timeout: Some(0),
            banner: Some(Banner::default()),
            ..Rule::default()
        }],
        access: shown_access(),
        watch: shown_watch(),
        ..Config::installed()
    };
    let all = toml::Table::try_from(all).unwrap();
    assert_eq!(keys("", &shown.into()), keys("", &all.into()));
}

/// An access rule with every key.
fn shown_access() -> Vec<AccessRule> {
    let text = "[[access]]\nusers = [\"0\"]\ngroups = [\"0\"]\ntenants = [\"a\"]\nby = [\"0\"]\n\
                domains = [\"*\"]\nrights = [\"list\"]\n";
    Config::parse(text).unwrap().access
}

/// Watch rules that have all keys between them.
fn shown_watch() -> WatchRules {
    let text = "[[watch]]\nname = \"a\"\nset = \"oops\"\n[[watch]]\nname = \"b\"\nmatch = \"x\"\n";
    Config::parse(text).unwrap().watch
}

/// The names of all keys, below their tables.
fn keys(above: &str, value: &toml::Value) -> std::collections::BTreeSet<String> {
    match value {
        toml::Value::Table(table) => table
            .iter()
            .flat_map(|(key, value)| keys(&format!("{above}.{key}"), value))
            .collect(),
        toml::Value::Array(array) => array.iter().flat_map(|value| keys(above, value)).collect(),
        _ => [above.to_owned()].into(),
    }
}

#[test]
fn errors_name_the_line_and_what_to_do() {
    for (line, what) in [
        ("history = \"64 kibibytes\"", "64KiB"),
        ("history = -1", "64KiB"),
        ("history = \"99999999999GiB\"", "64KiB"),
        ("overflow = \"drop\"", "`discard` or `keep`"),
        ("input-rate = -1", "bytes a second"),
        ("input-rate = \"fast\"", "\"auto\""),
        ("input-rate = 9.6", "bytes a second"),
        ("input-rate = \"9600 baud\"", "bytes a second"),
        ("input-rate = 4294967296", "bytes a second"),
        ("state-dir = \"var/lib\"", "must start with /"),
        ("log.dir = \"\"", "must start with /"),
        ("log.size = 1.5", "64KiB"),
        ("log.count = -1", "u32"),
        ("log.filter = \"all\"", "`strip`"),
        ("log.keep-days = -1", "u32"),
        ("log.keep-days = \"7d\"", "u32"),
        ("log.total = \"much\"", "64KiB"),
        ("log.compress = \"zstd\"", "boolean"),
        ("log.journal-rate = -1", "u32"),
        ("log.guests = 1", "boolean"),
        ("sessions.idle-timeout = -1", "u32"),
        ("sessions.idle-timeout = \"5m\"", "u32"),
        ("sessions.banner = \"a\\u001b[2J\"", "control characters"),
        ("sockets.control-mode = 600", "\"0600\""),
        ("sockets.control-mode = \"0800\"", "octal"),
        ("sockets.control-mode = \"1777\"", "octal"),
        ("sockets.control = \"run/c\"", "must start with /"),
        ("sockets.metrics-listen = \"9758\"", "127.0.0.1:9758"),
        ("sockets.metrics-listen = \"localhost:1\"", "127.0.0.1:9758"),
        ("sockets.metrics-public = 1", "boolean"),
        ("process.user = \"a b\"", "name"),
        ("[[console]]\ndomain = \"\"", "pattern"),
    ] {
        let said = error(&format!("# a comment\n{line}\n"));
        assert!(said.contains(what), "{line}: {said}");
        let number = if line.starts_with('[') { 3 } else { 2 };
        assert!(
            said.contains(&format!("line {number}")),
            "{line}: no line in {said}"
        );
    }
}

#[test]
fn a_port_that_other_hosts_reach_is_opened_only_if_configured() {
    for (address, is_public) in [
        ("127.0.0.1:9758", false),
        ("[::1]:9758", false),
        ("0.0.0.0:9758", true),
        ("[::]:9758", true),
        ("192.0.2.1:9758", true),
    ] {
        let key = format!("[sockets]\nmetrics-listen = \"{address}\"\n");
        assert_eq!(Config::parse(&key).is_err(), is_public, "{address}");
        let public = format!("{key}metrics-public = true\n");
        let config = Config::parse(&public).unwrap();
        assert_eq!(
            config.sockets.metrics_listen,
            Some(address.parse().unwrap())
        );
    }
    let said = error("[sockets]\nmetrics-listen = \"0.0.0.0:9758\"\n");
    assert!(said.contains("`metrics-public = true`"), "{said}");
}

#[test]
fn input_rates_are_read_and_written() {
    for (text, rate) in [
        ("0", InputRate::Unlimited),
        ("960", InputRate::Bytes(960.try_into().unwrap())),
        ("4294967295", InputRate::Bytes(u32::MAX.try_into().unwrap())),
        ("\"auto\"", InputRate::Auto),
    ] {
        let config = Config::parse(&format!("input-rate = {text}")).unwrap();
        assert_eq!(config.input_rate, rate);
        let written = toml::Table::try_from(config).unwrap()["input-rate"].to_string();
        assert_eq!(written, text);
    }
}

#[test]
fn an_unknown_key_is_reported_and_ignored() {
    let text = "siez = 3\n[log]\nguests = true\nsiez = 3\n[[console]]\nsiez = 3\n";
    let config = Config::parse(text).unwrap();
    assert!(config.log.guests);
    assert_eq!(config.unknown, ["console.0.siez", "log.siez", "siez"]);
}

#[test]
fn a_running_daemon_takes_over_what_it_can_and_names_the_rest() {
    let mut config = Config::installed();
    let rest = config.change_to(
        &Config::parse(
            "overflow = \"keep\"\nstate-dir = \"/x\"\n[log]\ndir = \"/y\"\nsize = 7\n\
             [[console]]\nlog = false\n",
        )
        .unwrap(),
    );
    assert_eq!(rest, ["state-dir", "log.dir"]);
    assert_eq!(config.log.size, Size(7));
    assert_eq!(config.overflow, Overflow::Keep);
    assert!(!config.console("web", "pv0").log);
    let installed = Config::installed();
    assert_eq!(config.state_dir, installed.state_dir);
    assert_eq!(config.log.dir, installed.log.dir);
    let same = config.clone();
    assert!(config.change_to(&same).is_empty());
}

#[test]
fn logs_begin_with_a_restart_where_the_process_has_no_rights() {
    let by_rule = "[[console]]\ndomain = \"web\"\nlog = true\n";
    for wanted in ["[log]\nguests = true\n", by_rule] {
        let wanted = Config::parse(wanted).unwrap();
        let mut config = Config::installed();
        assert_eq!(config.change_to(&wanted), ["log.guests"]);
        assert!(!config.console("web", "pv0").log);
        let mut config = Config::installed();
        config.process = Process::default();
        assert_eq!(config.change_to(&wanted), ["process"]);
        assert!(config.console("web", "pv0").log);
        let mut config = Config::installed();
        // The folder was accessible from the start.
        config.rules.push(Rule {
            log: Some(true),
            ..Rule::default()
        });
        assert!(config.change_to(&wanted).is_empty());
        assert!(config.console("web", "pv0").log);
    }
}

#[test]
fn empty_paths_and_names_switch_things_off() {
    let text = "state-dir = \"\"\naudit.journal = false\naudit.file = \"\"\n\
                audit.rate = 0\naudit.burst = 0\n\
                [sockets]\ncontrol = \"\"\nmetrics = \"\"\n\
                consoles = \"\"\n[process]\nuser = \"\"\nsandbox = false\n\
                folders = []\n";
    assert_eq!(Config::parse(text).unwrap(), Config::default());
}

#[test]
fn the_last_rule_that_matches_counts_key_by_key() {
    let text = "[log]\nguests = true\n\
        [[console]]\ndomain = \"web-*\"\ntimestamps = true\nsize = \"1MiB\"\n\
        [[console]]\ndomain = \"*\"\nconsole = \"vuart?\"\nsize = 7\nhistory = \"1KiB\"\n\
        [[console]]\ndomain = \"secret\"\nlog = false\noverflow = \"keep\"\ninput-rate = 960\n\
        [[console]]\ndomain = \"secret\"\nconsole = \"vuart0\"\nlossy = true\n";
    let config = Config::parse(text).unwrap();
    let web = config.console("web-1", "pv0");
    assert!(web.log && web.timestamps);
    assert_eq!(web.size, Size(1 << 20));
    let uart = config.console("web-1", "vuart0");
    assert!(uart.timestamps);
    assert_eq!((uart.size, uart.history), (Size(7), History(Size(1 << 10))));
    let secret = config.console("secret", "pv0");
    assert!(!secret.log && !secret.timestamps);
    assert_eq!(secret.overflow, Overflow::Keep);
    assert!(!secret.lossy);
    // A lossy console never waits.
    let lossy = config.console("secret", "vuart0");
    assert_eq!((lossy.lossy, lossy.overflow), (true, Overflow::Discard));
    let rate = InputRate::Bytes(960.try_into().unwrap());
    assert_eq!(
        (secret.input_rate, web.input_rate),
        (rate, InputRate::Unlimited)
    );
    assert_eq!(config.console("other", "pv0").size, config.log.size);
}

#[test]
fn a_rule_of_access_is_read_and_a_bad_one_is_named() {
    let good = "[[access]]\nusers = [\"alice\", \"1000\"]\ngroups = [\"tenants\"]\n\
                domains = [\"web-*\", \"AAAAAAAA-0000-4000-8000-000000000002\"]\n\
                rights = [\"type\"]\n";
    let config = Config::parse(good).unwrap();
    let rule = &config.access[0];
    assert_eq!(rule.users[1].number(), Some(1000));
    assert_eq!(
        rule.rights,
        [Right::List, Right::Watch, Right::Type]
            .into_iter()
            .collect()
    );
    assert!(rule.domains[0].has("web-1", "") && !rule.domains[0].has("db", ""));
    let uuid = "aaaaaaaa-0000-4000-8000-000000000002";
    assert!(rule.domains[1].has("db", uuid) && !rule.domains[1].has(uuid, ""));
    assert!(rule.consoles[0].matches("pv0"));
    let written = toml::to_string(&config).unwrap();
    assert_eq!(Config::parse(&written).unwrap(), config);
    for (line, instead, what) in [
        (
            "users = [\"alice\", \"1000\"]\ngroups = [\"tenants\"]\n",
            "",
            "`users`, `groups` or `tenants`",
        ),
        (
            "users = [\"alice\", \"1000\"]",
            "users = [\"\"]",
            "name of a user",
        ),
        ("users = [\"alice\", \"1000\"]", "users = [1000]", "string"),
        (
            "users = [\"alice\", \"1000\"]",
            "users = \"alice\"",
            "sequence",
        ),
        ("rights = [\"type\"]", "rights = []", "needs `rights`"),
        (
            "rights = [\"type\"]",
            "rights = []",
            "users [alice, 1000], groups [tenants], domains [web-*, ",
        ),
        ("rights = [\"type\"]", "", "`rights`"),
        ("rights = [\"type\"]", "rights = [\"write\"]", "`type`"),
        (
            "domains = [",
            "consoles = []\ndomains = [",
            "needs `consoles`",
        ),
        ("domains = [", "domains = [\"\", ", "or a UUID"),
        (
            "domains = [",
            "tenants = [\"carol\"]\ndomains = [",
            "tenants [carol], domains [web-*, ",
        ),
        ("domains = [", "by = [\"web\"]\ndomains = [", "or neither"),
        (
            "domains = [",
            "tenants = [\" \"]\ndomains = [",
            "on one line",
        ),
    ] {
        let second = good.replace(line, instead);
        assert_ne!(second, good, "{line}");
        let said = error(&format!("{good}{second}"));
        assert!(said.contains(what), "{instead}: {said}");
        // The error names the second rule, or its line.
        let line = said
            .split("line ")
            .nth(1)
            .and_then(|rest| rest.split(',').next());
        let line: usize = line.unwrap().parse().unwrap();
        assert!(
            line > 5 || said.contains("the rule for users ["),
            "{instead}: {said}"
        );
    }
    let unknown = Config::parse(&format!("{good}right = 3\n")).unwrap();
    assert_eq!(unknown.unknown, ["access.0.right"]);
}

#[test]
fn while_there_are_rules_a_socket_of_the_owner_s_alone_is_open() {
    let with = "[[access]]\nusers = [\"0\"]\ndomains = [\"*\"]\nrights = [\"list\"]\n";
    for (text, configured, expected) in [
        ("", 0o600, 0o600),
        ("", 0o660, 0o660),
        (with, 0o600, 0o666),
        (with, 0o660, 0o660),
    ] {
        let config = Config::parse(text).unwrap();
        let mode = config.socket_mode(SocketMode(configured));
        assert_eq!(mode, SocketMode(expected), "{text:?} {configured:o}");
    }
}

#[test]
fn the_last_rule_with_a_banner_decides_and_none_is_too_long() {
    let text = "[sessions]\nbanner = 'all'\n[[console]]\ndomain = 'web'\nbanner = 'web'\n\
                [[console]]\ndomain = 'web'\nconsole = 'vuart0'\nbanner = ''\n\
                [[console]]\ndomain = 'web'\nidle-timeout = 5\n";
    let config = Config::parse(text).unwrap();
    for (domain, console, banner) in [
        ("db", "pv0", "all"),
        ("web", "pv0", "web"),
        ("web", "vuart0", ""),
    ] {
        assert_eq!(config.banner(domain, console), banner, "{domain}/{console}");
    }
    let timeouts = ["web", "db"].map(|domain| config.console(domain, "pv0").idle_timeout);
    assert_eq!(timeouts, [5, 0]);
    let banner = |length| format!("sessions.banner = '{}'", "x".repeat(length));
    assert!(Config::parse(&banner(1024)).is_ok());
    assert!(error(&banner(1025)).contains("at most 1024"));
}
