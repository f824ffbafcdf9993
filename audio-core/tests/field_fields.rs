//! What headers claim and what lies behind the audio in other people's files. Each test carries the
//! letter and number of its case.

mod field;
mod wav_files;

use field::{box_at, decode, decode_with, flac, insert, media, refused, rename};
use formant_audio_core::decode::{ChannelSelect, DecodeOptions, Strictness};
use formant_audio_core::{AudioBuf, ChannelLayout, Warning};
use wav_files::{Wav, chunk, fmt, riff, sine, store};

/// A CAF file with a description and a data chunk whose size is claimed to be `size`.
fn caf(rate: f64, channels: u32, bits: u32, size: i64, samples: &[u8]) -> Vec<u8> {
    let mut description = rate.to_be_bytes().to_vec();
    description.extend(b"lpcm");
    let bytes = channels * bits.div_ceil(8);
    description.extend([2u32, bytes, 1, channels, bits].map(u32::to_be_bytes).concat());
    let head = [b"caff\0\x01\0\0desc", &32u64.to_be_bytes()[..], &description].concat();
    [&head, &b"data"[..], &size.to_be_bytes(), &[0; 4], samples].concat()
}

/// An AIFF file.
fn aiff(rate: u16, channels: u16, bits: u16) -> Vec<u8> {
    let chunk =
        |name: &[u8; 4], body: &[u8]| [name, &(body.len() as u32).to_be_bytes()[..], body].concat();
    let mut common =
        [channels.to_be_bytes(), [0, 0], 50u16.to_be_bytes(), bits.to_be_bytes()].concat();
    let shift = rate.max(1).leading_zeros();
    let exponent = if rate == 0 { 0 } else { 16_383 + 15 - shift as u16 };
    common.extend(exponent.to_be_bytes());
    common.extend((u64::from(rate) << (48 + shift.min(15))).to_be_bytes());
    let samples = chunk(b"SSND", &[0; 8 + 100]);
    let body = [b"AIFF".to_vec(), chunk(b"COMM", &common), samples].concat();
    chunk(b"FORM", &body)
}

#[test]
fn w1_numbered_channels_of_a_file() {
    let samples: Vec<f64> = (0..400).map(|at| f64::from(at % 4 + 1) / 8.0).collect(); // four constants
    let bytes = Wav::s16(4, 16_000).bytes(&samples);
    let choose = |which: &str| {
        let channels = Some(which.parse::<ChannelSelect>().expect(which));
        decode_with(&bytes, &DecodeOptions { channels, ..Default::default() })
    };
    let first = |audio: &AudioBuf| -> Vec<f32> {
        (0..audio.channels()).map(|channel| audio.channel(channel)[7]).collect()
    };
    let clip = choose("3,4").expect("four channels");
    assert_eq!(first(&clip.audio), [0.375, 0.5]);
    assert_eq!((clip.audio.spec().layout, clip.audio.frames()), (ChannelLayout::Stereo, 100));
    assert_eq!(clip.info.layout.count(), 4, "the file's own");
    assert_eq!(first(&choose("4,1").expect("four channels").audio), [0.5, 0.125]);
    assert_eq!(first(&choose("2").expect("four channels").audio), [0.25]);
    assert_eq!(first(&choose("each").expect("four channels").audio).len(), 4);
    for which in ["5", "1,9"] {
        let error = choose(which).expect_err(which).to_string();
        assert!(error.contains("4 channels"), "{error}");
    }
}

#[test]
fn w1_a_mix_that_cancels_is_obeyed_and_said() {
    let samples: Vec<f64> =
        sine(8000, 440.0, 16_000, 0.5).into_iter().flat_map(|x| [x, -x]).collect();
    let bytes = Wav::s16(2, 16_000).bytes(&samples);
    let channels = Some(ChannelSelect::Mix);
    let mut options = DecodeOptions { channels, ..Default::default() };
    let clip = decode_with(&bytes, &options).expect("stereo");
    assert!(clip.audio.channel(0).iter().all(|sample| sample.abs() < 1e-3));
    assert_eq!(clip.info.warnings, [Warning::MixCancels]);
    options.strict = Strictness::Strict;
    assert!(decode_with(&bytes, &options).is_err());
    assert_eq!(decode(&bytes).info.warnings, []);
}

