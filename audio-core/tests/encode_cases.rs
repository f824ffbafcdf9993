//! Written files: what is in them byte by byte, and what the decoder reads back.

use std::io::Write;
use std::sync::{Arc, Mutex};

use formant_audio_core::decode::{DecodeOptions, decode_file, decode_stream};
use formant_audio_core::encode::{
    AudioWriter, ClipPolicy, Container, SampleFormat, WriteOptions, write_file, write_group,
};
use formant_audio_core::{AudioBuf, AudioSpec, ChannelLayout, Warning};

fn sine(frames: usize, amplitude: f32) -> Vec<f32> {
    (0..frames).map(|i| amplitude * (i as f32 * 0.0731).sin()).collect()
}

fn mono(samples: Vec<f32>) -> AudioBuf {
    AudioBuf::from_mono(16_000, samples)
}

fn with(format: SampleFormat, clip: ClipPolicy) -> WriteOptions {
    WriteOptions { format: Some(format), clip, ..Default::default() }
}

fn read(path: &std::path::Path) -> AudioBuf {
    let clip = decode_file(path, &DecodeOptions::default()).expect("decodes");
    assert_eq!(clip.info.warnings, []);
    clip.audio
}

#[test]
fn plain_headers_are_plain() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.wav");
    write_file(&path, &mono(vec![0.5, -1.0]).view(), &with(SampleFormat::S16, ClipPolicy::Clip))
        .expect("writes");
    let bytes = std::fs::read(&path).expect("there");
    let expected = [
        b"RIFF\x28\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\x04\0\0\0".as_slice(),
        &[0, 0x40, 0, 0x80],
    ];
    assert_eq!(bytes, expected.concat());
    write_file(&path, &mono(vec![0.5]).view(), &WriteOptions::default()).expect("writes");
    let bytes = std::fs::read(&path).expect("there");
    assert_eq!(bytes[16..22], [18, 0, 0, 0, 3, 0], "tag 3, not EXTENSIBLE");
    assert_eq!(bytes[38..50], *b"fact\x04\0\0\0\x01\0\0\0");
}

/// Noise of 24 bits has larger residuals than the encoder's codes are meant for.
#[test]
fn loud_flac_of_24_bits_is_no_larger_than_plain_and_reads_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("noise.flac");
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as i32 - (1 << 23)
    };
    for level in [1.0, 0.2, 0.05, 0.001] {
        let samples = (0..30_000).map(|_| (noise() as f32 * level).round() / (1 << 23) as f32);
        let audio = mono(samples.collect());
        write_file(&path, &audio.view(), &with(SampleFormat::S24, ClipPolicy::Clip)).expect("ok");
        assert_eq!(read(&path).channel(0), audio.channel(0), "{level}");
        let size = std::fs::metadata(&path).expect("written").len();
        assert!(size < 3 * 30_000 + 1_000, "{size} bytes at {level}");
    }
}

/// A checksum that ends in a zero is no stray byte behind a frame without it.
#[test]
fn checksums_of_flac_may_end_in_zero() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("long.flac");
    let mut state = 1u32;
    let samples = (0..4096 * 400).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as f32 / 32_768.0
    });
    let audio = mono(samples.collect());
    write_file(&path, &audio.view(), &with(SampleFormat::S16, ClipPolicy::Clip)).expect("ok");
    let bytes = std::fs::read(&path).expect("written");
    let zeros = bytes.windows(4).filter(|end| *end == [0, 0xff, 0xf8, 0xc5]).count();
    assert!(zeros > 0, "no such checksum among 400");
    assert!(read(&path).channel(0) == audio.channel(0));
}

/// Zeros below the sixteenth bit cost nothing, but that the mean of two channels can't be stored.
#[test]
fn samples_of_16_bits_in_24_take_about_the_room_of_16() {
    let folder = tempfile::tempdir().expect("a folder");
    let size = |format| {
        let path = folder.path().join("a.flac");
        let wave = |step: f32, at: usize| ((at as f32 * step).sin() * 20_000.0).round() / 32_768.0;
        let left = (0..30_000).map(|at| wave(0.011, at));
        let right = (0..30_000).map(|at| -wave(0.011, at) + wave(0.0003, at) / 4_096.0);
        let right = right.map(|sample| (sample * 32_768.0).round() / 32_768.0);
        let spec = AudioSpec { rate: 16_000, layout: ChannelLayout::Stereo };
        let audio = AudioBuf::from_planar(spec, left.chain(right).collect()).expect("two channels");
        write_file(&path, &audio.view(), &with(format, ClipPolicy::Clip)).expect("ok");
        let back = read(&path);
        assert!((0..2).all(|channel| back.channel(channel) == audio.channel(channel)));
        std::fs::metadata(&path).expect("written").len()
    };
    let (narrow, wide) = (size(SampleFormat::S16), size(SampleFormat::S24));
    assert!(wide < narrow * 5 / 4, "{wide} bytes for {narrow}");
}

