//! Files that nobody had listed, found by a trial: each test carries the letter and number of its
//! finding.

mod wav_files;

use std::io::Cursor;
use std::path::PathBuf;

use formant_audio_core::decode::{Clip, DecodeOptions, decode_file, decode_stream};
use formant_audio_core::encode::{SampleFormat, WriteOptions, write_file};
use formant_audio_core::{AudioBuf, Error};
use wav_files::{Wav, chunk, fmt, riff, sine, store};

fn media(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/media");
    std::fs::read(folder.join(name)).expect("media")
}

fn try_decode(bytes: &[u8]) -> Result<Clip, Error> {
    let options = DecodeOptions::default();
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("writable");
    let seekable = decode_file(file.path(), &options);
    let streamed = decode_stream(Box::new(Cursor::new(bytes.to_vec())), "-", &options);
    match (&seekable, &streamed) {
        (Ok(a), Ok(b)) => assert!(a.audio == b.audio, "a file and a stream give the same"),
        (Err(_), Err(_)) => {}
        other => panic!("{other:?}"),
    }
    seekable
}

fn decode(bytes: &[u8]) -> Clip {
    try_decode(bytes).expect("decodes")
}

fn refused(bytes: &[u8]) -> String {
    try_decode(bytes).expect_err("is refused").to_string()
}

/// The warnings as a user reads them.
fn told(clip: &Clip) -> Vec<String> {
    clip.info.warnings.iter().map(ToString::to_string).collect()
}

fn assert_told(clip: &Clip, words: &str) {
    let count = told(clip).iter().filter(|warning| warning.contains(words)).count();
    assert_eq!(count, 1, "{:?}", told(clip));
}

/// Put `new` over the bytes at `offset` behind the first `mark`.
fn patch(bytes: &mut [u8], mark: &[u8], offset: usize, new: &[u8]) {
    let at = bytes.windows(mark.len()).position(|window| window == mark).expect("the mark");
    bytes[at + mark.len() + offset..][..new.len()].copy_from_slice(new);
}

fn flac(channels: u16) -> (Vec<u8>, AudioBuf) {
    let tone = |hertz| sine(20_000, hertz, 44_100, 0.4).into_iter().map(|s| s as f32);
    let planes: Vec<f32> =
        (0..channels).flat_map(|channel| tone(440.0 + f64::from(channel))).collect();
    let layout = formant_audio_core::ChannelLayout::from_count(channels);
    let spec = formant_audio_core::AudioSpec { rate: 44_100, layout };
    let audio = AudioBuf::from_planar(spec, planes).expect("planes");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.flac");
    let options = WriteOptions { format: Some(SampleFormat::S16), ..Default::default() };
    write_file(&path, &audio.view(), &options).expect("writes");
    let bytes = std::fs::read(path).expect("there");
    let exact = decode(&bytes).audio;
    (bytes, exact)
}

// --- QuickTime files of plain samples, with the movie box in front.

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(8 + body.len() as u32).to_be_bytes()[..], kind, body].concat()
}

