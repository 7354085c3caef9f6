// SPDX-License-Identifier: MIT
//! Tells the images' linker where `image.lds` is.

fn main() {
    println!("cargo::rerun-if-changed=image.lds");
    println!(
        "cargo::rustc-link-search=native={}",
        env!("CARGO_MANIFEST_DIR")
    );
}
