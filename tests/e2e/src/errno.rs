// SPDX-License-Identifier: MIT
//! Results of hypercalls as text: `ok`, or the name of the error.

use std::io;

use rustix::io::Errno;

/// The result of a hypercall.
pub(crate) fn word<T>(result: &io::Result<T>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.raw_os_error().map_or_else(|| error.to_string(), name),
    }
}

/// The name of an error's number.
pub(crate) fn name(number: i32) -> String {
    let known = [
        (Errno::PERM, "EPERM"),
        (Errno::NOENT, "ENOENT"),
        (Errno::SRCH, "ESRCH"),
        (Errno::EXIST, "EEXIST"),
        (Errno::NODEV, "ENODEV"),
        (Errno::INVAL, "EINVAL"),
        (Errno::OPNOTSUPP, "EOPNOTSUPP"),
    ];
    known
        .into_iter()
        .find(|(errno, _)| errno.raw_os_error() == number)
        .map_or_else(|| format!("error {number}"), |(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_names() {
        assert_eq!(word(&Ok(())), "ok");
        assert_eq!(word::<()>(&Err(io::Error::from_raw_os_error(22))), "EINVAL");
        assert_eq!(name(99), "error 99");
    }
}