fn longs(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

/// A movie of mono samples at 8 kHz; each takes `size` bytes and lasts one tick.
fn mov(kind: &[u8; 4], size: usize, order: &[u8], scale: u32, data: &[u8]) -> Vec<u8> {
    let frames = (data.len() / size) as u32;
    let build = |offset: u32| {
        let version = [0u16, 1, 0, 1, 0, 0, 0, 0, 1, 16, 0xffff, 0, 8000, 0];
        let fields: Vec<u8> = version.iter().flat_map(|word| word.to_be_bytes()).collect();
        // Six reserved bytes and the index stand in front of the version.
        let fields = [&[0, 0, 0, 0][..], &fields].concat();
        let sizes = longs(&[1, size as u32, size as u32, 2]);
        let entry = boxed(kind, &[&fields[..], &sizes, order].concat());
        let tables = [
            boxed(b"stsd", &[longs(&[0, 1]), entry].concat()),
            boxed(b"stts", &longs(&[0, 1, frames, 1])),
            boxed(b"stsc", &longs(&[0, 1, 1, frames, 1])),
            boxed(b"stsz", &longs(&[0, size as u32, frames])),
            boxed(b"stco", &longs(&[0, 1, offset])),
        ];
        let stbl = boxed(b"stbl", &tables.concat());
        let smhd = boxed(b"smhd", &longs(&[0, 0]));
        let hdlr = [&longs(&[0, 0])[..], b"soun", &[0; 13]].concat();
        let mdia = [
            boxed(b"mdhd", &longs(&[0, 0, 0, scale, frames, 0x55c4_0000])),
            boxed(b"hdlr", &hdlr),
            boxed(b"minf", &[smhd, stbl].concat()),
        ];
        let mut tkhd = longs(&[7, 0, 0, 1, 0, frames]);
        tkhd.resize(84, 0);
        let mut mvhd = longs(&[0, 0, 0, 1000, frames / 8]);
        mvhd.resize(100, 0);
        let trak = [boxed(b"tkhd", &tkhd), boxed(b"mdia", &mdia.concat())].concat();
        let moov = [boxed(b"mvhd", &mvhd), boxed(b"trak", &trak)].concat();
        [boxed(b"ftyp", b"qt  \0\0\0\0qt  "), boxed(b"moov", &moov)].concat()
    };
    let offset = build(0).len() as u32 + 8;
    [build(offset), boxed(b"mdat", data)].concat()
}

fn samples() -> Vec<f64> {
    sine(800, 300.0, 8000, 0.5)
}

/// Whether decoded samples are those of [`samples`] up to 16 bits.
fn is_right(clip: &Clip) -> bool {
    let expected = samples();
    let found = clip.audio.channel(0);
    found.len() == expected.len()
        && found.iter().zip(&expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-4)
}

#[test]
fn a2_samples_of_quicktime_are_big_endian_unless_told_otherwise() {
    let little = boxed(b"wave", &boxed(b"enda", &[0, 1]));
    let big = boxed(b"wave", &boxed(b"enda", &[0, 0]));
    let integers = |bits| store(&samples(), bits, bits as usize / 8);
    let floats: Vec<u8> = samples().iter().flat_map(|&s| (s as f32).to_le_bytes()).collect();
    let doubles: Vec<u8> = samples().iter().flat_map(|s| s.to_le_bytes()).collect();
    for (kind, size, data) in [
        (b"in24", 3, integers(24)),
        (b"in32", 4, integers(32)),
        (b"fl32", 4, floats),
        (b"fl64", 8, doubles),
    ] {
        let swapped: Vec<u8> =
            data.chunks(size).flat_map(|sample| sample.iter().rev().copied()).collect();
        let name = kind.escape_ascii().to_string();
        assert!(is_right(&decode(&mov(kind, size, &little, 8000, &data))), "{name}, little");
        assert!(is_right(&decode(&mov(kind, size, &big, 8000, &swapped))), "{name}, big");
        assert!(is_right(&decode(&mov(kind, size, &[], 8000, &swapped))), "{name}, untold");
    }
    assert!(is_right(&decode(&mov(b"twos", 2, &[], 8000, &{
        let little = store(&samples(), 16, 2);
        little.chunks(2).flat_map(|s| [s[1], s[0]]).collect::<Vec<u8>>()
    }))));
}

#[test]
fn a3_a_clock_that_cannot_be_is_not_followed() {
    // Ticks of a second, and none at all.
    for scale in [0, 1] {
        let clip = decode(&mov(b"sowt", 2, &[], scale, &store(&samples(), 16, 2)));
        assert!(is_right(&clip), "{scale}: {} frames", clip.audio.frames());
        assert_told(&clip, "8000 Hz was used");
        let mut bytes = media("impulse.m4a");
        patch(&mut bytes, b"mdhd", 12, &scale.to_be_bytes());
        let clip = decode(&bytes);
        assert!(clip.audio == decode(&media("impulse.m4a")).audio, "{scale}: {:?}", told(&clip));
        assert_told(&clip, "44100 Hz was used");
    }
    let good = decode(&media("impulse.webm")).audio;
    let mut bytes = media("impulse.webm");
    patch(&mut bytes, &[0x2a, 0xd7, 0xb1, 0x83], 0, &[0x98, 0x96, 0x80]); // ten times as much
    let clip = decode(&bytes);
    assert!(clip.audio == good, "{} frames", clip.audio.frames());
    assert_told(&clip, "times of its packets");
}

#[test]
fn c18_a_movie_without_a_clock_is_read() {
    let mut bytes = media("impulse.m4a");
    patch(&mut bytes, b"mvhd", 12, &[0; 4]);
    assert!(decode(&bytes).audio == decode(&media("impulse.m4a")).audio);
}

#[test]
fn c18_a_rate_of_zero_in_matroska_is_that_of_the_codec() {
    for name in ["impulse.webm", "flac.mkv", "vorbis.mka"] {
        let mut bytes = media(name);
        for rate in [0.0, -1.0, f64::NAN] {
            patch(&mut bytes, &[0xb5, 0x88], 0, &f64::to_be_bytes(rate));
            assert!(decode(&bytes).audio == decode(&media(name)).audio, "{name}, {rate}");
        }
    }
}

#[test]
fn c18_bytes_are_samples_in_matroska_too() {
    let clip = decode(&media("u8.mka"));
    assert_eq!((clip.info.rate, clip.info.bits_per_sample), (8000, Some(8)));
    assert_eq!(clip.audio.frames(), 2400);
    let peak = clip.audio.channel(0).iter().fold(0f32, |most, s| most.max(s.abs()));
    assert!((0.2..1.0).contains(&peak), "{peak}");
    assert_eq!(clip.audio.channel(0)[0], 0.0);
}

#[test]
fn c13_matroska_that_is_cut_is_read_as_far_as_it_goes() {
    for name in ["impulse.webm", "flac.mkv", "vorbis.mka", "gap.webm"] {
        let whole = media(name);
        let frames = decode(&whole).audio.frames();
        for lost in [1, 2, 100, whole.len() / 3] {
            let clip = decode(&whole[..whole.len() - lost]);
            assert!(
                clip.audio.frames() > 0 && clip.audio.frames() <= frames + 1000,
                "{name} {lost}"
            );
            assert_told(&clip, "cut off");
        }
        assert!(!told(&decode(&whole)).iter().any(|told| told.contains("cut off")), "{name}");
    }
}

#[test]
fn c14_mp4_that_is_cut_is_read_as_far_as_it_goes() {
    let whole = mov(b"sowt", 2, &[], 8000, &store(&samples(), 16, 2));
    for lost in [1, 2, 801] {
        let clip = decode(&whole[..whole.len() - lost]);
        assert_eq!(clip.audio.frames(), 800 - lost.div_ceil(2));
        assert_told(&clip, "cut off");
    }
    assert_eq!(told(&decode(&whole)), [""; 0]);
}

#[test]
fn c17_frames_decide_what_flac_is() {
    let (good, expected) = flac(2);
    let packed = u64::from_be_bytes(good[18..26].try_into().expect("eight bytes"));
    let set = |value: u64, shift: u32, bits: u32| {
        let mask = ((1 << bits) - 1) << shift;
        packed & !mask | value << shift
    };
    for lie in [set(0, 41, 3), set(7, 41, 3), set(23, 36, 5), set(8000, 44, 20), set(0, 44, 20)] {
        let mut bytes = good.clone();
        bytes[18..26].copy_from_slice(&lie.to_be_bytes());
        let clip = decode(&bytes);
        assert!(clip.audio == expected, "{lie:x}");
        assert_told(&clip, "the frames are different");
    }
}

#[test]
fn c17_frames_decide_what_flac_is_in_matroska_too() {
    let expected = decode(&media("flac.mkv")).audio;
    let mut bytes = media("flac.mkv");
    let at = bytes.windows(4).position(|window| window == b"fLaC").expect("the header");
    bytes[at + 20] ^= 0x02; // another number of channels
    assert!(decode(&bytes).audio == expected);
}

#[test]
fn a9_flac_of_which_nothing_decodes_is_an_error() {
    let (mut bytes, _) = flac(1);
    let from = bytes.windows(2).position(|sync| sync == [0xff, 0xf8]).expect("a frame");
    for at in (from..bytes.len()).filter(|at| at % 7 == 0) {
        bytes[at] ^= 0x55;
    }
    let error = refused(&bytes);
    assert!(error.contains("none of its"), "{error}");
}

#[test]
fn a6_two_data_chunks_are_one_recording() {
    let data = store(&samples(), 16, 2);
    let (first, second) = data.split_at(600);
    let format = chunk(b"fmt ", &fmt(1, 1, 8000, 2, 16));
    let list = chunk(b"LIST", b"INFOINAM\x02\0\0\0x\0");
    let parts = [format, chunk(b"data", first), list, chunk(b"data", second)];
    let clip = decode(&riff(&parts.concat()));
    assert!(is_right(&clip));
    assert_eq!(clip.info.declared_frames, Some(800));
    assert_told(&clip, "another data chunk begins at 0.037 s");
    // Many empty ones are no trouble.
    let empty = chunk(b"data", &[]).repeat(100_000);
    let parts = [chunk(b"fmt ", &fmt(1, 1, 8000, 2, 16)), chunk(b"data", &data), empty];
    assert!(is_right(&decode(&riff(&parts.concat()))));
}

#[test]
fn a6_flac_behind_wav_is_read() {
    let (second, expected) = flac(1);
    let first = Wav::s16(1, 44_100).bytes(&sine(4410, 440.0, 44_100, 0.5));
    let clip = decode(&[first, second].concat());
    assert!(clip.audio.channel(0)[4410..] == *expected.channel(0));
    assert_told(&clip, "begins at 0.100 s");
}

#[test]
fn c16_sizes_that_lie_hide_no_samples() {
    let data = store(&samples(), 16, 2);
    let format = chunk(b"fmt ", &fmt(1, 1, 8000, 2, 16));
    let mut body = b"data".to_vec();
    body.extend(u32::MAX.to_le_bytes());
    body.extend(&data);
    let mut rf64 = riff(&[chunk(b"ds64", &[0; 28]), format.clone(), body].concat());
    rf64[..8].copy_from_slice(b"RF64\xff\xff\xff\xff");
    let clip = decode(&rf64);
    assert!(is_right(&clip));
    assert_told(&clip, "never completed");
    for beyond in [0x1000_0000u32, 2000, u32::MAX] {
        let mut list = chunk(b"LIST", b"INFOINAM\x02\0\0\0x\0");
        list[4..8].copy_from_slice(&beyond.to_le_bytes());
        let clip = decode(&riff(&[format.clone(), list, chunk(b"data", &data)].concat()));
        assert!(is_right(&clip), "{beyond}");
        assert_eq!(clip.info.tags.get("title"), Some("x"));
        assert_told(&clip, "LIST");
    }
}

#[test]
fn c18_wav_behind_a_tag_is_read() {
    let wav = Wav::s16(1, 8000).bytes(&samples());
    let tag = b"ID3\x03\0\0\0\0\0\x10TIT2\0\0\0\x06\0\0\0Title";
    let clip = decode(&[&tag[..], &wav].concat());
    assert!(is_right(&clip));
    assert_eq!(clip.info.tags.get("title"), Some("Title"));
}

#[test]
fn a7_vorbis_in_matroska_keeps_its_first_frames() {
    let clip = decode(&media("vorbis.mka"));
    let same = decode(&media("impulse.ogg"));
    let peak = |clip: &Clip| {
        let samples = clip.audio.channel(0);
        (0..samples.len()).max_by(|&a, &b| samples[a].total_cmp(&samples[b]))
    };
    assert_eq!((peak(&clip), clip.audio.frames()), (peak(&same), same.audio.frames()));
}

#[test]
fn a8_the_header_of_opus_tells_its_delay() {
    let mut bytes = media("impulse.webm");
    for delay in [[0, 0, 0], [0xff, 0xff, 0xff]] {
        patch(&mut bytes, &[0x56, 0xaa, 0x83], 0, &delay);
        assert!(decode(&bytes).audio == decode(&media("impulse.webm")).audio);
    }
}

#[test]
fn d21_more_formats_are_named_with_a_remedy() {
    let data = store(&samples(), 16, 2);
    let latm = [0x56, 0xe1, 0x20].repeat(100);
    let mut rifx = riff(&[chunk(b"fmt ", &fmt(1, 1, 8000, 2, 16)), chunk(b"data", &data)].concat());
    rifx[..4].copy_from_slice(b"RIFX");
    let w64 = [&b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0"[..], &[0; 600]].concat();
    for (name, bytes) in [
        ("A-law", mov(b"alaw", 1, &[], 8000, &data)),
        ("mu-law", mov(b"ulaw", 1, &[], 8000, &data)),
        ("LATM", latm),
        ("RIFX", rifx),
        ("Wave64", w64),
    ] {
        let error = refused(&bytes);
        assert!(error.contains(name) && error.contains("ffmpeg"), "{error}");
    }
}

#[test]
fn d23_tags_at_the_end_and_in_other_codes_are_shown() {
    let mut tag = b"TAG".to_vec();
    for (text, size) in [("Titel", 30), ("Art\u{e9}", 30), ("", 30), ("1999", 4), ("", 28)] {
        let bytes: Vec<u8> = text.chars().map(|c| c as u8).collect();
        tag.extend(bytes.iter().copied().chain(std::iter::repeat(0)).take(size));
    }
    tag.extend([0, 5, 17]);
    let clip = decode(&[media("impulse_bare.mp3"), tag].concat());
    let get = |name: &str| clip.info.tags.get(name);
    assert_eq!((get("title"), get("artist")), (Some("Titel"), Some("Art\u{e9}")));
    assert_eq!((get("date"), get("track"), get("album")), (Some("1999"), Some("5"), None));

    let clip = decode(&media("vorbis.mka"));
    let get = |name: &str| clip.info.tags.get(name);
    assert_eq!((get("title"), get("artist")), (Some("Eins"), Some("Zwei")));
    assert_eq!(get("album_artist"), None);
}

// --- AIFF.

/// A file of [`samples`], and behind them a chunk with a name.
fn aiff() -> Vec<u8> {
    let data = store(&samples(), 16, 2);
    let swapped: Vec<u8> = data.chunks(2).flat_map(|sample| [sample[1], sample[0]]).collect();
    let rate = [0x40, 0x0b, 0xfa, 0, 0, 0, 0, 0, 0, 0];
    let common = [&[0, 1][..], &800u32.to_be_bytes(), &[0, 16], &rate].concat();
    let sound = [&[0; 8][..], &swapped].concat();
    let chunks = [boxed_after(b"COMM", &common), boxed_after(b"SSND", &sound)].concat();
    let body = [&b"AIFF"[..], &chunks, &boxed_after(b"NAME", b"Title.")].concat();
    boxed_after(b"FORM", &body)
}

/// A chunk whose size does not count its head.
fn boxed_after(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [kind, &(body.len() as u32).to_be_bytes()[..], body].concat()
}

#[test]
fn c15_aiff_that_is_cut_or_was_never_completed_is_read() {
    let whole = aiff();
    let clip = decode(&whole);
    assert!(is_right(&clip));
    assert_eq!(told(&clip), [""; 0]);
    // Behind the samples, in the chunk with a name; and in the samples.
    let clip = decode(&whole[..whole.len() - 1]);
    assert!(is_right(&clip));
    assert_told(&clip, "cut off");
    for lost in [15, 16, 815] {
        let clip = decode(&whole[..whole.len() - lost]);
        assert_eq!(clip.audio.frames(), 800 - (lost - 14).div_ceil(2));
        assert_told(&clip, "cut off");
    }
    for size in [0u32, 8] {
        let mut bytes = whole[..whole.len() - 14].to_vec();
        patch(&mut bytes, b"SSND", 0, &size.to_be_bytes());
        let clip = decode(&bytes);
        assert!(is_right(&clip), "{size}");
        assert_told(&clip, "never completed");
    }
}

#[test]
fn a6_what_follows_aiff_is_read() {
    let clip = decode(&[aiff(), aiff(), Wav::s16(1, 8000).bytes(&samples())].concat());
    assert_eq!(clip.audio.frames(), 2400);
    assert!(clip.audio.channel(0)[..800] == clip.audio.channel(0)[800..1600]);
    assert_told(&clip, "begins at 0.100 s");
    assert_told(&clip, "begins at 0.200 s");
}

// --- Ogg.

/// The pages of a file as those of a stream with another number.
fn pages(bytes: &[u8], serial: u8) -> Vec<Vec<u8>> {
    let mut pages = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let segments = usize::from(rest[26]);
        let body: usize = rest[27..27 + segments].iter().map(|&size| usize::from(size)).sum();
        let (page, behind) = rest.split_at(27 + segments + body);
        let mut page = page.to_vec();
        page[14] = serial;
        page[22..26].fill(0);
        let sum = page.iter().fold(0u32, |sum, &byte| {
            (0..8).fold(sum ^ u32::from(byte) << 24, |sum, _| {
                if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 }
            })
        });
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        pages.push(page);
        rest = behind;
    }
    pages
}

