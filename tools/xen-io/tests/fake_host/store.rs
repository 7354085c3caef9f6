// SPDX-License-Identifier: MIT
//! The fake xenstore, and the client of any xenstore.

use std::io::Write;
use std::os::unix::net::UnixStream;

use xen_io::DomId;
use xen_io::fake::{Machine, Store};
use xen_io::xenstore::{Access, Client, Permission, WatchEvent};

use crate::{EACCES, EINVAL, EPERM, errno, next};

#[test]
fn the_store_reads_back_what_was_written() {
    let mut client = Store::default().client(DomId::DOM0).unwrap();
    assert_eq!(client.read("/a/b").unwrap(), None);
    client.write("/a/b", b"\x00\xff").unwrap();
    assert_eq!(client.read("/a/b").unwrap().unwrap(), b"\x00\xff");
    assert_eq!(client.read("/a").unwrap().unwrap(), b"");
    client.mkdir("/a/c").unwrap();
    assert_eq!(client.directory("/a").unwrap().unwrap(), ["b", "c"]);
    assert_eq!(client.directory("/a/b").unwrap().unwrap(), [""; 0]);
    assert_eq!(client.directory("/nothing").unwrap(), None);
    client.remove("/a").unwrap();
    client.remove("/a").unwrap();
    assert_eq!(client.read("/a/b").unwrap(), None);
}

#[test]
fn a_list_of_any_length_comes_whole() {
    let mut client = Store::default().client(DomId::DOM0).unwrap();
    let names: Vec<String> = (10_000..12_000).map(|n| format!("domain-{n}")).collect();
    for name in &names {
        client.write(&format!("/list/{name}"), "").unwrap();
    }
    assert_eq!(client.directory("/list").unwrap().unwrap(), names);
}

#[test]
fn paths_that_are_none_are_refused() {
    let mut client = Store::default().client(DomId::DOM0).unwrap();
    let long = format!("/{}", "a".repeat(3072));
    for path in [
        "",
        "//",
        "/a//b",
        "/a/",
        "/a b",
        "/\u{e9}",
        "/a\0b",
        long.as_str(),
    ] {
        assert_eq!(errno(client.write(path, "x")), Some(EINVAL), "{path:?}");
    }
    assert!(client.write("/a", [0; 5000]).is_err());
    assert_eq!(client.read("/a").unwrap(), None, "the connection survives");
}

#[test]
fn a_watch_fires_at_once_and_for_what_is_below() {
    let store = Store::default();
    let mut watcher = store.client(DomId::DOM0).unwrap();
    let mut writer = store.client(DomId::DOM0).unwrap();
    watcher.watch("/a", "token").unwrap();
    let event = |path: &str| WatchEvent {
        path: path.into(),
        token: "token".into(),
    };
    assert_eq!(next(&mut watcher), event("/a"));

    writer.write("/ab", "").unwrap();
    writer.write("/a/b/c", "").unwrap();
    assert_eq!(next(&mut watcher), event("/a/b/c"));
    writer.remove("/a/b").unwrap();
    assert_eq!(next(&mut watcher), event("/a/b"));

    watcher.watch("/a/x/y", "deep").unwrap();
    assert_eq!(next(&mut watcher).token, "deep");
    writer.remove("/a").unwrap();
    let mut tokens = [next(&mut watcher).token, next(&mut watcher).token];
    tokens.sort();
    assert_eq!(tokens, ["deep", "token"]);

    watcher.unwatch("/a", "token").unwrap();
    writer.write("/a/b", "").unwrap();
    assert_eq!(watcher.read("/a/b").unwrap().unwrap(), b"");
    assert_eq!(watcher.next_event().unwrap(), None);
}

#[test]
fn new_and_ended_domains_are_reported() {
    let machine = Machine::new();
    let mut client = machine.toolstack().unwrap();
    client.watch("@introduceDomain", "come").unwrap();
    client.watch("@releaseDomain", "go").unwrap();
    assert_eq!(
        [next(&mut client).token, next(&mut client).token],
        ["come", "go"]
    );
    let domid = machine.create_domain("guest").unwrap();
    assert!(!client.is_introduced(domid).unwrap());
    machine.introduce(domid);
    assert_eq!(next(&mut client).token, "come");
    assert!(client.is_introduced(domid).unwrap());
    machine.kill(domid);
    assert_eq!(next(&mut client).token, "go");
    assert!(!client.is_introduced(domid).unwrap());
    assert!(
        client.read("/local/domain/1/name").unwrap().is_some(),
        "its nodes stay"
    );
}

#[test]
fn a_transaction_is_all_or_nothing() {
    let store = Store::default();
    let mut client = store.client(DomId::DOM0).unwrap();
    let mut other = store.client(DomId::DOM0).unwrap();

    let failed: std::io::Result<()> = client.transaction(|client| {
        client.write("/a", "1")?;
        Err(std::io::ErrorKind::Other.into())
    });
    assert!(failed.is_err());
    assert_eq!(client.read("/a").unwrap(), None);

    let mut runs = 0;
    client
        .transaction(|client| {
            runs += 1;
            client.write("/a", "1")?;
            if runs == 1 {
                other.write("/b", "2")?;
            }
            assert_eq!(other.read("/a")?, None, "not yet");
            client.write("/c", "3")
        })
        .unwrap();
    assert_eq!(runs, 2, "tried again");
    for (path, value) in [("/a", "1"), ("/b", "2"), ("/c", "3")] {
        assert_eq!(other.read(path).unwrap().unwrap(), value.as_bytes());
    }
}

