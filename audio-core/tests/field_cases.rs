//! What the files of other programs do: each test carries the letter and number of its case.

mod field;
mod wav_files;

use std::io::Cursor;

use field::{box_at, decode, decode_with, flac, insert, media, refused, rename, written};
use formant_audio_core::decode::{BlockReader, Clip, DecodeOptions, TrackChoice};
use formant_audio_core::encode::{SampleFormat, WriteOptions};
use formant_audio_core::{AudioBuf, AudioSpec, ChannelLayout, Warning};
use wav_files::{Wav, chunk, extensible, fmt, riff, sine, store};

/// Where the frames of a FLAC file of one channel at 44.1 kHz with 16 bits begin.
fn flac_frames(bytes: &[u8]) -> Vec<usize> {
    let starts = bytes.windows(4).enumerate();
    starts.filter(|(_, w)| w[..2] == [0xff, 0xf8] && w[3] == 0x08).map(|(at, _)| at).collect()
}

// --- MP4 made of the boxes of another one, whose movie box comes last.

/// A file with a second track in front of or behind its own.
fn with_track(bytes: &[u8], track: &[u8], first: bool) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let (moov, _) = box_at(&out, 0, b"moov");
    let (start, end) = box_at(&out, moov, b"trak");
    insert(&mut out, if first { start } else { end }, track, &[moov]);
    out
}

/// The file's own track with another number and changes made to its bytes.
fn other_track(bytes: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let (moov, _) = box_at(bytes, 0, b"moov");
    let (start, end) = box_at(bytes, moov, b"trak");
    let mut track = bytes[start..end].to_vec();
    let (tkhd, _) = box_at(&track, 0, b"tkhd");
    track[tkhd + 8 + 15] = 9;
    change(&mut track);
    track
}

fn disable(track: &mut [u8]) {
    let (tkhd, _) = box_at(track, 0, b"tkhd");
    track[tkhd + 11] &= 0xfe;
}

#[test]
fn f1_aac_above_65_khz_in_mp4_decodes() {
    let clip = decode(&media("aac_96k.m4a"));
    assert_eq!((clip.info.rate, clip.audio.frames()), (96_000, 192_000));
    assert_eq!(clip.info.declared_frames, Some(192_000));
    assert_eq!(clip.info.warnings, []);
    let energy: f32 = clip.audio.channel(0).iter().map(|s| s * s).sum();
    assert!(energy > 1.0, "{energy}");
}

#[test]
fn f1_what_the_container_claims_does_not_count() {
    let good = decode(&media("impulse.m4a"));
    let (entry, _) = box_at(&media("impulse.m4a"), 0, b"mp4a");
    for rate in [0u32, 1, 8000, 48_000, 65_535] {
        for channels in [0u16, 1, 2, 6] {
            let mut bytes = media("impulse.m4a");
            bytes[entry + 24..entry + 26].copy_from_slice(&channels.to_be_bytes());
            bytes[entry + 32..entry + 36].copy_from_slice(&(rate << 16).to_be_bytes());
            let clip = decode(&bytes);
            assert!(clip.audio == good.audio, "{rate} Hz, {channels} channels");
        }
    }
}

#[test]
fn f1_a_track_without_a_frame_is_an_error() {
    let mut bytes = media("impulse.m4a");
    let (elst, _) = box_at(&bytes, 0, b"elst");
    bytes[elst + 20..elst + 24].copy_from_slice(&0x7fff_0000u32.to_be_bytes()); // its start
    let error = refused(&bytes);
    assert!(error.contains("leaves none"), "{error}");
}

