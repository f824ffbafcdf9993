//! The example in C, compiled with the shared library, finds the words of a sample; wrong
//! arguments are codes.

#![allow(clippy::print_stderr)] // a test that is skipped says so

use std::ffi::CStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::resample::{Quality, resample};
use formant_c::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The compiler that `CC` names, or the usual one.
fn compiler() -> Option<String> {
    let name = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let works = Command::new(&name).arg("--version").output().is_ok_and(|out| out.status.success());
    works.then_some(name)
}

#[test]
fn the_example_in_c_finds_the_words() {
    let Some(compiler) = compiler() else {
        eprintln!("SKIPPED: there is no C compiler");
        return;
    };
    let here = std::env::current_exe().expect("a path");
    let deps = here.parent().expect("a folder");
    let built = [deps, deps.parent().expect("a folder")];
    let name = format!("{}formant_c{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let library = built.iter().map(|folder| folder.join(&name)).find(|path| path.is_file());
    let library = library.unwrap_or_else(|| panic!("{name} is not in {built:?}"));
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("spot");
    let made = Command::new(compiler)
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"])
        .arg(root().join("capi/examples/spot.c"))
        .arg("-I")
        .arg(root().join("capi/include"))
        .arg(&library)
        .arg("-o")
        .arg(&program)
        .arg(format!("-Wl,-rpath,{}", library.parent().expect("a folder").display()))
        .output()
        .expect("a compiler");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let clip =
        decode_file(&root().join("samples/keyword_stream_16k.wav"), &DecodeOptions::default());
    let mono =
        resample(&clip.expect("a sample").audio.view(), 16_000, Quality::High).expect("sound");
    let bytes: Vec<u8> =
        mono.channel(0).iter().flat_map(|x| ((x * 32768.0).round() as i16).to_le_bytes()).collect();
    let input = folder.path().join("samples.raw");
    std::fs::write(&input, bytes).expect("written");
    let ran = Command::new(&program)
        .stdin(Stdio::from(File::open(&input).expect("input")))
        .output()
        .expect("a program");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).expect("text");
    let found: Vec<(f64, &str)> = text
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            (fields[0].parse().expect("seconds"), fields[3])
        })
        .collect();
    let table = std::fs::read_to_string(root().join("samples/keyword_stream_16k.tsv"));
    let expected = table.expect("a table").lines().skip(1).count();
    assert_eq!(found.len(), expected, "{text}");
    assert!(found.is_sorted_by(|a, b| a.0 < b.0), "{text}");
}

fn last_error() -> String {
    // SAFETY: the function returns a valid text.
    unsafe { CStr::from_ptr(formant_last_error()) }.to_string_lossy().into_owned()
}

#[test]
fn wrong_arguments_are_codes() {
    let none = std::ptr::null_mut::<FormantSession>();
    // SAFETY: null is allowed everywhere.
    unsafe {
        assert!(formant_session_new(std::ptr::null()).is_null());
        assert_eq!(last_error(), "options: is null");
        let size = size_of::<FormantOptions>();
        assert_eq!(formant_options_init(std::ptr::null_mut(), size), FormantStatus::BadArgument);
        assert_eq!(formant_session_push(none, std::ptr::null(), 1), FormantStatus::BadArgument);
        assert_eq!(formant_session_end(none), FormantStatus::BadArgument);
        assert_eq!(formant_session_room(none), 0);
        assert_eq!(formant_session_next(none, std::ptr::null_mut(), 0), FormantStatus::BadArgument);
        formant_session_free(none);
    }
    let mut options = std::mem::MaybeUninit::<FormantOptions>::uninit();
    // SAFETY: the function fills the options.
    let defaults = unsafe {
        let size = size_of::<FormantOptions>();
        assert_eq!(formant_options_init(options.as_mut_ptr(), size), FormantStatus::Ok);
        options.assume_init()
    };
    let refused = [
        (FormantOptions { struct_size: 1 << 20, ..defaults }, "struct_size"),
        (FormantOptions { struct_size: 0, ..defaults }, "formant_options_init"),
        (FormantOptions { rate: 0, ..defaults }, "rate"),
        (FormantOptions { channels: 0, ..defaults }, "channels"),
        (FormantOptions { spot_model: c"no-such-model".as_ptr(), ..defaults }, "no-such-model"),
        (FormantOptions { spot_model: c"\xff".as_ptr(), ..defaults }, "UTF-8"),
        (
            FormantOptions { spot_model: c"".as_ptr(), spot_threshold: f32::NAN, ..defaults },
            "spot_threshold",
        ),
        (FormantOptions { speaker_model: c"".as_ptr(), ..defaults }, "voices"),
    ];
    for (options, part) in refused {
        // SAFETY: the options are whole.
        assert!(unsafe { formant_session_new(&raw const options) }.is_null(), "{part}");
        assert!(last_error().contains(part), "{}", last_error());
    }
    // A session without tasks still counts frames and losses.
    // SAFETY: the options are whole, and the session is freed once.
    unsafe {
        let session = formant_session_new(&raw const defaults);
        assert!(!session.is_null(), "{}", last_error());
        assert_eq!(formant_session_push(session, std::ptr::null(), 0), FormantStatus::Ok);
        assert_eq!(formant_session_push(session, std::ptr::null(), 5), FormantStatus::BadArgument);
        let huge = formant_session_push(session, [0.0f32].as_ptr(), usize::MAX);
        assert_eq!(huge, FormantStatus::BadArgument);
        assert_eq!(formant_session_push(session, [f32::NAN; 4].as_ptr(), 4), FormantStatus::Ok);
        assert_eq!(formant_session_end(session), FormantStatus::Ok);
        assert_eq!(
            formant_session_push(session, [0.0f32; 4].as_ptr(), 4),
            FormantStatus::BadArgument
        );
        let mut event = std::mem::MaybeUninit::<FormantEvent>::uninit();
        let mut kinds = Vec::new();
        loop {
            match formant_session_next(session, event.as_mut_ptr(), 1000) {
                FormantStatus::Ok => kinds.push(event.assume_init_ref().kind),
                FormantStatus::Over => break,
                other => panic!("{other:?} {}", last_error()),
            }
        }
        assert_eq!(kinds, [FormantEventKind::Started, FormantEventKind::Finished]);
        formant_session_free(session);
    }
}
