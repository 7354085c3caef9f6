// SPDX-License-Identifier: MIT
//! The fake host behaves like a real one where a backend depends on it.

mod store;

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use vpl011::ring::memory::RingMemory;
use xen_io::fake::Machine;
use xen_io::xenstore::{Client, WatchEvent};
use xen_io::{DomId, Gfn, GrantRef, HvmParam, Platform, Port, Resource, Virq};

const EPERM: i32 = 1;
const ESRCH: i32 = 3;
const EACCES: i32 = 13;
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;

fn errno<T>(result: std::io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

fn readable(fd: &impl AsFd, timeout: Duration) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    let timeout = Timespec::try_from(timeout).unwrap();
    rustix::event::poll(&mut fds, Some(&timeout)).unwrap() == 1
}

fn next(client: &mut Client) -> WatchEvent {
    loop {
        if let Some(event) = client.next_event().unwrap() {
            return event;
        }
        assert!(readable(client, Duration::from_secs(5)), "no event came");
    }
}

#[test]
fn a_page_is_shared_until_both_ends_let_go() {
    let machine = Machine::new();
    let domid = machine.create_domain("guest").unwrap();
    let guest = machine.add_private_vuart(domid).unwrap();
    let platform = machine.platform().unwrap();

    let page = platform
        .hypervisor
        .map_resource(domid, Resource::VUART)
        .unwrap();
    guest.page.store_u32(3084, 77);
    assert_eq!(page.load_u32(3084), 77);
    assert_eq!(machine.mapped_pages(domid), 1);

    machine.destroy(domid).unwrap();
    assert!(machine.is_zombie(domid));
    drop(page);
    assert!(!machine.is_zombie(domid));
    assert_eq!(
        errno(platform.hypervisor.map_resource(domid, Resource::VUART)),
        Some(ESRCH)
    );
}

#[test]
fn a_private_ring_has_no_address() {
    let machine = Machine::new();
    let domid = machine.create_domain("guest").unwrap();
    let _console = machine.add_private_vuart(domid).unwrap();
    let hypervisor = machine.platform().unwrap().hypervisor;
    let pfn = hypervisor.hvm_param(domid, HvmParam::VUART_PFN).unwrap();
    assert_eq!(errno(hypervisor.map_gfn(domid, Gfn(pfn))), Some(EINVAL));
    assert_eq!(
        errno(hypervisor.map_grant(domid, GrantRef::CONSOLE)),
        Some(EINVAL)
    );
    let other = Resource {
        frame: 1,
        ..Resource::VUART
    };
    assert_eq!(errno(hypervisor.map_resource(domid, other)), Some(EINVAL));
}

#[test]
fn breaks_reach_a_vuart_of_either_kind_and_nothing_else() {
    let machine = Machine::new();
    let hypervisor = machine.platform().unwrap().hypervisor;
    let plain = machine.create_domain("plain").unwrap();
    let _pv = machine.add_pv_console(plain).unwrap();
    assert_eq!(errno(hypervisor.send_break(plain)), Some(ENODEV));
    assert_eq!(machine.take_breaks(plain), 0);

    let private = machine.create_domain("private").unwrap();
    let _uart = machine.add_private_vuart(private).unwrap();
    let stock = machine.create_domain("stock").unwrap();
    let _uart = machine.add_stock_vuart(stock).unwrap();
    for domid in [private, stock] {
        hypervisor.send_break(domid).unwrap();
        hypervisor.send_break(domid).unwrap();
        assert_eq!(machine.take_breaks(domid), 2);
        assert_eq!(machine.take_breaks(domid), 0);
        assert_eq!(hypervisor.hvm_param(domid, HvmParam(41)).unwrap(), 0);
        let two = hypervisor.set_hvm_param(domid, HvmParam(41), 2);
        assert_eq!(errno(two), Some(EINVAL));
    }
    machine.kill(private);
    assert_eq!(errno(hypervisor.send_break(private)), Some(ESRCH));
}

#[test]
fn a_port_is_reported_once_until_it_is_unmasked() {
    let machine = Machine::new();
    let domid = machine.create_domain("guest").unwrap();
    let guest = machine.add_pv_console(domid).unwrap();
    let mut events = machine.platform().unwrap().events;
    let mut ports = Vec::new();

    let port = events.bind_interdomain(domid, guest.line.port()).unwrap();
    assert!(
        readable(&events, Duration::ZERO),
        "a new port starts pending"
    );
    events.pending(&mut ports).unwrap();
    assert_eq!(ports, [port]);

    guest.line.notify();
    guest.line.notify();
    assert!(!readable(&events, Duration::ZERO), "masked");
    events.unmask(port).unwrap();
    ports.clear();
    events.pending(&mut ports).unwrap();
    assert_eq!(ports, [port]);
    events.unmask(port).unwrap();
    assert!(
        !readable(&events, Duration::ZERO),
        "both notifications are one"
    );

    assert!(!guest.line.wait(Duration::ZERO));
    events.notify(port).unwrap();
    assert!(guest.line.wait(Duration::ZERO));
    assert!(!guest.line.wait(Duration::ZERO));
}