#[test]
fn f3_a_damaged_flac_frame_is_silence_of_its_length() {
    let (good, expected) = flac();
    let frames = flac_frames(&good);
    assert_eq!(frames.len(), 11);
    // In the samples, in the checksum of the whole frame, in the header, and in the last frame.
    for (frame, at) in
        [(3, frames[3] + 500), (3, frames[4] - 1), (3, frames[3] + 4), (0, frames[0] + 99)]
    {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        let clip = decode(&bytes);
        let mut silenced = expected.clone();
        silenced[frame * 4096..(frame + 1) * 4096].fill(0.0);
        assert!(clip.audio.channel(0) == silenced, "frame {frame}, byte {at}");
        let at = (frame * 4096) as f64 / 44_100.0;
        assert_eq!(clip.info.warnings, [Warning::CorruptPackets { count: 1, frames: 4096, at }]);
    }
    for at in [frames[10] + 50, frames[10] + 1, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        let clip = decode(&bytes);
        assert_eq!(clip.audio.frames(), 44_100);
        assert!(clip.audio.channel(0)[..40_960] == expected[..40_960]);
        assert!(clip.audio.channel(0)[40_960..].iter().all(|&sample| sample == 0.0));
        let at = 40_960.0 / 44_100.0;
        assert_eq!(clip.info.warnings, [Warning::CorruptPackets { count: 1, frames: 3140, at }]);
    }
}

#[test]
fn f3_lost_frames_at_the_start_and_in_the_middle_keep_their_place() {
    let (good, expected) = flac();
    let frames = flac_frames(&good);
    for (from, to) in [(0, 1), (2, 5)] {
        let mut bytes = good.clone();
        bytes[frames[from]..frames[to]].fill(0);
        let clip = decode(&bytes);
        let mut silenced = expected.clone();
        silenced[from * 4096..to * 4096].fill(0.0);
        assert!(clip.audio.channel(0) == silenced, "{from} to {to}: {:?}", clip.info.warnings);
        assert_eq!(clip.info.warnings.len(), 1, "{:?}", clip.info.warnings);
    }
}

#[test]
fn f3_flac_in_matroska_is_checked() {
    let good = media("flac.mkv");
    let expected = decode(&good).audio;
    let (mut damaged, mut checked) = (good.clone(), 0);
    let from = good.windows(4).rposition(|w| w == [0x1f, 0x43, 0xb6, 0x75]).expect("a cluster");
    for at in (from..good.len()).filter(|&at| good[at..].starts_with(&[0xff, 0xf8])) {
        damaged.clone_from(&good);
        damaged[at + 9] ^= 4;
        let clip = decode(&damaged);
        assert_eq!(clip.audio.frames(), expected.frames());
        assert!(
            matches!(clip.info.warnings[..], [Warning::CorruptPackets { count: 1, .. }]),
            "{:?}",
            clip.info.warnings
        );
        checked += 1;
    }
    assert!(checked > 3, "{checked}");
}

#[test]
fn f3_the_checksum_of_the_whole_is_compared() {
    let (mut bytes, expected) = flac();
    bytes[8 + 18] ^= 1;
    let clip = decode(&bytes);
    assert_eq!(clip.info.warnings, [Warning::Checksum]);
    assert!(clip.audio.channel(0) == expected);
}

#[test]
fn f3_what_lies_behind_flac_does_not_cost_its_last_block() {
    let (good, expected) = flac();
    let tag = [b"TAG".to_vec(), vec![b' '; 125]].concat();
    let clip = decode(&[good, tag].concat());
    assert!(clip.audio.channel(0) == expected);
    assert_eq!(clip.info.warnings, []);
}

