//! Hostile and broken files give typed errors, at once and without much memory.

mod checkpoint_support;

use checkpoint_support::{Pickle, archive};
use formant_models::Error;
use formant_models::checkpoint::{StateDict, read_bytes};

fn read(bytes: &[u8]) -> Result<StateDict, Error> {
    let state = read_bytes(bytes, "test")?;
    for (_, tensor) in state.iter() {
        tensor.bytes().map_err(|fault| fault.at(std::path::Path::new("test")))?;
    }
    Ok(state)
}

fn read_pickle(pickle: Pickle) -> Result<StateDict, Error> {
    read(&archive(&[("data.pkl", &pickle.0), ("data/0", &[0; 32])]))
}

fn assert_damaged(result: Result<StateDict, Error>, what: &str) {
    match result {
        Err(Error::Damaged { .. } | Error::Limit { .. }) => {}
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what}: accepted"),
    }
}

fn one_tensor(numel: i64, view: (i64, &[i64], &[i64])) -> Result<StateDict, Error> {
    read_pickle(Pickle::dict(&[("w", &|p| p.tensor("FloatStorage", "0", numel, view))]))
}

#[test]
fn a_sound_file_reads() {
    assert_eq!(one_tensor(8, (0, &[2, 4], &[4, 1])).expect("sound").len(), 1);
}

#[test]
fn views_outside_their_storage_are_damage() {
    for (what, numel, view) in [
        ("beyond the end", 8, (1, &[2i64, 4][..], &[4i64, 1][..])),
        ("huge size", 8, (0, &[i64::MAX], &[1])),
        ("huge stride", 8, (0, &[2], &[i64::MAX])),
        ("huge offset", 8, (i64::MAX, &[2], &[1])),
        ("negative offset", 8, (-1, &[2], &[1])),
        ("negative size", 8, (0, &[-2], &[1])),
        ("negative stride", 8, (7, &[2], &[-1])),
        ("sizes without strides", 8, (0, &[2, 2], &[1])),
        ("overflowing product", 8, (0, &[1 << 32, 1 << 32], &[0, 0])),
        ("storage longer than its data", 1 << 40, (0, &[9], &[1])),
        ("negative storage", -8, (0, &[2], &[1])),
    ] {
        assert_damaged(one_tensor(numel, view), what);
    }
}

#[test]
fn one_element_may_have_any_stride() {
    let state = one_tensor(8, (3, &[1, 2], &[i64::MAX, 1])).expect("sound");
    assert_eq!(state.get("w").expect("w").shape(), [1, 2]);
}

#[test]
fn an_expanded_element_does_not_fill_the_memory() {
    assert_damaged(one_tensor(8, (0, &[1 << 36], &[0])), "expansion");
}

#[test]
fn memo_bombs_stay_small() {
    // Each list holds the one before ten times over: 10^64 leaves in a tree.
    let mut bomb = Pickle::new().raw(b"]q\x00");
    for level in 1..64u8 {
        bomb = bomb.raw(b"](");
        for _ in 0..10 {
            bomb = bomb.raw(&[b'h', level - 1]);
        }
        bomb = bomb.raw(&[b'e', b'q', level]);
    }
    let state = read_pickle(bomb.raw(b".")).expect("no tensors, no harm");
    assert!(state.is_empty());
    // The same below a key, where values are written out.
    let mut beside = Pickle::new().raw(b"]q\x000");
    for level in 1..64u8 {
        beside = beside.raw(b"](");
        for _ in 0..10 {
            beside = beside.raw(&[b'h', level - 1]);
        }
        beside = beside.raw(&[b'e', b'q', level, b'0']);
    }
    let view = (0, &[8i64][..], &[1i64][..]);
    let beside = beside.raw(b"}").text("w").tensor("FloatStorage", "0", 8, view);
    let beside = beside.raw(b"s").text("bomb").raw(&[b'h', 63]).raw(b"s.");
    let state = read_pickle(beside).expect("no harm");
    assert_eq!(state.len(), 1);
    assert!(state.extra.get("bomb").is_some());
    // A tuple that is copied by calls over and over.
    let mut copies = Pickle::new().raw(b"(").raw(&vec![b'N'; 1 << 16]).raw(b"tq\x00");
    copies = copies.raw(b"h\x00\x85q\x010cbuiltins\nlist\nq\x02(");
    for _ in 0..100_000 {
        copies = copies.raw(b"h\x02h\x01R");
    }
    assert_damaged(read_pickle(copies.raw(b"l.")), "copies");
}

