//! The examples in C, compiled with the shared library, find the words of a sample and enhance it;
//! wrong arguments are codes.

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

/// What a compiled example says to a sample, as standard output and standard error; nothing where
/// there is no compiler.
fn run(example: &str, sample: &str) -> Option<(Vec<u8>, String)> {
    let Some(compiler) = compiler() else {
        eprintln!("SKIPPED: there is no C compiler");
        return None;
    };
    let here = std::env::current_exe().expect("a path");
    let deps = here.parent().expect("a folder");
    let built = [deps, deps.parent().expect("a folder")];
    let name = format!("{}formant_c{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let library = built.iter().map(|folder| folder.join(&name)).find(|path| path.is_file());
    let library = library.unwrap_or_else(|| panic!("{name} is not in {built:?}"));
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join(example);
    let made = Command::new(compiler)
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"])
        .arg(root().join(format!("capi/examples/{example}.c")))
        .arg("-I")
        .arg(root().join("capi/include"))
        .arg(&library)
        .arg("-o")
        .arg(&program)
        .arg(format!("-Wl,-rpath,{}", library.parent().expect("a folder").display()))
        .output()
        .expect("a compiler");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let bytes: Vec<u8> =
        samples(sample).iter().flat_map(|x| ((x * 32768.0).round() as i16).to_le_bytes()).collect();
    let input = folder.path().join("samples.raw");
    std::fs::write(&input, bytes).expect("written");
    let ran = Command::new(&program)
        .stdin(Stdio::from(File::open(&input).expect("input")))
        .output()
        .expect("a program");
    let told = String::from_utf8(ran.stderr).expect("text");
    assert!(ran.status.success(), "{told}");
    Some((ran.stdout, told))
}

/// A sample at 16 kHz.
fn samples(name: &str) -> Vec<f32> {
    let path = root().join("samples").join(name);
    let clip = decode_file(&path, &DecodeOptions::default()).expect("a sample");
    let mono = resample(&clip.audio.view(), 16_000, Quality::High).expect("sound");
    mono.channel(0).to_vec()
}

#[test]
fn the_example_in_c_finds_the_words() {
    let Some((out, _)) = run("spot", "keyword_stream_16k.wav") else { return };
    let text = String::from_utf8(out).expect("text");
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

/// One push of more samples than lie between two threads, and settings of each task.
#[test]
fn the_example_in_c_enhances_and_tells_of_speech() {
    let sample = "keyword_stream_16k.wav";
    let Some((out, told)) = run("enhance", sample) else { return };
    let input = samples(sample);
    assert!(input.len() > 64_000);
    assert_eq!(out.len(), 2 * input.len(), "{told}");
    let clean = out.chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
    let (power, common) = clean.zip(&input).fold((0.0, 0.0), |(power, common), (clean, heard)| {
        let clean = f64::from(clean) / 32768.0;
        (power + clean * clean, common + clean * f64::from(*heard))
    });
    let heard: f64 = input.iter().map(|x| f64::from(x * x)).sum();
    // The words are all there is, in their places.
    assert!(common / (power * heard).sqrt() > 0.9, "{common} {power} {heard}");
    let kinds = |kind: &str| told.lines().filter(|line| line.starts_with(kind)).count();
    assert_eq!(kinds("latency"), 1, "{told}");
    assert!(kinds("speech") >= 4, "{told}");
    let words: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("word"))
        .filter_map(|line| line.split(' ').next_back())
        .collect();
    assert!(words.contains(&"yes") && words.iter().all(|w| ["yes", "no"].contains(w)), "{told}");
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
        (
            FormantOptions {
                spot_model: c"".as_ptr(),
                spot_thresholds: c"yes".as_ptr(),
                ..defaults
            },
            "spot_thresholds",
        ),
        (
            FormantOptions {
                spot_model: c"".as_ptr(),
                spot_words: c"hexagon".as_ptr(),
                ..defaults
            },
            "hexagon",
        ),
        (FormantOptions { precision: c"f8".as_ptr(), ..defaults }, "precision"),
        (FormantOptions { vad: 1, vad_threshold: 0.1, ..defaults }, "threshold"),
        (
            FormantOptions { enhance_model: c"".as_ptr(), enhance_latency_ms: 1, ..defaults },
            "latency",
        ),
    ];
    for (options, part) in refused {
        // SAFETY: the options are whole.
        assert!(unsafe { formant_session_new(&raw const options) }.is_null(), "{part}");
        assert!(last_error().contains(part), "{}", last_error());
    }
    a_session_without_tasks(&defaults);
    a_long_push_waits(&defaults);
}

/// Pushed in one go where the session does not wait for a device.
fn a_long_push_waits(defaults: &FormantOptions) {
    let options = FormantOptions { live: 0, vad: 1, ..*defaults };
    let long = vec![0.0f32; 1_600_000];
    // SAFETY: the options and the samples are whole, and the session is freed once.
    unsafe {
        let session = formant_session_new(&raw const options);
        assert!(!session.is_null(), "{}", last_error());
        let pushed = formant_session_push(session, long.as_ptr(), long.len());
        assert_eq!(pushed, FormantStatus::Ok);
        assert_eq!(formant_session_end(session), FormantStatus::Ok);
        let mut event = std::mem::MaybeUninit::<FormantEvent>::uninit();
        let mut last = None;
        loop {
            match formant_session_next(session, event.as_mut_ptr(), 1000) {
                FormantStatus::Ok => last = Some(*event.assume_init_ref()),
                FormantStatus::Over => break,
                FormantStatus::Nothing => {}
                other => panic!("{other:?} {}", last_error()),
            }
        }
        let last = last.expect("events");
        assert_eq!((last.kind, last.end), (FormantEventKind::Finished, 100.0));
        let mut count = 0;
        let none = formant_session_enhanced(
            session,
            [0.0f32; 4].as_mut_ptr(),
            4,
            &raw mut count,
            std::ptr::null_mut(),
        );
        assert_eq!(none, FormantStatus::BadArgument);
        assert!(last_error().contains("enhance_model"), "{}", last_error());
        formant_session_free(session);
    }
}

/// It still counts frames and losses.
fn a_session_without_tasks(defaults: &FormantOptions) {
    // SAFETY: the options are whole, and the session is freed once.
    unsafe {
        let session = formant_session_new(std::ptr::from_ref(defaults));
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