#[test]
fn w3_caf_whose_data_go_to_the_end_of_the_file() {
    let wave = store(&sine(800, 440.0, 8000, 0.5), 16, 2);
    let expected = decode(&caf(8000.0, 1, 16, wave.len() as i64 + 4, &wave));
    assert_eq!((expected.audio.frames(), expected.info.warnings.len()), (800, 0));
    for (size, warnings) in [(-1, 0), (0, 1), (i64::MAX, 1), (wave.len() as i64 + 400, 1)] {
        let clip = decode(&caf(8000.0, 1, 16, size, &wave));
        assert!(clip.audio == expected.audio, "{size}");
        assert_eq!(clip.info.warnings.len(), warnings, "{size}: {:?}", clip.info.warnings);
    }
}

#[test]
fn w3_aiff_that_was_cut_or_never_completed() {
    let good = aiff(8000, 1, 16);
    let expected = decode(&good).audio;
    let size = good.windows(4).position(|name| name == b"SSND").expect("the samples") + 4;
    for claimed in [0u32, u32::MAX, 1000] {
        let mut bytes = good.clone();
        bytes[size..size + 4].copy_from_slice(&claimed.to_be_bytes());
        let clip = decode(&bytes);
        assert!(clip.audio == expected, "{claimed}: {}", clip.audio.frames());
        assert!(!clip.info.warnings.is_empty(), "{claimed}");
    }
    let clip = decode(&good[..good.len() - 40]);
    assert_eq!(clip.audio.frames(), 30, "{:?}", clip.info.warnings);
    assert!(!clip.info.warnings.is_empty());
}