#[test]
fn every_kind_reads_back() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, format, step) in [
        ("s16.wav", SampleFormat::S16, 1.0 / 65_536.0),
        ("s24.wav", SampleFormat::S24, 1.0 / 16_777_216.0),
        ("s32.wav", SampleFormat::S32, 1.0 / 16_777_216.0),
        ("f32.wav", SampleFormat::F32, 0.0),
        ("f32.rf64", SampleFormat::F32, 0.0),
        ("s16.flac", SampleFormat::S16, 1.0 / 65_536.0),
        ("s24.flac", SampleFormat::S24, 1.0 / 16_777_216.0),
    ] {
        for channels in [1, 2, 3, 6, 8] {
            let spec = AudioSpec { rate: 44_100, layout: ChannelLayout::from_count(channels) };
            let audio =
                AudioBuf::from_interleaved(spec, &sine(10_007 * usize::from(channels), 0.9))
                    .expect("whole frames");
            let path = folder.path().join(name);
            let mut options = with(format, ClipPolicy::Clip);
            options.tags = [("title", "Prüfung"), ("artist", "nobody")].into_iter().collect();
            let report = write_file(&path, &audio.view(), &options).expect("writes");
            assert_eq!((report.frames, report.clipped), (10_007, 0));
            let clip = decode_file(&path, &DecodeOptions::default()).expect("decodes");
            assert_eq!(clip.info.warnings, [], "{name}");
            assert_eq!(
                (clip.audio.spec(), clip.audio.frames()),
                (spec, 10_007),
                "{name} {channels}"
            );
            assert_eq!(clip.info.tags, options.tags, "{name}");
            let worst = clip
                .audio
                .as_planar()
                .iter()
                .zip(audio.as_planar())
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(worst <= step, "{name} {channels}: off by {worst}");
        }
    }
}

#[test]
fn empty_and_short_files_are_valid() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a.wav", "a.rf64", "a.flac"] {
        for frames in [1, 15, 16, 17, 4095, 4096, 4097] {
            let path = folder.path().join(name);
            write_file(&path, &mono(vec![0.25; frames]).view(), &WriteOptions::default())
                .expect("writes");
            assert_eq!(read(&path).channel(0), vec![0.25; frames], "{name} {frames}");
        }
    }
    let path = folder.path().join("empty.wav");
    write_file(&path, &mono(Vec::new()).view(), &WriteOptions::default()).expect("writes");
    assert_eq!(read(&path).frames(), 0);
}

