// SPDX-License-Identifier: MIT
//! Every file that comes from outside, pinned (docs/pins.md): the lock file,
//! the store, the one fetcher, and the command.

pub(crate) mod command;
mod fetch;
mod index;
pub(crate) mod lock;
mod mirrors;
mod store;
mod update;

pub(crate) use self::command::check;
pub(crate) use self::fetch::{Unavailable, fetch, fetch_to};
pub(crate) use self::lock::{Pins, set};
pub(crate) use self::mirrors::mirrors;
pub(crate) use self::store::folder as store;