#[test]
fn cycles_and_depth_end() {
    let cycle = Pickle::new().raw(b"}q\x00").text("me").raw(b"h\x00s.");
    assert!(read_pickle(cycle).expect("no tensors").is_empty());
    let mut deep = Pickle::new();
    for _ in 0..100_000 {
        deep = deep.raw(b"}").text("a");
    }
    deep = deep.raw(b"N").raw(&vec![b's'; 100_000]).raw(b".");
    assert!(read_pickle(deep).expect("no tensors").is_empty());
}

#[test]
fn broken_pickles_are_damage() {
    for (what, bytes) in [
        ("empty", &b""[..]),
        ("no stop", b"\x80\x02N"),
        ("underflow", b"\x80\x02."),
        ("text beyond the end", b"\x80\x02X\xff\xff\xff\xffab."),
        ("8-byte length", b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff."),
        ("unset memo", b"\x80\x02h\x07."),
        ("unknown opcode", b"\x80\x02\xf0."),
        ("key without value", b"\x80\x02}(Nu."),
        ("pop beyond a mark", b"\x80\x02N(R."),
        ("tuple across a mark", b"\x80\x02N(\x85."),
        ("mark without end", b"\x80\x02(."),
        ("append to a number", b"\x80\x02K\x01Na."),
        ("call of a number", b"\x80\x02K\x01)R."),
        ("state of a number", b"\x80\x02K\x01Nb."),
    ] {
        let pickle = Pickle(bytes.to_vec());
        assert_damaged(read_pickle(pickle), what);
    }
}

#[test]
fn calls_are_refused_by_name_in_every_form() {
    let refused = |pickle: Pickle| match read_pickle(pickle) {
        Err(Error::Refused { global, .. }) => global,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    };
    let call = |p: Pickle| p.text("id").raw(b"\x85R.");
    assert_eq!(refused(call(Pickle::new().global("os", "system"))), "os.system");
    assert_eq!(refused(call(Pickle::new().global("__builtin__", "eval"))), "builtins.eval");
    assert_eq!(
        refused(call(Pickle::new().text("posix").text("system").raw(b"\x93"))),
        "posix.system"
    );
    let new_object = Pickle::new().global("subprocess", "Popen").raw(b")\x81.");
    assert_eq!(refused(new_object), "subprocess.Popen");
    let unknown = call(Pickle::new().global("my.project", "make_model"));
    assert_eq!(refused(unknown), "my.project.make_model");
    let nested = Pickle::new()
        .global("torch._tensor", "_rebuild_from_type_v2")
        .raw(b"(")
        .global("os", "system")
        .raw(b"N")
        .text("id")
        .raw(b"\x85NtR.");
    assert_eq!(refused(nested), "os.system");
    let hidden =
        Pickle::new().global("copyreg", "__newobj__").raw(b"(").global("os", "popen").raw(b"tR.");
    assert_eq!(refused(hidden), "os.popen");
    let storage = call(Pickle::new().global("torch.storage", "_load_from_bytes"));
    assert_eq!(refused(storage), "torch.storage._load_from_bytes");
    let instance = Pickle::new().global("a", "B").raw(b")\x81").raw(b")R.");
    assert_eq!(refused(instance), "an instance of a.B");
}

#[test]
fn unknown_classes_are_carried_as_data() {
    let pickle = Pickle::dict(&[
        ("w", &|p| p.tensor("FloatStorage", "0", 8, (0, &[8], &[1]))),
        ("config", &|p| {
            p.global("my.project", "Config").raw(b")\x81}").text("width").int(4).raw(b"sb")
        }),
    ]);
    let state = read_pickle(pickle).expect("data only");
    assert_eq!(
        state.extra.to_json(),
        serde_json::json!({ "config": { "__class__": "my.project.Config", "width": 4 } })
    );
}

#[test]
fn config_containers_show_their_content() {
    // omegaconf: a node with its parent (a cycle) and its content.
    let pickle = Pickle::dict(&[
        ("w", &|p| p.tensor("FloatStorage", "0", 8, (0, &[8], &[1]))),
        ("config", &|p| {
            p.global("omegaconf.dictconfig", "DictConfig")
                .raw(b")\x81q\x05}(")
                .text("_metadata")
                .raw(b"N")
                .text("_content")
                .raw(b"}")
                .text("dim")
                .global("omegaconf.nodes", "AnyNode")
                .raw(b")\x81}(")
                .text("_parent")
                .raw(b"h\x05")
                .text("_val")
                .int(8)
                .raw(b"ubsub")
        }),
    ]);
    let state = read_pickle(pickle).expect("data only");
    assert_eq!(state.extra.to_json(), serde_json::json!({ "config": { "dim": 8 } }));
}

#[test]
fn unknown_element_types_say_so() {
    let pickle = Pickle::dict(&[("w", &|p| p.tensor("QInt8Storage", "0", 8, (0, &[8], &[1])))]);
    let error = read_pickle(pickle).expect_err("quantised").to_string();
    assert!(error.contains("QInt8Storage"), "{error}");
    let meta = Pickle::dict(&[("w", &|p| p.global("torch._utils", "_rebuild_qtensor").raw(b")R"))]);
    assert!(read_pickle(meta).expect_err("quantised").to_string().contains("quantised"));
}

#[test]
fn a_wrong_checksum_is_damage() {
    let pickle = Pickle::dict(&[("w", &|p| p.tensor("FloatStorage", "0", 8, (0, &[8], &[1])))]);
    let mut bytes = archive(&[("data.pkl", &pickle.0), ("data/0", &[7; 32])]);
    let at = bytes.windows(32).position(|window| window == [7; 32]).expect("stored");
    bytes[at] ^= 1;
    assert_damaged(read(&bytes), "checksum");
}

#[test]
fn archives_without_their_parts_are_reported() {
    let pickle = Pickle::dict(&[("w", &|p| p.tensor("FloatStorage", "0", 8, (0, &[8], &[1])))]);
    assert_damaged(read(&archive(&[("data.pkl", &pickle.0)])), "no data");
    let error = read(&archive(&[("readme", b"x")])).expect_err("no pickle").to_string();
    assert!(error.contains("data.pkl"), "{error}");
}

#[test]
fn a_compressed_bomb_is_over_the_limit() {
    let pickle =
        Pickle::dict(&[("w", &|p| p.tensor("ByteStorage", "0", 1 << 28, (0, &[8], &[1])))]);
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let packed = zip::write::SimpleFileOptions::default();
    for (name, data) in [("a/data.pkl", pickle.0), ("a/data/0", vec![0; 1 << 28])] {
        zip.start_file(name, packed).expect("starts");
        std::io::Write::write_all(&mut zip, &data).expect("writes");
    }
    let bytes = zip.finish().expect("finishes").into_inner();
    assert!(bytes.len() < 1 << 20);
    assert_damaged(read(&bytes), "bomb");
}

#[test]
fn broken_safetensors_are_damage() {
    let file = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let good = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    assert_eq!(read(&file(good, 8)).expect("sound").len(), 1);
    for (what, header, data) in [
        ("cut off", good, 7),
        ("trailing data", good, 9),
        ("no json", "{w", 8),
        ("offsets", r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, 8),
        ("hole", r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8),
        (
            "overflow",
            r#"{"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#,
            8,
        ),
        ("size", r#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8),
    ] {
        assert_damaged(read(&file(header, data)), what);
    }
    let mut huge = u64::MAX.to_le_bytes().to_vec();
    huge.extend(b"{}");
    assert_damaged(read(&huge), "header length");
}

#[test]
fn files_of_other_kinds_say_what_they_are() {
    for (bytes, hint) in [
        (&b"version https://git-lfs.github.com/spec/v1\n"[..], "git lfs pull"),
        (b"<!DOCTYPE html>", "web page"),
        (b"\x89HDF\r\n\x1a\n0000", "HDF5"),
        (b"RIFF....WAVE", "torch.save"),
    ] {
        let error = read(bytes).expect_err("no weights").to_string();
        assert!(error.contains(hint), "{error}");
    }
    assert_damaged(read(b""), "empty file");
}
