// SPDX-License-Identifier: MIT
//! `/dev/xen/evtchn`: one descriptor for all of a program's ports.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::ioctl::Opcode;

use crate::interface::EventChannels;
use crate::ioctl::{self, Request};
use crate::privcmd::open_device;
use crate::types::{DomId, Port, Virq};

const DEVICE: &str = "/dev/xen/evtchn";

/// Most ports in one read.
const BATCH: usize = 64;

#[repr(C)]
struct BindVirq {
    virq: u32,
}

#[repr(C)]
struct BindInterdomain {
    remote_domain: u32,
    remote_port: u32,
}

#[repr(C)]
struct BindUnbound {
    remote_domain: u32,
}

#[repr(C)]
struct Unbind {
    port: u32,
}

#[repr(C)]
struct Notify {
    port: u32,
}

struct Reset;

// SAFETY: number 0 of group 'E' reads this structure.
unsafe impl Request for BindVirq {
    const OPCODE: Opcode = ioctl::opcode::<Self>(b'E', 0);
}
// SAFETY: number 1 of group 'E' reads this structure.
unsafe impl Request for BindInterdomain {
    const OPCODE: Opcode = ioctl::opcode::<Self>(b'E', 1);
}
// SAFETY: number 2 of group 'E' reads this structure.
unsafe impl Request for BindUnbound {
    const OPCODE: Opcode = ioctl::opcode::<Self>(b'E', 2);
}
// SAFETY: number 3 of group 'E' reads this structure.
unsafe impl Request for Unbind {
    const OPCODE: Opcode = ioctl::opcode::<Self>(b'E', 3);
}
// SAFETY: number 4 of group 'E' reads this structure.
unsafe impl Request for Notify {
    const OPCODE: Opcode = ioctl::opcode::<Self>(b'E', 4);
}
// SAFETY: number 5 of group 'E' has no argument.
unsafe impl Request for Reset {
    const OPCODE: Opcode = ioctl::opcode::<Self>(b'E', 5);
}

/// An open evtchn device, non-blocking. The kernel closes its ports with it.
pub struct Evtchn(File);

impl Evtchn {
    /// Opens the device.
    pub fn open() -> io::Result<Self> {
        open_device(DEVICE, OFlags::NONBLOCK).map(Self)
    }

    fn call<R: Request>(&self, mut request: R) -> io::Result<u32> {
        // SAFETY: none of this device's requests holds an address.
        let returned = unsafe { ioctl::call(self.0.as_fd(), &mut request)? };
        u32::try_from(returned).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

impl AsFd for Evtchn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl EventChannels for Evtchn {
    fn bind_interdomain(&mut self, domid: DomId, remote: Port) -> io::Result<Port> {
        let request = BindInterdomain {
            remote_domain: domid.0.into(),
            remote_port: remote.0,
        };
        self.call(request).map(Port)
    }

    fn bind_unbound(&mut self, domid: DomId) -> io::Result<Port> {
        self.call(BindUnbound {
            remote_domain: domid.0.into(),
        })
        .map(Port)
    }

    fn bind_virq(&mut self, virq: Virq) -> io::Result<Port> {
        self.call(BindVirq { virq: virq.0 }).map(Port)
    }

    fn unbind(&mut self, port: Port) -> io::Result<()> {
        self.call(Unbind { port: port.0 }).map(drop)
    }

    fn notify(&mut self, port: Port) -> io::Result<()> {
        self.call(Notify { port: port.0 }).map(drop)
    }

    fn unmask(&mut self, port: Port) -> io::Result<()> {
        self.0.write_all(&port.0.to_ne_bytes())
    }

    fn pending(&mut self, ports: &mut Vec<Port>) -> io::Result<()> {
        let mut bytes = [0; 4 * BATCH];
        loop {
            match self.0.read(&mut bytes) {
                Ok(length) => {
                    let (words, _) = bytes[..length].as_chunks::<4>();
                    ports.extend(words.iter().map(|word| Port(u32::from_ne_bytes(*word))));
                    // After a short read there may be more: the kernel does not
                    // wake a reader for a port that it adds during a read.
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // More ports fired than the kernel can list. It resets the list
                // on request, and the lost ports stay masked: the caller must
                // check all of its own.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::FBIG) => {
                    self.call(Reset)?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn ports_are_read_until_there_are_none() {
        // One datagram per read, as when the kernel adds a port during one.
        let (kernel, device) = UnixDatagram::pair().unwrap();
        device.set_nonblocking(true).unwrap();
        let mut events = Evtchn(OwnedFd::from(device).into());
        for port in [3_u32, 7, 4] {
            kernel.send(&port.to_ne_bytes()).unwrap();
        }
        let mut ports = Vec::new();
        events.pending(&mut ports).unwrap();
        assert_eq!(ports, [Port(3), Port(7), Port(4)]);
        events.pending(&mut ports).unwrap();
        assert_eq!(ports.len(), 3);
        events.unmask(Port(7)).unwrap();
        let mut word = [0; 8];
        assert_eq!(kernel.recv(&mut word).unwrap(), 4);
        assert_eq!(word[..4], 7_u32.to_ne_bytes());
    }

    #[test]
    fn ioctls_have_the_kernel_s_numbers() {
        // _IOC(_IOC_NONE, 'E', nr, size) = size << 16 | 'E' << 8 | nr
        assert_eq!(u64::from(BindVirq::OPCODE), 0x0004_4500);
        assert_eq!(u64::from(BindInterdomain::OPCODE), 0x0008_4501);
        assert_eq!(u64::from(BindUnbound::OPCODE), 0x0004_4502);
        assert_eq!(u64::from(Unbind::OPCODE), 0x0004_4503);
        assert_eq!(u64::from(Notify::OPCODE), 0x0004_4504);
        assert_eq!(u64::from(Reset::OPCODE), 0x0000_4505);
    }
}