#[test]
fn a_port_has_one_peer_and_can_be_bound_again() {
    let machine = Machine::new();
    let domid = machine.create_domain("guest").unwrap();
    let guest = machine.add_pv_console(domid).unwrap();
    let mut first = machine.platform().unwrap().events;
    let mut second = machine.platform().unwrap().events;
    let port = first.bind_interdomain(domid, guest.line.port()).unwrap();
    assert_eq!(
        errno(second.bind_interdomain(domid, guest.line.port())),
        Some(EINVAL)
    );
    first.unbind(port).unwrap();
    assert!(!guest.line.is_connected());
    second.bind_interdomain(domid, guest.line.port()).unwrap();
    drop(second);
    assert!(
        !guest.line.is_connected(),
        "closing the descriptor closes its ports"
    );
    assert_eq!(
        errno(first.bind_interdomain(domid, Port(9999))),
        Some(EINVAL)
    );
    assert_eq!(
        errno(first.bind_interdomain(DomId(99), Port(1))),
        Some(ESRCH)
    );
}

#[test]
fn messages_of_the_hypervisor_are_signalled_and_read_once() {
    let machine = Machine::new();
    machine.say(b"Xen version\n");
    let mut platform = machine.platform().unwrap();
    let mut buffer = [0; 8];
    let mut index = 0;
    let mut read = |index: &mut u32| {
        let length = platform.hypervisor.read_console(index, &mut buffer);
        buffer[..length.unwrap()].to_vec()
    };
    assert_eq!(read(&mut index), b"Xen vers");
    assert_eq!(read(&mut index), b"ion\n");
    assert_eq!((read(&mut index), index), (vec![], 12));

    let port = platform.events.bind_virq(Virq::CON_RING).unwrap();
    let mut other = machine.platform().unwrap();
    let second = other.events.bind_virq(Virq::CON_RING);
    assert_eq!(errno(second), Some(17), "one program at a time");
    assert!(!readable(&platform.events, Duration::ZERO));
    machine.say(b"d1");
    let mut ports = Vec::new();
    platform.events.pending(&mut ports).unwrap();
    assert_eq!(ports, [port]);
    machine.say(b"d2");
    assert!(!readable(&platform.events, Duration::ZERO), "masked");
    platform.events.unmask(port).unwrap();
    assert!(readable(&platform.events, Duration::ZERO));
    platform.events.unbind(port).unwrap();
    assert!(other.events.bind_virq(Virq::CON_RING).is_ok());
}

/// The interfaces of [`Machine::platform`], over a socket.
#[test]
fn another_process_reaches_the_same_host() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("xen");
    let machine = Machine::new();
    machine.listen(&socket).unwrap();
    let domid = machine.create_domain("guest").unwrap();
    let pv = machine.add_pv_console(domid).unwrap();
    let vuart = machine.add_private_vuart(domid).unwrap();
    machine.introduce(domid);
    machine.say(b"Xen");

    let mut platform = Platform::connect_fake(&socket).unwrap();
    assert!(platform.store.is_introduced(domid).unwrap());
    let hypervisor = platform.hypervisor.as_ref();
    let port = hypervisor.hvm_param(domid, HvmParam::VUART_EVTCHN).unwrap();
    assert_eq!(port, u64::from(vuart.line.port().0));
    assert_eq!(
        errno(hypervisor.hvm_param(DomId(99), HvmParam::VUART_PFN)),
        Some(3)
    );
    let mut buffer = [0; 8];
    let mut index = 0;
    assert_eq!(hypervisor.read_console(&mut index, &mut buffer).unwrap(), 3);
    assert_eq!((&buffer[..3], index), (&b"Xen"[..], 3));

    let page = hypervisor.map_grant(domid, GrantRef::CONSOLE).unwrap();
    let other = hypervisor.map_resource(domid, Resource::VUART).unwrap();
    assert_eq!(machine.mapped_pages(domid), 2);
    pv.page.store_u32(3084, 7);
    assert_eq!(page.load_u32(3084), 7);
    other.store_u32(3080, 8);
    assert_eq!(vuart.page.load_u32(3080), 8);
    drop(other);
    assert_eq!(machine.mapped_pages(domid), 1);

    let events = platform.events.as_mut();
    let port = events.bind_interdomain(domid, pv.line.port()).unwrap();
    assert!(readable(&platform.events, Duration::from_secs(10)));
    let mut ports = Vec::new();
    platform.events.pending(&mut ports).unwrap();
    assert_eq!(ports, [port]);
    pv.line.notify();
    assert!(!readable(&platform.events, Duration::ZERO), "masked");
    platform.events.unmask(port).unwrap();
    assert!(readable(&platform.events, Duration::from_secs(10)));
    platform.events.notify(port).unwrap();
    assert!(pv.line.wait(Duration::from_secs(10)));

    // The program ends without notice.
    drop((platform, page));
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while pv.line.is_connected() || machine.mapped_pages(domid) > 0 {
        assert!(
            std::time::Instant::now() < deadline,
            "it still holds something"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}
