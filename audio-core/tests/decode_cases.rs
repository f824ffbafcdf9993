//! Inputs that users of other tools reported as trouble, made by a few lines each.

mod wav_files;

use std::io::Cursor;
use std::path::PathBuf;

use formant_audio_core::decode::{
    BlockReader, Clip, DecodeOptions, MAX_BLOCK_FRAMES, Strictness, decode_file, decode_stream,
};
use formant_audio_core::{ChannelLayout, Error, Warning};
use wav_files::{Wav, chunk, extensible, fmt, riff, sine, store};

fn media(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/media").join(name)
}

fn from_bytes(bytes: Vec<u8>) -> Result<Clip, Error> {
    decode_stream(Box::new(Cursor::new(bytes)), "-", &DecodeOptions::default())
}

/// Decode through a real file and through a stream; both must agree.
fn both(bytes: &[u8]) -> Clip {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("writable");
    let mut seekable =
        decode_file(file.path(), &DecodeOptions::default()).expect("decodes as a file");
    let streamed = from_bytes(bytes.to_vec()).expect("decodes as a stream");
    seekable.info.path = streamed.info.path.clone();
    if streamed.info.declared_frames.is_none() {
        seekable.info.declared_frames = None; // some containers tell only at their end
    }
    assert_eq!(seekable.info, streamed.info);
    assert!(seekable.audio == streamed.audio);
    streamed
}

fn strict(bytes: Vec<u8>) -> Result<Clip, Error> {
    let options = DecodeOptions { strict: Strictness::Strict, ..Default::default() };
    decode_stream(Box::new(Cursor::new(bytes)), "-", &options)
}

fn peak_at(samples: &[f32]) -> usize {
    (0..samples.len()).max_by(|&a, &b| samples[a].abs().total_cmp(&samples[b].abs())).unwrap_or(0)
}