#[test]
fn w3_impossible_fields_are_named_in_every_format() {
    let wav = |container: &[u8; 4], rate, bits: u16| {
        let format = fmt(1, 1, rate, bits.div_ceil(8).max(1), bits);
        let mut bytes = riff(&[chunk(b"fmt ", &format), chunk(b"data", &[0; 64])].concat());
        bytes[..4].copy_from_slice(container);
        bytes
    };
    for rate in [0u16, 1, 99] {
        let named = if rate == 0 { "zero".to_owned() } else { format!("{rate} Hz") };
        for (format, bytes) in [
            ("wav", wav(b"RIFF", rate.into(), 16)),
            ("rf64", wav(b"RF64", rate.into(), 16)),
            ("bw64", wav(b"BW64", rate.into(), 16)),
            ("aiff", aiff(rate, 1, 16)),
            ("caf", caf(rate.into(), 1, 16, -1, &[0; 64])),
        ] {
            let error = refused(&bytes);
            assert!(
                error.contains("sample rate of") && error.contains(&named),
                "{format}: {error}"
            );
        }
    }
    for bits in [0u16, 7, 40] {
        for (format, bytes) in [
            ("wav", wav(b"RIFF", 8000, bits)),
            ("rf64", wav(b"RF64", 8000, bits)),
            ("bw64", wav(b"BW64", 8000, bits)),
            ("aiff", aiff(8000, 1, bits)),
            ("caf", caf(8000.0, 1, bits.into(), -1, &[0; 64])),
        ] {
            let error = refused(&bytes);
            assert!(error.contains(&format!("{bits} bits a sample")), "{format}: {error}");
        }
    }
    for (format, bytes) in [("aiff", aiff(8000, 0, 16)), ("caf", caf(8000.0, 0, 16, -1, &[0; 64]))]
    {
        assert!(refused(&bytes).contains("zero channels"), "{format}");
    }
    assert_eq!(decode(&aiff(8000, 1, 16)).audio.frames(), 50);
    for rate in [f64::NAN, f64::INFINITY, -8000.0, 1e300] {
        assert!(refused(&caf(rate, 1, 16, -1, &[0; 64])).contains("sample rate"), "{rate}");
    }
    // Formats that are not read are named, whatever their fields.
    let w64 = [&b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0"[..], &[0; 100]].concat();
    for (bytes, name) in
        [(&b".snd\0\0\0\x18\0\0\0\0\0\0\0\x03\0\0\0\x01"[..], "AU"), (&w64, "Wave64")]
    {
        let error = refused(bytes);
        assert!(error.contains(name) && error.contains("ffmpeg"), "{error}");
    }
}

#[test]
fn w2_another_wav_behind_one_of_unknown_size() {
    let first = Wav::s16(1, 16_000).bytes(&sine(10_001, 440.0, 16_000, 0.5));
    let second = Wav::s16(1, 16_000).bytes(&sine(3000, 880.0, 16_000, 0.25));
    let (a, b) = (decode(&first).audio, decode(&second).audio);
    for size in [0u32, u32::MAX, 0x7fff_f000] {
        let mut bytes = first.clone();
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        bytes[40..44].copy_from_slice(&size.to_le_bytes());
        let clip = decode(&[bytes, second.clone()].concat());
        assert_eq!(clip.audio.frames(), 13_001, "{size:#x}");
        assert!(clip.audio.channel(0)[..10_001] == *a.channel(0));
        assert!(clip.audio.channel(0)[10_001..] == *b.channel(0));
        let joined = Warning::Joined { at: 10_001.0 / 16_000.0 };
        assert!(clip.info.warnings.contains(&joined), "{:?}", clip.info.warnings);
    }
}

#[test]
fn w2_bytes_behind_mpeg_audio_are_named_and_not_decoded() {
    let noise: Vec<u8> =
        (0..60_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let quiet: Vec<u8> =
        (0..30_000i32).flat_map(|at| ((at * 7919 % 41 - 20) as i16).to_le_bytes()).collect();
    let loud = vec![0xff; 20_000];
    for name in ["impulse_cbr.mp3", "impulse_bare.mp3", "impulse.aac"] {
        let good = decode(&media(name));
        for (kind, behind) in [("noise", &noise), ("quiet", &quiet), ("loud", &loud)] {
            let clip = decode(&[media(name), behind.clone()].concat());
            assert!(clip.audio == good.audio, "{name} {kind}: {}", clip.audio.frames());
            let told = &clip.info.warnings[good.info.warnings.len()..];
            let [Warning::Repaired { what }] = told else { panic!("{name} {kind}: {told:?}") };
            let at = format!("at {:.3} s", clip.audio.duration());
            assert!(what.contains(&at) && what.contains("bytes"), "{name} {kind}: {what}");
        }
        // A recording that says what it is.
        let wave = Wav::s16(1, good.info.rate).bytes(&sine(1000, 440.0, good.info.rate, 0.5));
        let clip = decode(&[media(name), wave].concat());
        assert_eq!(clip.audio.frames(), good.audio.frames() + 1000, "{name}");
        let joined = Warning::Joined { at: good.audio.duration() };
        assert!(clip.info.warnings.contains(&joined), "{:?}", clip.info.warnings);
    }
}

#[test]
fn w2_mpeg_audio_of_another_kind_behind_aac() {
    let (aac, mp3) = (media("impulse.aac"), media("impulse_cbr.mp3"));
    let clip = decode(&[aac.clone(), mp3].concat());
    let first = decode(&aac).audio;
    assert_eq!(clip.audio.frames(), first.frames() + 44_100, "{:?}", clip.info.warnings);
    let joined = Warning::Joined { at: first.duration() };
    assert!(clip.info.warnings.contains(&joined), "{:?}", clip.info.warnings);
    assert_eq!(clip.info.declared_frames, None);
}

#[test]
fn w2_a_second_sample_entry_has_its_own_configuration() {
    let good = media("impulse.m4a");
    let expected = decode(&good).audio;
    // Two chunks, the second of which has a second sample entry.
    let two_entries = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        let (moov, _) = box_at(&bytes, 0, b"moov");
        let around = |bytes: &[u8], kinds: &[&[u8; 4]]| -> Vec<usize> {
            kinds.iter().map(|kind| box_at(bytes, moov, kind).0).collect()
        };
        let kinds = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];
        let long = |bytes: &[u8], at: usize| {
            u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
        };
        let (stsz, _) = box_at(&bytes, moov, b"stsz");
        let first: u32 = (0..9).map(|sample| long(&bytes, stsz + 20 + 4 * sample)).sum();
        let (stco, _) = box_at(&bytes, moov, b"stco");
        let second = long(&bytes, stco + 16) + first;
        bytes[stco + 12..stco + 16].copy_from_slice(&2u32.to_be_bytes());
        let outer = around(&bytes, &[&kinds[..], &[b"stco"]].concat());
        insert(&mut bytes, stco + 20, &second.to_be_bytes(), &outer);
        let (stsc, _) = box_at(&bytes, moov, b"stsc");
        let rest = long(&bytes, stsz + 16) - 9;
        bytes[stsc + 12..stsc + 16].copy_from_slice(&2u32.to_be_bytes());
        bytes[stsc + 20..stsc + 24].copy_from_slice(&9u32.to_be_bytes());
        let line = [2u32, rest, 2].map(u32::to_be_bytes).concat();
        let outer = around(&bytes, &[&kinds[..], &[b"stsc"]].concat());
        insert(&mut bytes, stsc + 28, &line, &outer);
        let (stsd, end) = box_at(&bytes, moov, b"stsd");
        bytes[stsd + 15] = 2;
        let mut entry = bytes[stsd + 16..end].to_vec();
        change(&mut entry);
        let outer = around(&bytes, &[&kinds[..], &[b"stsd"]].concat());
        insert(&mut bytes, end, &entry, &outer);
        bytes
    };
    assert!(decode(&two_entries(&|_| ())).audio == expected, "the same entry twice");
    // Another version of the entry says the same: the decoder begins anew, and nothing is lost.
    let clip = decode(&two_entries(&|entry| entry[20] = 0x12));
    assert_eq!(clip.audio.frames(), expected.frames(), "{:?}", clip.info.warnings);
    assert!(clip.audio.channel(0)[..8192 - 1024] == expected.channel(0)[..8192 - 1024]);
    // Of another rate: named with its time, not decoded with the first one's configuration.
    let lc = [0x12, 0x08, 0x56, 0xe5, 0x00];
    let clip = decode(&two_entries(&|entry| {
        let at = entry.windows(5).position(|window| window == lc).expect("its configuration");
        entry[at] = 0x13; // 22.05 kHz
        entry[at + 1] = 0x88;
    }));
    let told = clip.info.warnings.iter().map(Warning::to_string).collect::<Vec<_>>().join("\n");
    assert!(told.contains("22050 Hz") && told.contains("0.186 s"), "{told}");
    // Without a configuration.
    let clip = decode(&two_entries(&|entry| rename(entry, b"esds", b"free")));
    let told = clip.info.warnings.iter().map(Warning::to_string).collect::<Vec<_>>().join("\n");
    assert!(told.contains("another sample entry") && told.contains("0.186 s"), "{told}");
}