#[test]
fn w2_joined_recordings_are_all_read() {
    let (one, expected) = flac();
    let wave = Wav::s16(1, 44_100).bytes(&sine(4410, 440.0, 44_100, 0.5));
    let m4a = media("impulse.m4a");
    let webm = media("impulse.webm");
    for (name, file) in [("flac", &one), ("wav", &wave), ("m4a", &m4a), ("webm", &webm)] {
        let single = decode(file);
        let clip = decode(&[file.clone(), file.clone(), file.clone()].concat());
        let frames = single.audio.frames();
        assert_eq!(clip.audio.frames(), 3 * frames, "{name}");
        for part in clip.audio.channel(0).chunks(frames) {
            assert!(part == single.audio.channel(0), "{name}");
        }
        let second = frames as f64 / f64::from(single.info.rate);
        let joined = [Warning::Joined { at: second }, Warning::Joined { at: 2.0 * second }];
        assert_eq!(clip.info.warnings, joined, "{name}");
    }
    // Of another kind, and of another rate.
    let clip = decode(&[one.clone(), wave].concat());
    assert_eq!(clip.audio.frames(), 44_100 + 4410);
    assert!(clip.audio.channel(0)[..44_100] == expected);
    let low = Wav::s16(1, 8000).bytes(&sine(800, 440.0, 8000, 0.5));
    let clip = decode(&[one, low].concat());
    assert_eq!((clip.audio.frames(), clip.info.warnings.len()), (44_100, 1));
    let told = clip.info.warnings[0].to_string();
    assert!(told.contains("1.000 s") && told.contains("8000 Hz"), "{told}");
}

#[test]
fn w2_a_change_in_ogg_is_told_with_its_time() {
    let clip = decode(&[media("impulse.opus"), media("surround.opus")].concat());
    let told = clip.info.warnings[0].to_string();
    assert!(told.contains("1.000 s"), "{told}");
}

#[test]
fn w3_a_data_size_of_zero_with_samples_behind_it() {
    let good = Wav::s16(1, 16_000).bytes(&sine(5000, 440.0, 16_000, 0.5));
    for riff_size in [0u32, 1, 36, 37, 44, 50, 1000, 10_036, 10_037, 1 << 30, u32::MAX] {
        let mut bytes = good.clone();
        bytes[4..8].copy_from_slice(&riff_size.to_le_bytes());
        bytes[40..44].fill(0);
        let clip = decode(&bytes);
        assert_eq!((clip.audio.frames(), clip.info.warnings.len()), (5000, 1), "{riff_size}");
    }
    // Nothing behind it, or another chunk.
    for behind in [vec![], chunk(b"LIST", b"INFOIART\x02\0\0\0A\0"), chunk(b"abcd", &[1; 6])] {
        let chunks = [chunk(b"fmt ", &fmt(1, 1, 16_000, 2, 16)), chunk(b"data", &[]), behind];
        let clip = decode(&riff(&chunks.concat()));
        assert_eq!((clip.audio.frames(), clip.info.warnings.len()), (0, 0));
    }
}

#[test]
fn w3_impossible_fields_are_named() {
    let with = |rate, align, bits| {
        let format = fmt(1, 1, rate, align, bits);
        refused(&riff(&[chunk(b"fmt ", &format), chunk(b"data", &[0; 64])].concat()))
    };
    assert!(with(1, 2, 16).contains("sample rate of 1 Hz"));
    assert!(with(16_000, 2, 0).contains("0 bits a sample"));
    assert!(with(16_000, 1, 7).contains("7 bits a sample"));
    assert!(with(16_000, 5, 40).contains("40 bits a sample"));
}

#[test]
fn f5_missing_packets_become_silence() {
    let clip = decode(&media("gap.webm"));
    let [Warning::Gap { start, length }] = clip.info.warnings[..] else {
        panic!("{:?}", clip.info.warnings)
    };
    assert!((start - 4.0).abs() < 0.05 && (length - 3.0).abs() < 0.05, "{start} {length}");
    let rate = clip.info.rate as usize;
    let samples = clip.audio.channel(0);
    assert!(samples[41 * rate / 10..69 * rate / 10].iter().all(|&sample| sample == 0.0));
    assert!(samples[7 * rate..8 * rate].iter().any(|&sample| sample.abs() > 0.01));
    assert!(clip.audio.duration() > 12.0, "{}", clip.audio.duration());
}

