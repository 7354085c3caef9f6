// SPDX-License-Identifier: MIT
//! The images' layout is the runtime's.

fn main() {
    if std::env::var_os("CARGO_CFG_TARGET_OS").is_some_and(|os| os == "none") {
        println!("cargo::rustc-link-arg-bins=-Timage.lds");
    }
}