#[test]
fn f3_a_stray_byte_behind_flac_is_named_with_its_place() {
    let (good, expected) = flac();
    for byte in [0u8, 1, b'f', b'T', b'I', 0xff] {
        for count in [1, 3, 40] {
            let clip = decode(&[good.clone(), vec![byte; count]].concat());
            assert!(clip.audio.channel(0) == expected, "{byte:#x}");
            if byte == 0 && count < 3 {
                // It might be the end of the checksum.
                assert_eq!(clip.info.warnings, []);
                continue;
            }
            let [Warning::Repaired { what }] = &clip.info.warnings[..] else {
                panic!("{byte:#x} {count}: {:?}", clip.info.warnings)
            };
            assert!(what.contains("1.000 s"), "{what}");
        }
    }
}

#[test]
fn f3_a_damaged_frame_is_told_once() {
    let (good, _) = flac();
    let starts: Vec<usize> = good
        .windows(4)
        .enumerate()
        .filter(|(_, w)| w[..2] == [0xff, 0xf8] && w[3] == 0x08)
        .map(|(at, _)| at)
        .collect();
    // Anywhere in a frame, its header included.
    for at in (starts[4]..starts[5]).step_by(37).chain(starts[4]..starts[4] + 6) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x55;
        let clip = decode(&bytes);
        assert_eq!(clip.audio.frames(), 44_100, "byte {at}");
        let [Warning::CorruptPackets { count: 1, frames: 4096, at: time }] = clip.info.warnings[..]
        else {
            panic!("byte {at}: {:?}", clip.info.warnings)
        };
        assert!((time - 4.0 * 4096.0 / 44_100.0).abs() < 1e-9);
        assert!(clip.info.warnings[0].to_string().contains("0.372 s"));
    }
}
