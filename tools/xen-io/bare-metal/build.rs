// SPDX-License-Identifier: MIT
//! Passes the path of `image.lds` to the images' linker.

fn main() {
    println!("cargo::rerun-if-changed=image.lds");
    println!(
        "cargo::rustc-link-search=native={}",
        env!("CARGO_MANIFEST_DIR")
    );
}
