// SPDX-License-Identifier: MIT
//! Files from Debian's archive, each pinned by size and digest: the lock file, the
//! store, the fetcher, and the update of pins. It is independent of the files' use.
#![forbid(unsafe_code)]

mod fetch;
mod found;
mod index;
mod lock;
mod mirrors;
mod store;
mod update;

pub use self::fetch::{Fetcher, Origins};
pub use self::found::{Attempt, Found, Unavailable, offline};
pub use self::lock::{Lock, Pin, Pins};
pub use self::mirrors::{Run, mirrors};
pub use self::store::Store;
pub use self::update::{Moved, Set, Wanted, update};
