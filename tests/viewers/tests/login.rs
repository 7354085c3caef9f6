// SPDX-License-Identifier: MIT
//! `vconsole login` as sshd would start it: run directly, with sshd's variables.

use std::os::unix::fs::symlink;

use viewers::{Host, Program, Terminal, vconsole};

#[test]
fn a_list_is_shown_and_comes_back_until_its_end() {
    let host = Host::start();
    let (_, mut first, _vuart) = host.guest("first");
    let (_, mut second, _vuart) = host.guest("second");
    let mut user = Terminal::open();
    let mut session = host.login(&user, "vconsole login");
    let list = user.until("which one? ");
    assert!(list.contains("   1  first/pv0\r\n"), "{list}");
    user.write(b"3\r");
    user.until("console pv0 of domain 2, second");
    second.send(b"second\r\n");
    user.until("second\r\n");
    user.write(b"typed");
    assert_eq!(second.receive(5), b"typed");
    // There is no shell to return to.
    user.write(b"\x14z");
    user.until("z has no function here");
    user.write(b"\x1d");
    user.until("which one? ");
    user.write(b"!sh\r");
    user.until("is none of them");
    user.write(b"first\r");
    user.until("console pv0 of domain 1, first");
    first.send(b"first\r\n");
    user.until("first\r\n");
    user.write(b"\x1d");
    user.until("which one? ");
    user.write(b"\x04");
    assert!(session.wait().success());
    assert!(user.is_cooked());
}

/// As xterm, screen and sshd start it: nothing would continue it.
#[test]
fn a_client_that_no_shell_has_started_is_not_suspended() {
    let host = Host::start();
    let (_, mut pv, _vuart) = host.guest("guest");
    for line in ["exec vconsole attach guest", "vconsole attach guest; true"] {
        let mut user = Terminal::open();
        let mut session = host.login(&user, line);
        user.until("helps]");
        user.write(b"\x14z");
        user.until("z has no function here");
        user.write(b"typed\x1d");
        assert_eq!(pv.receive(5), b"typed");
        assert!(session.wait().success());
    }
}

/// As `docker exec` and `nsenter` start it: its session and its process group may
/// be from outside its PID namespace, where they have no ids.
#[test]
fn a_client_in_a_pid_namespace_is_a_client() {
    let unshare = if rustix::process::geteuid().is_root() {
        "unshare --pid --fork"
    } else {
        "unshare --map-current-user --pid --fork"
    };
    let host = Host::start();
    let (_, mut pv, _vuart) = host.guest("guest");
    let job = "sh -c 'set -m; vconsole attach guest; echo suspended; fg; echo left $?'";
    for (line, after_z) in [
        (
            "vconsole attach guest; echo left $?",
            "z has no function here",
        ),
        (job, "suspended"),
    ] {
        let mut user = Terminal::open();
        let mut session = host.login(&user, &format!("{unshare} {line}"));
        user.until("helps]");
        user.write(b"\x14z");
        user.until(after_z);
        user.write(b"typed\x1d");
        assert_eq!(pv.receive(5), b"typed");
        user.until("left 0");
        assert!(user.is_cooked());
        session.wait();
    }
}

#[test]
fn the_arguments_of_a_client_name_a_console_and_are_not_run() {
    let host = Host::start();
    let (_, mut pv, mut vuart) = host.guest("web");
    let (_, mut other, _vuart) = host.guest("db");
    pv.send(b"from pv0");
    vuart.send(b"from vuart0");
    other.send(b"from db");
    let shell = host.dir.path().join("vconsole-login");
    symlink(vconsole(), &shell).unwrap();
    let shell = shell.display();
    for (line, output) in [
        ("SSH_ORIGINAL_COMMAND=web vconsole login", "from pv0"),
        (
            "SSH_ORIGINAL_COMMAND=web/vuart0 vconsole login",
            "from vuart0",
        ),
        ("vconsole login db", "from db"),
        ("SSH_ORIGINAL_COMMAND=db vconsole login db", "from db"),
        (&*format!("{shell} -c db"), "from db"),
        (
            &*format!("exec -a -vconsole-login {shell} -c db"),
            "from db",
        ),
        (
            &*format!("SSH_ORIGINAL_COMMAND=db {shell} -c db"),
            "from db",
        ),
    ] {
        // A plain `sh` has no `exec -a`.
        let line = line.replace(
            "exec -a -vconsole-login",
            "bash -c 'exec -a -vconsole-login \"$@\"' x",
        );
        let mut session = Program::piped(host.shell(&line));
        assert_eq!(session.read(output.len()), output.as_bytes(), "{line}");
        session.close();
        session.signal(rustix::process::Signal::TERM);
        session.wait();
    }
    let evil = host.dir.path().join("evil");
    let touch = format!("touch {}", evil.display());
    for line in [
        format!("SSH_ORIGINAL_COMMAND='{touch}' vconsole login"),
        format!("SSH_ORIGINAL_COMMAND='web; {touch}' vconsole login"),
        format!("SSH_ORIGINAL_COMMAND='$({touch})' vconsole login"),
        "SSH_ORIGINAL_COMMAND='web' vconsole login db".to_owned(),
        format!("SSH_ORIGINAL_COMMAND='{touch}' {shell} -c web"),
        format!("{shell} -c '{touch}'"),
        format!("{shell} -c --help-me"),
        "vconsole login nonesuch".to_owned(),
    ] {
        let output = host.shell(&line).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{line}: {said}");
        let why = ["is not the name of a console", "only console"];
        assert!(why.iter().any(|why| said.contains(why)), "{line}: {said}");
        assert!(output.stdout.is_empty(), "{line}");
    }
    assert!(!evil.exists());
    // Without a terminal the user is not asked.
    let output = host.shell("vconsole login </dev/null").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("which one? web/pv0 web/vuart0 db/pv0"),
        "{said}"
    );
}