#[test]
fn f4_an_empty_edit_makes_the_track_late() {
    let good = media("impulse.m4a");
    let mut bytes = good.clone();
    let (moov, _) = box_at(&bytes, 0, b"moov");
    let (trak, _) = box_at(&bytes, moov, b"trak");
    let (edts, _) = box_at(&bytes, trak, b"edts");
    let (elst, _) = box_at(&bytes, edts, b"elst");
    bytes[elst + 12..elst + 16].copy_from_slice(&2u32.to_be_bytes());
    let pause = [2500u32, u32::MAX, 0x10000].map(u32::to_be_bytes).concat();
    insert(&mut bytes, elst + 16, &pause, &[elst, edts, trak, moov]);
    let clip = decode(&bytes);
    assert!(clip.audio == decode(&good).audio, "the samples stay");
    assert_eq!((clip.info.start, clip.info.warnings.len()), (2.5, 0));
    assert_eq!(decode(&good).info.start, 0.0);
}

#[test]
fn f4_matroska_times_have_both_signs() {
    for shift in [-500i16, 250] {
        let mut bytes = media("impulse.webm");
        let cluster = bytes.windows(4).position(|w| w == [0x1f, 0x43, 0xb6, 0x75]).expect("one");
        for at in cluster..bytes.len() - 6 {
            if bytes[at] == 0xa3 && bytes[at + 2] == 0x81 && matches!(bytes[at + 5], 0 | 0x80) {
                let time = i16::from_be_bytes([bytes[at + 3], bytes[at + 4]]) + shift;
                bytes[at + 3..at + 5].copy_from_slice(&time.to_be_bytes());
            }
        }
        let mut reader =
            BlockReader::from_stream(Box::new(Cursor::new(bytes)), "-", &DecodeOptions::default())
                .expect("opens");
        assert_eq!(reader.start(), f64::from(shift) / 1000.0);
    }
}

#[test]
fn several_tracks_default_choice_and_fall_through() {
    let m4a = media("impulse.m4a");
    let frames = |clip: &Clip| (clip.audio.frames(), clip.info.warnings.clone());
    // A second one that is switched off, in front: the other is the default.
    let bytes = with_track(&m4a, &other_track(&m4a, |track| disable(track)), true);
    let clip = decode(&bytes);
    assert!(matches!(clip.info.warnings[..], [Warning::Track { number: 2, of: 2, .. }]));
    assert_eq!(clip.info.tracks.len(), 2);
    // An unreadable one in front.
    let bytes = with_track(&m4a, &other_track(&m4a, |track| rename(track, b"mp4a", b"ac-3")), true);
    let clip = decode(&bytes);
    assert_eq!(clip.audio.frames(), 44_100);
    let told = clip.info.warnings[0].to_string();
    assert!(told.contains("track 2 of 2") && told.contains("AC-3"), "{told}");
    // By number and by language.
    let choose = |choice: &str| {
        let track = Some(choice.parse::<TrackChoice>().expect("a choice"));
        decode_with(&bytes, &DecodeOptions { track, ..Default::default() })
    };
    assert_eq!(frames(&choose("2").expect("AAC")), (44_100, vec![]));
    for (choice, word) in [("1", "AC-3"), ("3", "there is no audio track 3"), ("deu", "language")] {
        let error = choose(choice).expect_err(choice).to_string();
        assert!(error.contains(word), "{error}");
    }
    let wave = Wav::s16(1, 44_100).bytes(&sine(441, 440.0, 44_100, 0.5));
    let track = Some(TrackChoice::Number(2));
    let error = decode_with(&wave, &DecodeOptions { track, ..Default::default() });
    assert!(error.expect_err("one track").to_string().contains("one audio track"));
}

#[test]
fn strict_reading_accepts_a_note() {
    let m4a = media("impulse.m4a");
    let bytes = with_track(&m4a, &other_track(&m4a, |track| disable(track)), false);
    let strict = formant_audio_core::decode::Strictness::Strict;
    let options = DecodeOptions { strict, ..Default::default() };
    assert_eq!(decode_with(&bytes, &options).expect("a note").audio.frames(), 44_100);
}