#[test]
fn s4_wav_becomes_rf64_beyond_the_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("long.wav");
    let options =
        WriteOptions { format: Some(SampleFormat::S16), size_limit: 20_000, ..Default::default() };
    let audio = mono(sine(50_000, 0.5));
    let mut writer = AudioWriter::create(&path, audio.spec(), &options).expect("begins");
    for at in (0..50_000).step_by(1000) {
        writer.write(&audio.view().slice(at..at + 1000)).expect("writes");
    }
    let report = writer.finish().expect("finishes");
    assert_eq!(report.container, Container::Rf64);
    let bytes = std::fs::read(&path).expect("there");
    assert!(bytes.starts_with(b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0"));
    assert_eq!(bytes[20..28], (bytes.len() as u64 - 8).to_le_bytes());
    assert_eq!(bytes[28..36], 100_000u64.to_le_bytes());
    assert_eq!(read(&path).frames(), 50_000);
}

#[test]
fn nothing_appears_before_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.wav");
    let audio = mono(sine(300_000, 0.5));
    let mut writer =
        AudioWriter::create(&path, audio.spec(), &WriteOptions::default()).expect("begins");
    writer.write(&audio.view()).expect("writes");
    assert!(!path.exists());
    // What a killed process leaves has a header that is true up to the last update.
    let part = std::fs::read_dir(folder.path())
        .expect("a folder")
        .next()
        .expect("a part")
        .expect("readable")
        .path();
    assert!(read_part(&part) >= 262_144);
    drop(writer);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

fn read_part(path: &std::path::Path) -> usize {
    decode_file(path, &DecodeOptions::default()).expect("decodes").audio.frames()
}

#[test]
fn streams_have_unknown_sizes_and_read_back() {
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for container in [Container::Wav, Container::Flac] {
        let shared = Shared::default();
        let audio = mono(sine(10_000, 0.5));
        let options = WriteOptions {
            container: Some(container),
            ..with(SampleFormat::S16, ClipPolicy::Clip)
        };
        let mut writer = AudioWriter::to_stream(Box::new(shared.clone()), audio.spec(), &options)
            .expect("begins");
        writer.write(&audio.view()).expect("writes");
        writer.finish().expect("finishes");
        let bytes = shared.0.lock().expect("not poisoned").clone();
        let clip =
            decode_stream(Box::new(std::io::Cursor::new(bytes)), "-", &DecodeOptions::default())
                .expect("decodes");
        assert_eq!((clip.audio.frames(), clip.info.warnings.len()), (10_000, 0), "{container:?}");
    }
}

#[test]
fn s14_clip_counts_and_keeps_signs() {
    let folder = tempfile::tempdir().expect("a folder");
    let stem = sine(16_000, 1.4);
    let beyond = stem.iter().filter(|s| s.abs() > 1.0).count() as u64;
    for format in [SampleFormat::S16, SampleFormat::S24, SampleFormat::S32] {
        let path = folder.path().join("a.wav");
        let report = write_file(&path, &mono(stem.clone()).view(), &with(format, ClipPolicy::Clip))
            .expect("writes");
        assert_eq!(report.clipped, beyond);
        assert!(
            matches!(report.warnings()[..], [Warning::Clipped { count, .. }] if count == beyond)
        );
        let audio = read(&path);
        assert!(audio.channel(0).iter().zip(&stem).all(|(a, b)| a * b >= 0.0), "a sign flipped");
        assert_eq!(audio.channel(0).iter().copied().fold(0.0, f32::min), -1.0);
    }
    let path = folder.path().join("f.wav");
    let report =
        write_file(&path, &mono(stem.clone()).view(), &WriteOptions::default()).expect("writes");
    assert_eq!(report.clipped, 0);
    assert_eq!(read(&path).channel(0), stem, "float is unchanged");
}

#[test]
fn each_file_of_a_group_is_scaled_to_the_wanted_peak() {
    let folder = tempfile::tempdir().expect("a folder");
    let stems = [mono(sine(4_000, 1.4)), mono(sine(4_000, 0.1)), mono(vec![0.0; 4_000])];
    for format in [SampleFormat::F32, SampleFormat::S24] {
        let files: Vec<_> = stems
            .iter()
            .enumerate()
            .map(|(i, stem)| (folder.path().join(format!("{i}_{format:?}.wav")), stem.view()))
            .collect();
        let options = WriteOptions { normalize_peak: Some(0.5), ..with(format, ClipPolicy::Scale) };
        let reports = write_group(&files, &options).expect("writes");
        for ((path, _), (report, wanted)) in files.iter().zip(reports.iter().zip([0.5, 0.5, 0.0])) {
            let peak = read(path).channel(0).iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
            assert!((peak - wanted).abs() < 1e-6 && (report.peak - wanted).abs() < 1e-6, "{peak}");
            assert!(report.clipped == 0 && report.gain == 1.0);
        }
    }
}

#[test]
fn s14_scale_uses_one_gain_and_the_stems_still_add_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = sine(16_000, 1.4);
    let mix: Vec<f32> = (0..16_000).map(|i| 0.5 * (i as f32 * 0.011).cos()).collect();
    let two: Vec<f32> = mix.iter().zip(&one).map(|(m, o)| m - o).collect();
    let stems = [mono(one), mono(two), mono(vec![0.0; 16_000])];
    let files: Vec<_> = stems
        .iter()
        .enumerate()
        .map(|(i, stem)| (folder.path().join(format!("{i}.wav")), stem.view()))
        .collect();
    let reports = write_group(&files, &with(SampleFormat::S24, ClipPolicy::Scale)).expect("writes");
    let gain = reports[0].gain;
    assert!(
        gain < 1.0 / 1.4 && reports.iter().all(|report| report.gain == gain && report.clipped == 0)
    );
    let read: Vec<AudioBuf> = files.iter().map(|(path, _)| read(path)).collect();
    assert!(read[2].channel(0).iter().all(|&s| s == 0.0) && read[2].frames() == 16_000);
    let residual = (0..16_000)
        .map(|i| {
            f64::from(read[0].channel(0)[i] + read[1].channel(0)[i]) - f64::from(mix[i] * gain)
        })
        .map(|d| d * d)
        .sum::<f64>()
        / 16_000.0;
    assert!(10.0 * residual.log10() < -120.0, "residual {} dB", 10.0 * residual.log10());
}

