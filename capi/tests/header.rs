//! `include/formant.h` is what the sources say. After a change of them:
//! `FORMANT_WRITE_HEADER=1 cargo test --package formant-capi --test header`.

use std::path::Path;

#[test]
fn the_header_is_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).expect("a config");
    let mut made = Vec::new();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in ["failure", "event", "options", "session", "enhanced"] {
        builder = builder.with_src(folder.join("src").join(source).with_extension("rs"));
    }
    builder.generate().expect("a header").write(&mut made);
    let made = String::from_utf8(made).expect("text");
    let path = folder.join("include/formant.h");
    if std::env::var_os("FORMANT_WRITE_HEADER").is_some() {
        std::fs::write(&path, &made).expect("written");
    }
    let kept = std::fs::read_to_string(&path).expect("a header").replace('\r', "");
    assert!(kept == made, "{} is old; the head of this test says what to do", path.display());
}