#[test]
fn other_tracks_and_second_sample_entries_are_no_obstacle() {
    let m4a = media("impulse.m4a");
    let expected = decode(&m4a).audio;
    let double = |track: &mut Vec<u8>| {
        let (stsd, end) = box_at(track, 0, b"stsd");
        track[stsd + 15] = 2;
        let entry = track[stsd + 16..end].to_vec();
        let around: Vec<usize> = [b"trak", b"mdia", b"minf", b"stbl", b"stsd"]
            .map(|kind| box_at(track, 0, kind).0)
            .into();
        insert(track, end, &entry, &around);
    };
    // A picture track for chapters with two entries.
    let chapters = other_track(&m4a, |track| {
        double(track);
        rename(track, b"soun", b"vide");
    });
    let clip = decode(&with_track(&m4a, &chapters, true));
    assert!(clip.audio == expected && clip.info.warnings.is_empty(), "{:?}", clip.info.warnings);
    // The audio track itself.
    let mut bytes = m4a.clone();
    let (moov, _) = box_at(&bytes, 0, b"moov");
    let (trak, end) = box_at(&bytes, moov, b"trak");
    let mut track = bytes[trak..end].to_vec();
    double(&mut track);
    rename(&mut bytes[trak..end], b"trak", b"free");
    insert(&mut bytes, end, &track, &[moov]);
    assert!(decode(&bytes).audio == expected);
}

#[test]
fn alac_in_the_form_of_quicktime() {
    let m4a = media("alac.m4a");
    let expected = decode(&m4a).audio;
    let mut bytes = m4a.clone();
    let (moov, _) = box_at(&bytes, 0, b"moov");
    let (entry, _) = box_at(&bytes, moov, b"alac");
    // Version 1 of the sample entry, and the codec's box inside of a `wave` box.
    bytes[entry + 17] = 1;
    let (inner, end) = box_at(&bytes, entry + 36, b"alac");
    let around: Vec<usize> = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"alac"]
        .map(|kind| box_at(&bytes, moov, kind).0)
        .into();
    let size = (end - inner) as u32 + 8 + 12 + 8;
    let head = [&size.to_be_bytes()[..], b"wave", &[0, 0, 0, 12], b"frmaalac"].concat();
    insert(&mut bytes, end, &[0, 0, 0, 8, 0, 0, 0, 0], &around);
    insert(&mut bytes, inner, &head, &around);
    insert(&mut bytes, inner, &[0; 16], &around);
    assert!(decode(&bytes).audio == expected);
}

#[test]
fn codecs_that_are_not_read_are_named_with_a_remedy() {
    let named = |kind: &[u8; 4]| {
        let mut bytes = media("impulse.m4a");
        rename(&mut bytes, b"mp4a", kind);
        refused(&bytes)
    };
    for (kind, name) in [(b"samr", "AMR"), (b"ac-3", "AC-3"), (b"ec-3", "E-AC-3"), (b"dtsc", "DTS")]
    {
        let error = named(kind);
        assert!(error.contains(name) && error.contains("ffmpeg -i"), "{error}");
    }
    assert!(named(b"enca").contains("encrypted"));
    let mut speex = media("impulse.opus");
    speex[28..36].copy_from_slice(b"Speex   ");
    let wma =
        riff(&[chunk(b"fmt ", &fmt(0x161, 1, 16_000, 2, 16)), chunk(b"data", &[0; 8])].concat());
    let foreign: [(&[u8], &str); 6] = [
        (b"#!AMR\n\x3c\x08", "AMR"),
        (b"DSD \x1c\0\0\0", "DSD"),
        (&[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, 0xa6, 0xd9], "WMA"),
        (&[0x0b, 0x77, 0x12, 0x34], "AC-3"),
        (&speex, "Speex"),
        (&wma, "WMA"),
    ];
    for (bytes, name) in foreign {
        let error = refused(bytes);
        assert!(error.contains(name) && error.contains("ffmpeg -i"), "{error}");
    }
}

