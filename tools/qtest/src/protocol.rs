// SPDX-License-Identifier: MIT
//! The part of QEMU's qtest line protocol that concerns one device.
//!
//! A command is one line of words; numbers are C literals (`0x10`, `16`, `020`).

use vpl011::trap::Width;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `read[bwl] ADDR`
    Read {
        /// Width of the access.
        width: Width,
        /// Guest physical address.
        address: u64,
    },
    /// `write[bwl] ADDR VALUE`
    Write {
        /// Width of the access.
        width: Width,
        /// Guest physical address.
        address: u64,
        /// Value; the bits above the width are ignored.
        value: u64,
    },
    /// `clock_step [NS]`
    ClockStep {
        /// Nanoseconds to step by.
        ns: u64,
    },
    /// `irq_intercept_in PATH`
    IrqInterceptIn,
}

/// Why a line is invalid; printed after `FAIL`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The line has no words.
    #[error("Empty command")]
    Empty,
    /// The first word is no command.
    #[error("Unknown command '{0}'")]
    Unknown(String),
    /// Too few or too many words.
    #[error("'{0}' takes {1}")]
    Arguments(&'static str, &'static str),
    /// A word that should be a number is not.
    #[error("'{0}' is no number of at most 64 bits")]
    Number(String),
}

/// Reads one line, without its line break.
pub(crate) fn parse(line: &str) -> Result<Command, Error> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (&name, arguments) = words.split_first().ok_or(Error::Empty)?;
    let read = |name, width| match arguments {
        [address] => Ok(Command::Read {
            width,
            address: number(address)?,
        }),
        _ => Err(Error::Arguments(name, "an address")),
    };
    let write = |name, width| match arguments {
        [address, value] => Ok(Command::Write {
            width,
            address: number(address)?,
            value: number(value)?,
        }),
        _ => Err(Error::Arguments(name, "an address and a value")),
    };
    match name {
        "readb" => read("readb", Width::Byte),
        "readw" => read("readw", Width::Half),
        "readl" => read("readl", Width::Word),
        "writeb" => write("writeb", Width::Byte),
        "writew" => write("writew", Width::Half),
        "writel" => write("writel", Width::Word),
        "clock_step" => match arguments {
            [] => Ok(Command::ClockStep { ns: 0 }),
            [ns] => Ok(Command::ClockStep { ns: number(ns)? }),
            _ => Err(Error::Arguments(
                "clock_step",
                "at most a number of nanoseconds",
            )),
        },
        "irq_intercept_in" => match arguments {
            [_path] => Ok(Command::IrqInterceptIn),
            _ => Err(Error::Arguments("irq_intercept_in", "a path")),
        },
        other => Err(Error::Unknown(other.to_owned())),
    }
}

/// A C integer literal.
pub(crate) fn number(word: &str) -> Result<u64, Error> {
    let lower = word.to_ascii_lowercase();
    let (digits, radix) = if let Some(hex) = lower.strip_prefix("0x") {
        (hex, 16)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (&lower[1..], 8)
    } else {
        (lower.as_str(), 10)
    };
    if digits.starts_with('+') {
        return Err(Error::Number(word.to_owned()));
    }
    u64::from_str_radix(digits, radix).map_err(|_| Error::Number(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_read() {
        assert_eq!(
            parse("readb 0x9000018"),
            Ok(Command::Read {
                width: Width::Byte,
                address: 0x0900_0018
            })
        );
        assert_eq!(
            parse(" writel 0x9000000  65 "),
            Ok(Command::Write {
                width: Width::Word,
                address: 0x0900_0000,
                value: 65
            })
        );
        assert_eq!(parse("clock_step"), Ok(Command::ClockStep { ns: 0 }));
        assert_eq!(parse("clock_step 100"), Ok(Command::ClockStep { ns: 100 }));
        assert_eq!(
            parse("irq_intercept_in /machine/soc"),
            Ok(Command::IrqInterceptIn)
        );
    }

    #[test]
    fn numbers_are_c_literals() {
        assert_eq!(number("0x10"), Ok(16));
        assert_eq!(number("010"), Ok(8));
        assert_eq!(number("0"), Ok(0));
        assert_eq!(number("18446744073709551615"), Ok(u64::MAX));
        for bad in [
            "",
            "0x",
            "-1",
            "+1",
            "0x+1",
            "18446744073709551616",
            "ten",
            "08",
            "1_0",
        ] {
            assert_eq!(number(bad), Err(Error::Number(bad.to_owned())), "{bad:?}");
        }
    }

    #[test]
    fn bad_lines_get_a_message() {
        assert_eq!(parse("  "), Err(Error::Empty));
        assert_eq!(parse("readq 0"), Err(Error::Unknown("readq".to_owned())));
        assert_eq!(parse("readl"), Err(Error::Arguments("readl", "an address")));
        assert_eq!(
            parse("writel 1"),
            Err(Error::Arguments("writel", "an address and a value"))
        );
    }
}
