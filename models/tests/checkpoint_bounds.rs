//! Small files that describe much: work and memory stay relative to the size of the file.

mod checkpoint_support;

use std::io::Write;

use checkpoint_support::{Pickle, archive};
use formant_models::Error;
use formant_models::checkpoint::{StateDict, read_bytes};

/// Processor seconds of this thread.
fn seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// Reads a file, every tensor of it included, in a time that a quadratic algorithm exceeds by far.
fn read(what: &str, bytes: Vec<u8>) -> Result<StateDict, Error> {
    let began = seconds();
    let state = read_bytes(bytes, what).and_then(|state| {
        for (_, tensor) in state.iter() {
            tensor.bytes().map_err(|fault| fault.at(std::path::Path::new(what)))?;
        }
        Ok(state)
    });
    let took = seconds() - began;
    assert!(took < 8.0, "{what}: {took:.1} s");
    state
}

fn assert_limit(what: &str, bytes: Vec<u8>) {
    match read(what, bytes) {
        Err(Error::Limit { .. }) => {}
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what}: accepted"),
    }
}

fn stored(pickle: &Pickle) -> Vec<u8> {
    archive(&[("data.pkl", &pickle.0), ("data/0", &[0; 32])])
}

fn packed(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, data) in members {
        zip.start_file(format!("a/{name}"), zip::write::SimpleFileOptions::default())
            .expect("starts");
        zip.write_all(data).expect("writes");
    }
    zip.finish().expect("finishes").into_inner()
}

/// A list of 400,000 values, and a list of 400,000 references to it.
fn references() -> Pickle {
    let long = Pickle::new().raw(b"](").raw(&vec![b'N'; 400_000]).raw(b"eq\x000](");
    long.raw(&b"h\x00".repeat(400_000)).raw(b"e.")
}

#[test]
fn u1_references_to_one_value() {
    assert!(read("stored", stored(&references())).expect("no harm").is_empty());
    let bytes = packed(&[("data.pkl", &references().0)]);
    assert!(bytes.len() < 16 << 10, "{} bytes", bytes.len());
    assert_limit("packed", bytes);
}

#[test]
fn u1_a_list_that_holds_itself() {
    let pickle = Pickle::new().raw(b"]q\x00").raw(&b"h\x00a".repeat(200_000)).raw(b".");
    assert!(read("itself", stored(&pickle)).expect("no harm").is_empty());
}

#[test]
fn u1_marks_stack_and_memo() {
    for (what, opcodes) in [("marks", "("), ("copies of the top", "2"), ("memo", "\u{94}")] {
        let opcodes: Vec<u8> = opcodes.chars().map(|c| c as u8).collect();
        let pickle = Pickle::new().raw(b"N").raw(&opcodes.repeat(9 << 20)).raw(b".");
        assert_limit(what, stored(&pickle));
    }
    assert_limit("values", stored(&Pickle::new().raw(&vec![b'N'; 9 << 20]).raw(b".")));
    let pickle = Pickle::new().raw(&vec![b'('; 1 << 26]);
    assert_limit("packed marks", packed(&[("data.pkl", &pickle.0)]));
}

#[test]
fn u1_objects_that_share_their_state() {
    let mut pickle = Pickle::new().raw(b"}").text("a").raw(b"](}q\x00(");
    for index in 0..30_000u32 {
        pickle = pickle.raw(b"J").raw(&index.to_le_bytes()).raw(b"N");
    }
    pickle = pickle.raw(b"u").global("omegaconf.nodes", "AnyNode").raw(b"q\x010");
    for _ in 0..30_000 {
        pickle = pickle.raw(b"h\x01)\x81h\x00b");
    }
    let view = (0, &[8i64][..], &[1i64][..]);
    let pickle = pickle.raw(b"es").text("w").tensor("FloatStorage", "0", 8, view).raw(b"s.");
    assert_eq!(read("shared state", stored(&pickle)).expect("no harm").len(), 1);
}

#[test]
fn u1_one_long_name_of_many_things() {
    let long = "x".repeat(1 << 20);
    let view = (0, &[8i64][..], &[1i64][..]);
    let pickle = Pickle::new().text(&long).raw(b"q\x000}(").text("model").raw(b"}").text("w");
    let pickle = pickle.tensor("FloatStorage", "0", 8, view).raw(b"s");
    let pickle = pickle.raw(&b"h\x00N".repeat(200_000)).raw(b"u.");
    assert_eq!(read("names", stored(&pickle)).expect("no harm").len(), 1);
    let storage = Pickle::new().raw(b"}").text("w").tensor("FloatStorage", &long, 8, view);
    assert_limit("storage", stored(&storage.raw(b"s.")));
}

#[test]
fn u1_a_legacy_file_of_many_storages() {
    const COUNT: usize = 60_000;
    let magic = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
    let mut bytes = Pickle::new().raw(&[0x8a, 10]).raw(&magic).raw(b".").0;
    bytes.extend(Pickle::new().int(1001).raw(b".").0);
    bytes.extend(Pickle::new().raw(b"}.").0);
    let mut weights = Pickle::new().raw(b"}");
    let mut keys = Pickle::new().raw(b"](");
    for index in 0..COUNT {
        let view = (0, &[0i64][..], &[1i64][..]);
        let key = index.to_string();
        weights = weights.text(&key).tensor("FloatStorage", &key, 0, view).raw(b"s");
        keys = keys.text(&key);
    }
    bytes.extend(weights.raw(b".").0);
    bytes.extend(keys.raw(b"e.").0);
    bytes.resize(bytes.len() + 8 * COUNT, 0);
    assert_eq!(read("storages", bytes).expect("sound").len(), COUNT);
}

#[test]
fn u1_aliases_that_would_fill_the_disk() {
    let size = 400 << 10;
    let aliases: Vec<String> = (0..20_000).map(|index| format!(r#""alias{index}":"w""#)).collect();
    let header = format!(
        r#"{{"__metadata__":{{{}}},"w":{{"dtype":"U8","shape":[{size}],"data_offsets":[0,{size}]}}}}"#,
        aliases.join(",")
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + size, 0);
    assert_limit("aliases", bytes);
}

#[test]
fn u1_storages_that_would_be_unpacked_again_and_again() {
    let mut pickle = Pickle::new().raw(b"}(");
    for index in 0..10_000 {
        let key = ["0", "1"][index % 2];
        pickle = pickle.text(&index.to_string()).tensor("FloatStorage", key, 8, (0, &[1], &[1]));
    }
    let pickle = pickle.raw(b"u.");
    let zeros = vec![0; 4 << 20];
    let members: [(&str, &[u8]); 3] =
        [("data.pkl", &pickle.0), ("data/0", &zeros), ("data/1", &zeros)];
    assert_limit("unpacking", packed(&members));
}
