//! Build script of every package that makes executables (each `Cargo.toml` names it).
//!
//! Writes the place of libtorch into binaries, tests, examples and benches (`rpath`), so that they
//! run without `LD_LIBRARY_PATH`, and tells it the build scripts of programs that use the library
//! (examples/template). Which libtorch that is, `torch-sys` alone decides.

use std::env;
use std::path::PathBuf;

fn main() {
    // Given to packages that depend on `torch-sys` directly; not on Windows, whose loader knows no
    // rpath anyway (docs/install.md says what to do there).
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) {
        let lib = lib.canonicalize().unwrap_or(lib);
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
        if env::var_os("CARGO_MANIFEST_LINKS").is_some() {
            println!("cargo::metadata=LIBTORCH_LIB={}", lib.display());
        }
    }
}
