// SPDX-License-Identifier: MIT
//! An ioctl whose argument is a pointer to a structure and whose result is the
//! non-negative return value: the form of all of Xen's.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr;

use rustix::ioctl::{self, Direction, Ioctl, IoctlOutput, Opcode};

/// The argument of one ioctl.
///
/// # Safety
///
/// `OPCODE` must be an ioctl that takes a pointer to a structure laid out as
/// `Self`, and that writes only to it and to memory that addresses in it name.
pub(crate) unsafe trait Request {
    /// The request's number.
    const OPCODE: Opcode;
}

/// Xen's ioctls are all `_IOC(_IOC_NONE, group, number, size)`.
pub(crate) const fn opcode<T>(group: u8, number: u8) -> Opcode {
    ioctl::opcode::from_components(Direction::None, group, number, size_of::<T>())
}

struct Call<'a, R>(&'a mut R);

// SAFETY: `Request` says that the opcode takes a pointer to `R`; the pointer
// comes from a unique reference, and the answer is only the returned number.
unsafe impl<R: Request> Ioctl for Call<'_, R> {
    type Output = c_int;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        R::OPCODE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        ptr::from_mut(self.0).cast()
    }

    unsafe fn output_from_ptr(
        returned: IoctlOutput,
        _: *mut c_void,
    ) -> rustix::io::Result<Self::Output> {
        Ok(returned)
    }
}

/// Performs the ioctl and returns its result.
///
/// # Safety
///
/// Every address in `request` must be valid for the kernel's use of it.
pub(crate) unsafe fn call<R: Request>(fd: BorrowedFd<'_>, request: &mut R) -> io::Result<c_int> {
    let returned = rustix::io::retry_on_intr(|| {
        // SAFETY: `Request` vouches for the opcode and the layout, the caller
        // for the addresses inside.
        unsafe { ioctl::ioctl(fd, Call(request)) }
    })?;
    Ok(returned)
}
