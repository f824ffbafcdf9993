//! What must hold for any audio and any bytes.

use std::io::{Cursor, Read};

use formant_audio_core::decode::{DecodeOptions, RawFormat, RawSample, decode_file, decode_stream};
use formant_audio_core::encode::{AudioWriter, ClipPolicy, SampleFormat, WriteOptions};
use formant_audio_core::{AudioBuf, AudioSpec, ChannelLayout};
use proptest::prelude::*;

/// Hands out at most `step` bytes at a time, as a pipe may.
struct Trickle {
    bytes: Cursor<Vec<u8>>,
    step: usize,
}

impl Read for Trickle {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = out.len().min(self.step);
        self.bytes.read(&mut out[..count])
    }
}

fn formats() -> impl Strategy<Value = (&'static str, SampleFormat, f32)> {
    prop_oneof![
        Just(("a.wav", SampleFormat::S16, 1.0 / 65_536.0)),
        Just(("a.wav", SampleFormat::S24, 1.0 / 16_777_216.0)),
        Just(("a.wav", SampleFormat::S32, 1.0 / 16_777_216.0)),
        Just(("a.wav", SampleFormat::F32, 0.0)),
        Just(("a.rf64", SampleFormat::S16, 1.0 / 65_536.0)),
        Just(("a.flac", SampleFormat::S16, 1.0 / 65_536.0)),
        Just(("a.flac", SampleFormat::S24, 1.0 / 16_777_216.0)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_written_in_any_blocks_reads_back(
        (name, format, step) in formats(),
        channels in 1u16..=8,
        rate in prop_oneof![Just(8000u32), Just(16_000), Just(44_100), Just(48_000), Just(96_000)],
        samples in prop::collection::vec(-0.999f32..0.999, 8..12_000),
        block in 1usize..5000,
        trickle in 1usize..3000,
    ) {
        let spec = AudioSpec { rate, layout: ChannelLayout::from_count(channels) };
        let whole = samples.len() - samples.len() % usize::from(channels);
        let audio = AudioBuf::from_interleaved(spec, &samples[..whole]).expect("whole frames");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        let options = WriteOptions { format: Some(format), ..Default::default() };
        let mut writer = AudioWriter::create(&path, spec, &options).expect("begins");
        for at in (0..audio.frames()).step_by(block) {
            writer.write(&audio.view().slice(at..at + block)).expect("writes");
        }
        writer.finish().expect("finishes");
        let clip = decode_file(&path, &DecodeOptions::default()).expect("decodes");
        prop_assert_eq!(clip.audio.spec(), spec);
        prop_assert_eq!(clip.audio.frames(), audio.frames());
        prop_assert!(clip.info.warnings.is_empty(), "{:?}", clip.info.warnings);
        let worst = clip.audio.as_planar().iter().zip(audio.as_planar()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        prop_assert!(worst <= step, "off by {}", worst);
        let bytes = Cursor::new(std::fs::read(&path).expect("there"));
        let streamed = decode_stream(Box::new(Trickle { bytes, step: trickle }), "-", &DecodeOptions::default()).expect("decodes");
        prop_assert!(streamed.audio == clip.audio);
    }

    #[test]
    fn limiting_never_exceeds_full_scale_and_keeps_the_length(
        samples in prop::collection::vec(-4.0f32..4.0, 1..4000),
        block in 1usize..999,
    ) {
        let audio = AudioBuf::from_mono(16_000, samples);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wav");
        let options = WriteOptions { format: Some(SampleFormat::S16), clip: ClipPolicy::Limit, ..Default::default() };
        let mut writer = AudioWriter::create(&path, audio.spec(), &options).expect("begins");
        for at in (0..audio.frames()).step_by(block) {
            writer.write(&audio.view().slice(at..at + block)).expect("writes");
        }
        let report = writer.finish().expect("finishes");
        prop_assert_eq!(report.clipped, 0);
        let clip = decode_file(&path, &DecodeOptions::default()).expect("decodes");
        prop_assert_eq!(clip.audio.frames(), audio.frames());
    }

    #[test]
    fn raw_length_is_whole_frames(bytes in prop::collection::vec(any::<u8>(), 0..2000), channels in 1u16..5) {
        for format in [RawSample::U8, RawSample::S16Be, RawSample::S24Le, RawSample::F32Le, RawSample::F64Be] {
            let raw = RawFormat { rate: 8000, format, channels };
            let options = DecodeOptions { raw: Some(raw), ..Default::default() };
            let clip = decode_stream(Box::new(Cursor::new(bytes.clone())), "-", &options).expect("raw is never refused");
            prop_assert_eq!(clip.audio.frames(), bytes.len() / (format.bytes() * usize::from(channels)));
            prop_assert!(clip.audio.as_planar().iter().all(|s| s.is_finite()));
        }
    }

    #[test]
    fn any_cut_and_any_flipped_byte_gives_a_result(
        which in 0usize..8,
        cut in 0.0f64..1.0,
        flips in prop::collection::vec((0.0f64..1.0, any::<u8>()), 0..6),
    ) {
        const MEDIA: [&str; 8] = [
            "impulse_cbr.mp3", "impulse.m4a", "alac.m4a", "flac.mkv", "impulse.ogg", "surround.opus", "impulse.webm", "ms.wav",
        ];
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media");
        let mut bytes = std::fs::read(folder.join(MEDIA[which])).expect("media");
        for (at, value) in flips {
            let at = (at * bytes.len() as f64) as usize;
            bytes[at] = value;
        }
        bytes.truncate((cut * bytes.len() as f64) as usize + 1);
        // An error is fine, a panic or endless output is not.
        if let Ok(clip) = decode_stream(Box::new(Cursor::new(bytes)), "-", &DecodeOptions::default()) {
            prop_assert!(clip.audio.frames() < 50_000_000);
            prop_assert!(clip.audio.as_planar().iter().all(|s| s.is_finite()));
        }
    }
}