#[test]
fn a4_chained_streams_of_another_codec_are_read_or_told() {
    let (opus, vorbis) = (media("surround.opus"), media("surround.ogg"));
    let frames = decode(&opus).audio.frames() + decode(&vorbis).audio.frames();
    let clip = decode(&[opus, vorbis].concat());
    assert_eq!(clip.audio.frames(), frames, "{:?}", told(&clip));
    let clip = decode(&[media("impulse.opus"), media("impulse.ogg")].concat());
    assert_eq!(clip.audio.frames(), 48_000);
    assert_told(&clip, "from 1.000 s on has 44100 Hz");
}

#[test]
fn a5_one_of_several_ogg_streams_is_chosen() {
    let (one, two) = (pages(&media("impulse.opus"), 1), pages(&media("impulse.ogg"), 2));
    let mut mixed = vec![one[0].clone(), two[0].clone()];
    for at in 1..one.len().max(two.len()) {
        mixed.extend([&one, &two].iter().filter_map(|pages| pages.get(at).cloned()));
    }
    let bytes = mixed.concat();
    let clip = decode(&bytes);
    assert!(clip.audio == decode(&media("impulse.opus")).audio);
    assert_told(&clip, "track 1 of 2");
    assert_eq!(clip.info.tracks.len(), 2);
    let second = |choice: &str| {
        let track = Some(choice.parse().expect("a choice"));
        decode_stream(
            Box::new(Cursor::new(bytes.clone())),
            "-",
            &DecodeOptions { track, ..DecodeOptions::default() },
        )
    };
    assert!(second("2").expect("decodes").audio == decode(&media("impulse.ogg")).audio);
    let error = second("3").expect_err("two tracks").to_string();
    assert!(error.contains("1 (Opus), 2 (Vorbis)"), "{error}");
}