#[test]
fn the_broadcast_chunk_is_shown_and_kept() {
    let mut body = vec![0; 602];
    body[..7].copy_from_slice(b"Scene 7");
    body[256..264].copy_from_slice(b"Recorder");
    body[338..346].copy_from_slice(&96_000u64.to_le_bytes());
    body.extend(b"A=PCM,F=48000\r\n");
    let wave = store(&sine(480, 440.0, 48_000, 0.5), 16, 2);
    let format = chunk(b"fmt ", &fmt(1, 1, 48_000, 2, 16));
    let list = chunk(b"LIST", b"INFOINAM\x05\0\0\0Gr\xfcn\0\0");
    for chunks in [
        [chunk(b"bext", &body), format.clone(), chunk(b"data", &wave), list.clone()],
        [format, chunk(b"data", &wave), chunk(b"bext", &body), list],
    ] {
        let clip = decode(&riff(&chunks.concat()));
        assert_eq!(clip.info.tags.get("description"), Some("Scene 7"));
        assert_eq!(clip.info.tags.get("originator"), Some("Recorder"));
        assert_eq!(clip.info.tags.get("time_reference"), Some("96000"));
        assert_eq!(clip.info.tags.get("title"), Some("Grün"));
        let options = WriteOptions { tags: clip.info.tags.clone(), ..Default::default() };
        let out = written("a.wav", &clip.audio, &options);
        assert!(out.windows(body.len()).any(|window| window == body));
        assert_eq!(decode(&out).info.tags, clip.info.tags);
        // Half the rate, half the count.
        let half = AudioBuf::from_mono(24_000, vec![0.0; 240]);
        let tags = decode(&written("a.wav", &half, &options)).info.tags;
        assert_eq!(tags.get("time_reference"), Some("48000"));
        let tags = decode(&written("a.flac", &clip.audio, &options)).info.tags;
        assert_eq!(tags.get("description"), Some("Scene 7"));
    }
}

#[test]
fn texts_in_old_encodings_are_never_lost() {
    for (stored, text) in [
        (&b"\xdcbung f\xfcr \xc4rger\0"[..], "Übung für Ärger"),
        (b"\x83T\x83C\x83\x93\x94g\0", "サイン波"),
    ] {
        let list = [b"INFOIART", &(stored.len() as u32).to_le_bytes()[..], stored].concat();
        let wave = store(&sine(160, 440.0, 16_000, 0.5), 16, 2);
        let chunks = [
            chunk(b"fmt ", &fmt(1, 1, 16_000, 2, 16)),
            chunk(b"LIST", &list),
            chunk(b"data", &wave),
        ];
        let clip = decode(&riff(&chunks.concat()));
        assert_eq!(clip.info.tags.get("artist"), Some(text));
        let options = WriteOptions { tags: clip.info.tags.clone(), ..Default::default() };
        for name in ["a.wav", "a.flac"] {
            assert_eq!(decode(&written(name, &clip.audio, &options)).info.tags, clip.info.tags);
        }
    }
}

#[test]
fn layouts_with_back_channels_stay() {
    for (mask, channels) in [(0x3fu32, 6u16), (0x33, 4), (0x37, 5), (0xb, 3), (0x60f, 6)] {
        let format = extensible(1, channels, 48_000, 2 * channels, 16, 16, mask);
        let data = chunk(b"data", &vec![1; 2 * usize::from(channels) * 100]);
        let clip = decode(&riff(&[chunk(b"fmt ", &format), data].concat()));
        assert_eq!(clip.info.layout.mask(), mask);
        for name in ["a.wav", "a.flac"] {
            let options = WriteOptions { format: Some(SampleFormat::S16), ..Default::default() };
            let again = decode(&written(name, &clip.audio, &options));
            assert_eq!(again.info.layout.mask(), mask, "{name} {mask:#x}");
        }
    }
    assert_eq!(ChannelLayout::from_mask(0x3f, 6).to_string(), "5.1 (back)");
}