/// As in the real one; otherwise a guest that writes constantly could make all
/// transactions fail.
#[test]
fn a_transaction_fails_only_when_what_it_read_has_changed() {
    let store = Store::default();
    let mut client = store.client(DomId::DOM0).unwrap();
    let mut other = store.client(DomId::DOM0).unwrap();
    for node in ["/ours/a", "/theirs/b"] {
        client.write(node, "0").unwrap();
    }
    let mut meanwhile = |path: &str| {
        let mut runs = 0;
        client
            .transaction(|client| {
                runs += 1;
                client.read("/ours/a")?;
                client.directory("/ours")?;
                if runs == 1 {
                    other.write(path, "1")?;
                }
                client.write("/ours/a", "2")?;
                assert_eq!(client.read("/ours/a")?.unwrap(), b"2");
                Ok(())
            })
            .unwrap();
        runs
    };
    assert_eq!(meanwhile("/theirs/b"), 1);
    assert_eq!(meanwhile("/theirs/new"), 1);
    assert_eq!(meanwhile("/ours/a"), 2, "it was read");
    assert_eq!(meanwhile("/ours/new"), 2, "it was listed");
    assert_eq!(client.read("/theirs/b").unwrap().unwrap(), b"1");
}

#[test]
fn a_guest_reads_only_what_it_is_allowed_to() {
    let machine = Machine::new();
    let domid = machine.create_domain("guest").unwrap();
    let _pv = machine.add_pv_console(domid).unwrap();
    let _vuart = machine.add_private_vuart(domid).unwrap();
    let mut guest = machine.store().client(domid).unwrap();
    assert_eq!(guest.read("console/type").unwrap().unwrap(), b"xenconsoled");
    assert_eq!(errno(guest.write("console/tty", "/dev/sda")), Some(EACCES));
    assert_eq!(errno(guest.read("vuart/0/type")), Some(EACCES));
    assert_eq!(
        errno(guest.set_permissions("console", &[Permission::DOM0_ONLY])),
        Some(EACCES)
    );

    let mut dom0 = machine.toolstack().unwrap();
    let entry = |domid, access| Permission { domid, access };
    let own = [entry(domid, Access::None)];
    dom0.write("/local/domain/1/data", "").unwrap();
    dom0.set_permissions("/local/domain/1/data", &own).unwrap();
    guest.write("data/x", "mine").unwrap();
    assert_eq!(dom0.permissions("/local/domain/1/data/x").unwrap(), own);
}

/// A peer that answers each request with the test's bytes.
fn client_of(answer: impl Fn([u32; 4]) -> Vec<u8> + Send + 'static) -> Client {
    let (ours, theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        let mut stream = ours;
        let mut header = [0; 16];
        while std::io::Read::read_exact(&mut stream, &mut header).is_ok() {
            let (words, _) = header.as_chunks::<4>();
            let words: Vec<u32> = words.iter().map(|word| u32::from_ne_bytes(*word)).collect();
            let mut payload = vec![0; words[3] as usize];
            std::io::Read::read_exact(&mut stream, &mut payload).unwrap();
            if stream
                .write_all(&answer(words.try_into().unwrap()))
                .is_err()
            {
                break;
            }
        }
    });
    Client::from_stream(theirs).unwrap()
}

fn frame(words: [u32; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn events_and_stale_answers_do_not_disturb_a_request() {
    let mut client = client_of(|[kind, request, tx, _]| {
        let mut bytes = frame([15, 0, 0, 5], b"/w\0t\0");
        bytes.extend(frame([kind, request.wrapping_sub(1), tx, 3], b"old"));
        bytes.extend(frame([kind, request, tx, 3], b"new"));
        bytes
    });
    assert_eq!(client.read("/x").unwrap().unwrap(), b"new");
    assert_eq!(
        next(&mut client),
        WatchEvent {
            path: "/w".into(),
            token: "t".into()
        }
    );
}

#[test]
fn a_server_that_breaks_the_protocol_is_an_error() {
    let too_long = |[kind, request, tx, _]: [u32; 4]| frame([kind, request, tx, 4097], &[0; 4097]);
    assert!(client_of(too_long).read("/x").is_err());
    let other_kind = |[kind, request, tx, _]: [u32; 4]| frame([kind + 1, request, tx, 0], b"");
    assert!(client_of(other_kind).read("/x").is_err());
    let bad_error = |[_, request, tx, _]: [u32; 4]| frame([16, request, tx, 5], b"EWHAT");
    assert!(client_of(bad_error).read("/x").is_err());
    let eperm = |[_, request, tx, _]: [u32; 4]| frame([16, request, tx, 6], b"EPERM\0");
    assert_eq!(errno(client_of(eperm).read("/x")), Some(EPERM));
    let bad_event = |_: [u32; 4]| frame([15, 0, 0, 2], b"/w");
    assert!(client_of(bad_event).read("/x").is_err());
    let no_end = |[kind, request, tx, _]: [u32; 4]| match kind {
        1 => frame([16, request, tx, 6], b"E2BIG\0"),
        _ => frame([kind, request, tx, 1], b"7"),
    };
    assert!(client_of(no_end).directory("/x").is_err());

    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ours);
    assert!(
        Client::from_stream(theirs).unwrap().read("/x").is_err(),
        "a server that is gone"
    );
}
