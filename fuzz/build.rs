// SPDX-License-Identifier: MIT
//! The C glue on the host, for the target `hvm_param`. Undefined behaviour traps: the
//! runtime that would report it belongs to another compiler.

fn main() {
    let shim = "../hyp-shim";
    let glue = [
        "console",
        "device",
        "dump",
        "lifecycle",
        "line",
        "private",
        "rest",
    ]
    .map(|file| format!("glue/{file}.c"));
    let emulated = ["emul", "one-line", "monkey"].map(|file| format!("tests/glue/{file}.c"));
    let mut build = cc::Build::new();
    for file in glue.iter().chain(&emulated) {
        build.file(format!("{shim}/{file}"));
    }
    println!("cargo:rerun-if-changed={shim}/glue");
    println!("cargo:rerun-if-changed={shim}/include");
    println!("cargo:rerun-if-changed={shim}/tests/glue");
    build
        .include(format!("{shim}/include"))
        .include(format!("{shim}/tests/glue"))
        .flag("-std=gnu99")
        .flag("-fsanitize=undefined")
        .flag("-fsanitize-undefined-trap-on-error")
        .flag("-Wno-unused-parameter")
        .opt_level(1)
        .cargo_metadata(false)
        .compile("glue");
    let out = std::env::var("OUT_DIR").expect("cargo says where");
    println!("cargo:rustc-link-search=native={out}");
}