/// Name, file, quantisation step, and (significant bits, stored bits, float).
type Specimen = (&'static str, Vec<u8>, f64, (u32, u32, bool));

#[test]
fn s1_header_zoo() {
    let wave = sine(4000, 440.0, 16_000, 0.5);
    let s16 = |samples: &[f64]| store(samples, 16, 2);
    let pcm16 =
        |body: Vec<u8>| riff(&[chunk(b"fmt ", &body), chunk(b"data", &s16(&wave))].concat());
    let plain = |tag, bits, bytes: Vec<u8>, container| {
        riff(
            &[chunk(b"fmt ", &fmt(tag, 1, 16_000, container, bits)), chunk(b"data", &bytes)]
                .concat(),
        )
    };
    let wide = |tag, bits, valid, bytes: Vec<u8>, container| {
        riff(
            &[
                chunk(b"fmt ", &extensible(tag, 1, 16_000, container, bits, valid, 4)),
                chunk(b"data", &bytes),
            ]
            .concat(),
        )
    };
    let floats = |samples: &[f64]| -> Vec<u8> {
        samples.iter().flat_map(|&s| (s as f32).to_le_bytes()).collect()
    };
    let doubles =
        |samples: &[f64]| -> Vec<u8> { samples.iter().flat_map(|&s| s.to_le_bytes()).collect() };
    let fmt16 = fmt(1, 1, 16_000, 2, 16);
    let fmt18 = [fmt16.clone(), vec![0, 0]].concat();
    let fmt40 = [fmt16.clone(), vec![22, 0], vec![0; 22]].concat();
    let data = chunk(b"data", &s16(&wave));
    let junk = riff(&[chunk(b"JUNK", &[0; 28]), chunk(b"fmt ", &fmt16), data.clone()].concat());
    let list = riff(
        &[chunk(b"fmt ", &fmt16), chunk(b"LIST", b"INFOISFT\x03\0\0\0abc"), data.clone()].concat(),
    );
    let mut rubbish = riff(&[chunk(b"fmt ", &fmt16), data].concat());
    rubbish.extend(b"ID3\x03\0\0\0");
    let zoo: Vec<Specimen> = vec![
        ("u8", plain(1, 8, store(&wave, 8, 1), 1), 1.0 / 128.0, (8, 8, false)),
        ("s16 fmt 16", pcm16(fmt16.clone()), 1.0 / 32768.0, (16, 16, false)),
        ("s16 fmt 18", pcm16(fmt18), 1.0 / 32768.0, (16, 16, false)),
        ("s16 fmt 40", pcm16(fmt40), 1.0 / 32768.0, (16, 16, false)),
        ("s24", plain(1, 24, store(&wave, 24, 3), 3), 1.0 / 8_388_608.0, (24, 24, false)),
        (
            "s24 extensible",
            wide(1, 24, 24, store(&wave, 24, 3), 3),
            1.0 / 8_388_608.0,
            (24, 24, false),
        ),
        ("s24 in s32", wide(1, 32, 24, store(&wave, 24, 4), 4), 1.0 / 8_388_608.0, (24, 32, false)),
        (
            "s24 in four bytes, bare",
            plain(1, 24, store(&wave, 24, 4), 4),
            1.0 / 8_388_608.0,
            (24, 32, false),
        ),
        ("s32", plain(1, 32, store(&wave, 32, 4), 4), 1.0 / 8_388_608.0, (32, 32, false)),
        ("f32", plain(3, 32, floats(&wave), 4), 1.0 / 8_388_608.0, (32, 32, true)),
        ("f32 extensible", wide(3, 32, 32, floats(&wave), 4), 1.0 / 8_388_608.0, (32, 32, true)),
        ("f64", plain(3, 64, doubles(&wave), 8), 1.0 / 8_388_608.0, (64, 64, true)),
        ("JUNK first", junk, 1.0 / 32768.0, (16, 16, false)),
        ("odd LIST", list, 1.0 / 32768.0, (16, 16, false)),
        ("rubbish behind", rubbish, 1.0 / 32768.0, (16, 16, false)),
    ];
    for (name, bytes, step, kind) in zoo {
        let clip = both(&bytes);
        assert_eq!(clip.audio.frames(), 4000, "{name}");
        assert_eq!(clip.info.warnings, [], "{name}");
        let worst = clip
            .audio
            .channel(0)
            .iter()
            .zip(&wave)
            .map(|(a, b)| (f64::from(*a) - b).abs())
            .fold(0.0, f64::max);
        assert!(worst <= step, "{name}: off by {worst}");
        let found = (clip.info.bits_per_sample, clip.info.container_bits, clip.info.float);
        assert_eq!(found, (Some(kind.0), Some(kind.1), kind.2), "{name}");
    }
}

#[test]
fn s1_companded_with_bare_headers() {
    for (tag, name, silence) in [(6, "alaw", 0xd5), (7, "mulaw", 0xff)] {
        let bytes = riff(
            &[
                chunk(b"fmt ", &fmt(tag, 2, 8000, 1, 8)),
                chunk(b"data", &[silence, silence ^ 0x80, 0, 0x80]),
            ]
            .concat(),
        );
        let clip = both(&bytes);
        assert_eq!(
            (clip.info.codec.as_str(), clip.audio.channels(), clip.audio.frames()),
            (name, 2, 2)
        );
        assert!(clip.audio.channel(0)[0].abs() < 0.001);
        assert!(clip.audio.channel(0)[1] < -0.1 && clip.audio.channel(1)[1] > 0.1, "the sign bit");
    }
}

#[test]
fn s1_empty_and_impossible_headers() {
    let clip = both(&Wav::s16(1, 16_000).bytes(&[]));
    assert_eq!((clip.audio.frames(), clip.info.warnings.len()), (0, 0));
    let refused = |body: Vec<u8>, word: &str| {
        let error = from_bytes(riff(&[chunk(b"fmt ", &body), chunk(b"data", &[0; 64])].concat()));
        let error = error.expect_err(word).to_string();
        assert!(error.contains(word), "{error}");
    };
    refused(fmt(1, 1, 0, 2, 16), "sample rate of zero");
    refused(fmt(1, 0, 16_000, 2, 16), "zero channels");
    refused(fmt(1, 65_535, 16_000, 2, 16), "channel count");
    refused(fmt(1, 1, u32::MAX, 2, 16), "sample rate");
    refused(fmt(0x1234, 1, 16_000, 2, 16), "0x1234");
    assert!(from_bytes(Vec::new()).expect_err("empty").to_string().contains("empty"));
    assert!(
        from_bytes(b"Dear diary, ".repeat(99)).expect_err("text").to_string().contains("--raw")
    );
}

#[test]
fn s2_truncated() {
    let wave = sine(160_000, 440.0, 16_000, 0.5);
    let mut bytes = Wav::s16(1, 16_000).bytes(&wave);
    bytes.truncate(44 + 2 * 59_200 + 1);
    let clip = both(&bytes);
    assert_eq!(clip.audio.frames(), 59_200);
    assert_eq!(clip.info.warnings, [Warning::FrameCount { declared: 160_000, found: 59_200 }]);
    let error = strict(bytes).expect_err("strict").to_string();
    assert!(error.contains("160000") && error.contains("59200"), "{error}");
}

#[test]
fn s2_streamed_and_unfinished_headers() {
    let wave = sine(5000, 440.0, 16_000, 0.5);
    let good = Wav::s16(1, 16_000).bytes(&wave);
    let with_sizes = |riff_size: u32, data_size: u32| {
        let mut bytes = good.clone();
        bytes[4..8].copy_from_slice(&riff_size.to_le_bytes());
        bytes[40..44].copy_from_slice(&data_size.to_le_bytes());
        bytes
    };
    for (riff_size, data_size, warnings) in [
        (u32::MAX, u32::MAX, 0),
        (0x7fff_f024, 0x7fff_f000, 0), // sox
        (0, 10_000, 0),
        (1, 10_000, 0),
        (0, 0, 1),
        (36, 0, 1), // begun and never completed
    ] {
        let clip = both(&with_sizes(riff_size, data_size));
        assert_eq!(clip.audio.frames(), 5000, "{riff_size} {data_size}");
        assert_eq!(clip.info.warnings.len(), warnings, "{riff_size} {data_size}");
    }
}

#[test]
fn s4_rf64_small() {
    let wave = sine(32_000, 440.0, 16_000, 0.5);
    for marker in [b"RF64", b"BW64"] {
        for (extra, warnings) in [(0, 0), (100, 1)] {
            let data = 64_000u64 + extra;
            let sizes =
                [(data + 72).to_le_bytes(), data.to_le_bytes(), (data / 4).to_le_bytes()].concat();
            let mut bytes =
                [&marker[..], &[0xff; 4], b"WAVE", &chunk(b"ds64", &[sizes, vec![0; 4]].concat())]
                    .concat();
            bytes.extend(chunk(b"fmt ", &fmt(1, 2, 16_000, 4, 16)));
            bytes.extend(b"data\xff\xff\xff\xff");
            bytes.extend(store(&wave, 16, 2));
            let clip = both(&bytes);
            assert_eq!((clip.audio.frames(), clip.info.warnings.len()), (16_000, warnings));
            assert_eq!(clip.info.declared_frames, Some(16_000 + extra / 4));
        }
    }
}

#[test]
fn s5_mp3_offset() {
    for name in ["impulse_cbr.mp3", "impulse_vbr.mp3"] {
        let clip = both(&std::fs::read(media(name)).expect("media"));
        assert_eq!(clip.audio.frames(), 44_100, "{name}");
        assert!(peak_at(clip.audio.channel(0)).abs_diff(10_010) <= 1, "{name}");
        assert_eq!((clip.info.trimmed_delay, clip.info.warnings.len()), (1105, 0), "{name}");
    }
    let clip = both(&std::fs::read(media("impulse_bare.mp3")).expect("media"));
    assert!(clip.audio.frames().abs_diff(44_100) <= 2 * 1152);
    assert_eq!(clip.info.warnings, [Warning::DelayUnknown { codec: "mp3".to_owned() }]);
}

#[test]
fn s5_joined_mp3s_play_through() {
    let one = std::fs::read(media("impulse_cbr.mp3")).expect("media");
    let clip = both(&[one.clone(), one.clone()].concat());
    assert_eq!((clip.audio.frames(), clip.info.declared_frames), (88_200, Some(88_200)));
    assert!(peak_at(&clip.audio.channel(0)[44_100..]).abs_diff(10_010) <= 1);
    assert_eq!(clip.info.warnings, []);
    let mut cut = one;
    cut.truncate(2500);
    let clip = both(&cut);
    assert!(
        clip.info
            .warnings
            .iter()
            .any(|w| matches!(w, Warning::FrameCount { declared: 44_100, .. }))
    );
}

#[test]
fn s6_m4a_edit_list() {
    let bytes = std::fs::read(media("impulse.m4a")).expect("media");
    let clip = both(&bytes);
    assert_eq!((clip.audio.frames(), clip.info.warnings.len()), (44_100, 0));
    assert!(peak_at(clip.audio.channel(0)).abs_diff(10_010) <= 2);
    // Without the edit list the result is untrimmed and says so.
    let mut bare = bytes;
    let at = bare.windows(4).position(|name| name == b"edts").expect("an edit list");
    bare[at..at + 4].copy_from_slice(b"free");
    let clip = both(&bare);
    assert_eq!(clip.info.warnings, [Warning::DelayUnknown { codec: "aac".to_owned() }]);
    let adts = both(&std::fs::read(media("impulse.aac")).expect("media"));
    assert_eq!(adts.info.warnings, [Warning::DelayUnknown { codec: "aac".to_owned() }]);
}

#[test]
fn s6_lossless_is_exact() {
    let mut expected = vec![0.0f32; 44_100];
    for k in -10i32..=10 {
        let value = 0.9 * (1.0 - f64::from(k.abs()) / 10.0);
        expected[(10_010 + k) as usize] = ((value * 32_767.0).round() / 32_768.0) as f32;
    }
    for name in ["alac.m4a", "flac.mkv"] {
        let clip = both(&std::fs::read(media(name)).expect("media"));
        assert!(clip.audio.channel(0) == expected.as_slice(), "{name}");
        assert_eq!(clip.info.warnings, [], "{name}");
    }
}

#[test]
fn aac_beyond_what_is_decoded_is_named() {
    let mut bytes = std::fs::read(media("impulse.m4a")).expect("media");
    // Its AudioSpecificConfig, made to say HE-AAC of the same rate around an LC core.
    let lc = [0x12, 0x08, 0x56, 0xe5, 0x00];
    let at = bytes.windows(5).position(|window| window == lc).expect("its configuration");
    bytes[at..at + 5].copy_from_slice(&[0x2a, 0x0a, 0x08, 0x00, 0x00]);
    let source = Box::new(Cursor::new(bytes));
    let error = decode_stream(source, "he.m4a", &DecodeOptions::default()).expect_err("HE-AAC");
    assert!(
        error.to_string().contains("he.m4a") && error.to_string().contains("HE-AAC"),
        "{error}"
    );
}

#[test]
fn vorbis_opus_and_adpcm_are_in_time() {
    for (name, frames, peak) in [
        ("impulse.ogg", 44_100, 10_010),
        ("impulse.opus", 48_000, 10_895),
        ("ima.wav", 14_287, 10_010),
        ("ms.wav", 14_252, 10_010),
    ] {
        let clip = both(&std::fs::read(media(name)).expect("media"));
        assert_eq!(clip.audio.frames(), frames, "{name}");
        assert!(peak_at(clip.audio.channel(0)).abs_diff(peak) <= 1, "{name}");
        assert_eq!(clip.info.warnings, [], "{name}");
    }
    let mp4 = both(&std::fs::read(media("opus.mp4")).expect("media"));
    assert_eq!((mp4.audio.frames(), mp4.info.trimmed_delay), (48_000, 312));
    assert_eq!(mp4.info.warnings, []);
    assert!(peak_at(mp4.audio.channel(0)).abs_diff(10_895) <= 1);
    let webm = both(&std::fs::read(media("impulse.webm")).expect("media"));
    assert_eq!((webm.info.codec.as_str(), webm.info.trimmed_delay), ("opus", 312));
    assert_eq!((webm.audio.frames(), webm.info.warnings.as_slice()), (48_000, [].as_slice()));
    assert!(peak_at(webm.audio.channel(0)).abs_diff(10_895) <= 1);
}

#[test]
fn surround_channels_come_in_wave_order() {
    for name in ["surround.opus", "surround.ogg"] {
        let clip = decode_file(&media(name), &DecodeOptions::default()).expect("decodes");
        assert_eq!(
            (clip.info.layout, clip.audio.frames()),
            (ChannelLayout::Surround5_1, 28_800),
            "{name}"
        );
        for part in 0..6 {
            let energy = |channel| -> f32 {
                clip.audio.channel(channel)[part * 4800 + 960..][..2880].iter().map(|s| s * s).sum()
            };
            let loudest = (0..6).max_by(|&a, &b| energy(a).total_cmp(&energy(b)));
            assert_eq!(loudest, Some(part), "{name}");
        }
    }
}

#[test]
fn chained_opus_plays_through() {
    let one = std::fs::read(media("impulse.opus")).expect("media");
    let clip = from_bytes([one.clone(), one.clone()].concat()).expect("decodes");
    assert_eq!(clip.audio.frames(), 96_000);
    assert!(peak_at(&clip.audio.channel(0)[48_000..]).abs_diff(10_895) <= 1);
    assert_eq!(clip.info.warnings, [Warning::Joined { at: 1.0 }]);
    // A stream of another layout is mixed to that of the first.
    let surround = std::fs::read(media("surround.opus")).expect("media");
    let clip = from_bytes([one, surround].concat()).expect("decodes");
    assert_eq!((clip.audio.channels(), clip.audio.frames()), (1, 48_000 + 28_800));
    assert_eq!(clip.info.warnings.len(), 1);
}

#[test]
fn damage_keeps_time() {
    let mut bytes = std::fs::read(media("surround.opus")).expect("media");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    let clip = both(&bytes);
    assert_eq!(clip.audio.frames(), 28_800, "the gap is filled");
    assert!(
        clip.info.warnings.iter().any(|w| matches!(w, Warning::Gap { .. })),
        "{:?}",
        clip.info.warnings
    );
    let mut bytes = std::fs::read(media("impulse_cbr.mp3")).expect("media");
    let from = bytes.len() / 2;
    bytes[from..from + 300].fill(0x11);
    let clip = both(&bytes);
    assert!(
        clip.info.warnings.iter().any(|w| matches!(w, Warning::Repaired { .. })),
        "{:?}",
        clip.info.warnings
    );
}

#[test]
fn s9_non_finite() {
    let mut samples: Vec<f32> =
        sine(16_000, 440.0, 16_000, 0.5).iter().map(|&s| s as f32).collect();
    samples[100] = f32::NAN;
    samples[200] = f32::INFINITY;
    samples[300] = -1e30;
    let data: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    let bytes = riff(&[chunk(b"fmt ", &fmt(3, 1, 16_000, 4, 32)), chunk(b"data", &data)].concat());
    let clip = both(&bytes);
    assert_eq!(clip.info.warnings, [Warning::NonFinite { count: 3 }]);
    assert!(clip.audio.channel(0).iter().all(|s| s.is_finite()));
    assert!(strict(bytes).is_err());
}

#[test]
fn raw_samples_from_a_stream() {
    let options =
        DecodeOptions { raw: Some("16000,s16le,2".parse().expect("valid")), ..Default::default() };
    let bytes = vec![0, 0x40, 0, 0xc0, 1];
    let clip = decode_stream(Box::new(Cursor::new(bytes)), "-", &options).expect("raw");
    assert_eq!(
        (clip.audio.channel(0), clip.audio.channel(1)),
        ([0.5].as_slice(), [-0.5].as_slice())
    );
}

#[test]
fn blocks_are_bounded_and_complete() {
    for name in ["surround.opus", "impulse_vbr.mp3", "flac.mkv", "alac.m4a", "impulse.ogg"] {
        let whole = decode_file(&media(name), &DecodeOptions::default()).expect("decodes");
        let mut reader = BlockReader::open(&media(name), &DecodeOptions::default()).expect("opens");
        let mut samples = Vec::new();
        while let Some(block) = reader.next_block().expect("decodes") {
            assert!((1..=MAX_BLOCK_FRAMES).contains(&block.frames()), "{name}");
            assert_eq!(block.spec(), reader.spec());
            samples.extend_from_slice(block.channel(0));
        }
        assert!(samples == whole.audio.channel(0), "{name}");
        assert_eq!(reader.info(), &whole.info, "{name}");
    }
}

/// What fuzzing found, kept as it was found.
#[test]
fn inputs_that_once_broke_the_reader_are_refused_in_peace() {
    let folder = media("").with_file_name("fuzz-findings");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the folder of findings") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a finding");
        let source = Box::new(Cursor::new(bytes));
        if let Ok(clip) = decode_stream(source, "-", &DecodeOptions::default()) {
            assert!(clip.audio.as_planar().iter().all(|sample| sample.is_finite()));
        }
        count += 1;
    }
    assert!(count > 0);
}