#[test]
fn s14_limit_stays_below_full_scale() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.flac");
    let mut samples = sine(16_000, 0.5);
    samples[8000..8100].iter_mut().for_each(|s| *s *= 4.0);
    let report = write_file(
        &path,
        &mono(samples.clone()).view(),
        &with(SampleFormat::S16, ClipPolicy::Limit),
    )
    .expect("writes");
    assert_eq!((report.frames, report.clipped), (16_000, 0));
    assert!(report.limited > 100);
    let audio = read(&path);
    assert_eq!(audio.frames(), 16_000);
    assert!((audio.channel(0)[100] - samples[100]).abs() < 1e-4);
}

#[test]
fn s14_24_bits_have_real_low_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.wav");
    write_file(&path, &mono(sine(4000, 0.7)).view(), &with(SampleFormat::S24, ClipPolicy::Clip))
        .expect("writes");
    let bytes = std::fs::read(&path).expect("there");
    let samples = &bytes[bytes.len() - 12_000..];
    let low = samples.chunks_exact(3).filter(|sample| sample[0] != 0).count();
    assert!(low > 3900, "{low} of 4000 low bytes are not zero");
}

#[test]
fn non_finite_samples_never_reach_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.wav");
    let audio = mono(vec![0.5, f32::NAN, f32::INFINITY, -0.5]);
    let report = write_file(&path, &audio.view(), &WriteOptions::default()).expect("writes");
    assert_eq!((report.non_finite, report.peak), (2, 0.5));
    assert_eq!(read(&path).channel(0), [0.5, 0.0, 0.0, -0.5]);
}

#[test]
fn dither_follows_its_seed() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |seed| {
        let path = folder.path().join("a.wav");
        let options = WriteOptions { dither: seed, ..with(SampleFormat::S16, ClipPolicy::Clip) };
        write_file(&path, &mono(sine(1000, 0.1)).view(), &options).expect("writes");
        std::fs::read(path).expect("there")
    };
    assert_eq!(write(Some(1)), write(Some(1)));
    assert_ne!(write(Some(1)), write(Some(2)));
    assert_ne!(write(Some(1)), write(None));
}

#[test]
fn impossible_wishes_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let audio = mono(vec![0.0; 10]);
    let refused = |name: &str, options: &WriteOptions, word: &str| {
        let error = write_file(&folder.path().join(name), &audio.view(), options)
            .expect_err(word)
            .to_string();
        assert!(error.contains(word), "{error}");
    };
    refused("a.mp3", &WriteOptions::default(), "wav, rf64, flac or raw");
    refused("a", &WriteOptions::default(), "can't be written");
    refused("a.flac", &with(SampleFormat::F32, ClipPolicy::Clip), "s16 or s24");
    refused("no/such/folder/a.wav", &WriteOptions::default(), "No such file");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn d6_takes_are_whole_before_the_first_samples() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("take.wav");
    let spec = AudioSpec { rate: 16_000, layout: ChannelLayout::Mono };
    let options = with(SampleFormat::S16, ClipPolicy::Clip);
    let writer = AudioWriter::create_in_place(&path, spec, &options).expect("begun");
    let bytes = std::fs::read(&path).expect("there");
    assert!(bytes.starts_with(b"RIFF") && bytes.len() >= 44, "{} bytes", bytes.len());
    // As when the program is killed: nothing of the writer runs.
    std::mem::forget(writer);
}
