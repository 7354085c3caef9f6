// SPDX-License-Identifier: MIT
//! The images use the runtime's linker script.

fn main() {
    if std::env::var_os("CARGO_CFG_TARGET_OS").is_some_and(|os| os == "none") {
        println!("cargo::rustc-link-arg-bins=-Timage.lds");
    }
}