#[test]
fn lossy_codecs_have_no_number_of_bits() {
    for (name, bits) in [
        ("impulse.m4a", None),
        ("impulse.webm", None),
        ("impulse.opus", None),
        ("impulse.ogg", None),
        ("impulse_cbr.mp3", None),
    ] {
        assert_eq!(decode(&media(name)).info.bits_per_sample, bits, "{name}");
    }
}

#[test]
fn d6_names_of_the_full_length_can_be_written() {
    let spec = AudioSpec { rate: 8000, layout: ChannelLayout::Mono };
    let audio = AudioBuf::silence(spec, 80);
    for name in ["n".repeat(251) + ".wav", "ü".repeat(125) + ".flac"] {
        assert!((247..=255).contains(&name.len()));
        let clip = decode(&written(&name, &audio, &WriteOptions::default()));
        assert_eq!(clip.audio.frames(), 80);
    }
}

#[test]
fn several_artists_track_number_and_copyright_survive() {
    let text = |id: &[u8; 4], text: &[u8]| {
        let size = (text.len() as u32 + 1).to_be_bytes();
        [&id[..], &size, &[0, 0, 3], text].concat()
    };
    let frames =
        [text(b"TPE1", b"First\0Second"), text(b"TRCK", b"7"), text(b"TCOP", b"2026 Nobody")]
            .concat();
    let size = [0, 0, (frames.len() >> 7) as u8, (frames.len() & 0x7f) as u8];
    let bytes = [b"ID3\x04\0\0".to_vec(), size.to_vec(), frames, media("impulse_cbr.mp3")].concat();
    let clip = decode(&bytes);
    assert_eq!(clip.info.tags.all("artist"), ["First", "Second"]);
    let options = WriteOptions { tags: clip.info.tags.clone(), ..Default::default() };
    let flac = decode(&written("a.flac", &clip.audio, &options)).info.tags;
    assert_eq!(flac.all("artist"), ["First", "Second"]);
    let wave = decode(&written("a.wav", &clip.audio, &options)).info.tags;
    assert_eq!(wave.get("artist"), Some("First; Second"));
    for tags in [flac, wave] {
        assert_eq!((tags.get("track"), tags.get("copyright")), (Some("7"), Some("2026 Nobody")));
    }
}

#[test]
fn only_codecs_with_a_number_of_bits_have_one() {
    for (name, bits) in [
        ("impulse.m4a", None),
        ("impulse.webm", None),
        ("impulse.opus", None),
        ("impulse.ogg", None),
        ("impulse_cbr.mp3", None),
        ("alac.m4a", Some(16)),
        ("flac.mkv", Some(16)),
    ] {
        assert_eq!(decode(&media(name)).info.bits_per_sample, bits, "{name}");
    }
}

#[test]
fn caf_is_read_from_a_stream() {
    let wave = store(&sine(800, 440.0, 8000, 0.5), 16, 2);
    let mut description = 8000f64.to_be_bytes().to_vec();
    description.extend(b"lpcm");
    description.extend([2u32, 2, 1, 1, 16].map(u32::to_be_bytes).concat()); // little-endian
    let head = [b"caff\0\x01\0\0desc", &32u64.to_be_bytes()[..], &description].concat();
    let data = |size: i64| [b"data", &size.to_be_bytes()[..], &[0; 4], &wave].concat();
    let size = wave.len() as i64 + 4;
    let clip = decode(&[head.clone(), data(size)].concat());
    assert_eq!((clip.audio.frames(), clip.info.rate), (800, 8000));
    // The data in front of the description of its packets.
    let behind = [b"free", &8u64.to_be_bytes()[..], &[0; 8]].concat();
    let clip = decode(&[head, data(size), behind].concat());
    assert_eq!(clip.audio.frames(), 800);
}
