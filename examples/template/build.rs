//! Writes the place of libtorch into the program, so that it runs without `LD_LIBRARY_PATH`.

fn main() {
    // formant tells the packages that depend on it which libtorch it was built with; not on Windows,
    // whose loader takes no such place.
    if let Ok(folder) = std::env::var("DEP_FORMANT_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
