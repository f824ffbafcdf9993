//! Where audio lies in time in other people's files: starts, gaps and lost parts. Each test carries
//! the letter and number of its case.

mod field;

use field::{box_at, decode, media};
use formant_audio_core::Warning;

/// Move the position of an Ogg page.
fn move_page(page: &mut [u8], frames: u64) {
    let position = u64::from_le_bytes(page[6..14].try_into().expect("eight bytes")) + frames;
    page[6..14].copy_from_slice(&position.to_le_bytes());
    page[22..26].fill(0);
    let crc = page.iter().fold(0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 }
        })
    });
    page[22..26].copy_from_slice(&crc.to_le_bytes());
}

/// The pages of an Ogg file.
fn pages(bytes: &[u8]) -> Vec<Vec<u8>> {
    let starts: Vec<usize> =
        bytes.windows(5).enumerate().filter(|(_, w)| w == b"OggS\0").map(|(at, _)| at).collect();
    let ends = starts[1..].iter().copied().chain([bytes.len()]);
    starts.iter().zip(ends).map(|(&from, to)| bytes[from..to].to_vec()).collect()
}

/// Where a recording without pages `from..to` is silent, in frames, and what it says.
fn without(name: &str, from: usize, to: usize) -> (Vec<f32>, Vec<Warning>) {
    let all = pages(&media(name));
    let clip = decode(&[&all[..from], &all[to..]].concat().concat());
    (clip.audio.channel(0).to_vec(), clip.info.warnings)
}

fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32).sqrt()
}

#[test]
fn f5_lost_pages_of_vorbis_become_silence() {
    let whole = decode(&media("pages.ogg"));
    let expected = whole.audio.channel(0);
    assert_eq!((expected.len(), whole.info.codec.as_str()), (32_000, "vorbis"));
    assert_eq!(whole.info.warnings, []);
    // Pages 4 to 6 hold 6656 to 17408.
    let (samples, warnings) = without("pages.ogg", 4, 7);
    assert_eq!(samples.len(), 32_000);
    let [Warning::Gap { start, length }] = warnings[..] else { panic!("{warnings:?}") };
    assert!((start - 6656.0 / 16_000.0).abs() < 1e-6, "{start}");
    let length = (length * 16_000.0).round() as usize;
    assert!((10_752..12_000).contains(&length), "{length}");
    let silent = 6656..6656 + length;
    assert!(samples[..6656] == expected[..6656]);
    assert!(samples[silent.clone()].iter().all(|&sample| sample == 0.0));
    for (found, wanted) in samples[silent.end..].iter().zip(&expected[silent.end..]) {
        assert!((found - wanted).abs() < 1e-4, "behind the gap everything is in its place");
    }
    // The last page, and the first one.
    let (samples, warnings) = without("pages.ogg", 11, 12);
    assert_eq!(samples.len(), 31_744);
    assert!(warnings.iter().any(|w| matches!(w, Warning::Repaired { .. })), "{warnings:?}");
    let (samples, _) = without("pages.ogg", 2, 3);
    assert!((28_000..=32_000).contains(&samples.len()), "{}", samples.len());
}

#[test]
fn f5_damaged_pages_of_vorbis_become_silence() {
    let mut bytes = media("pages.ogg");
    bytes[4000] ^= 1;
    let clip = decode(&bytes);
    assert_eq!(clip.audio.frames(), 32_000);
    let gaps: Vec<&Warning> =
        clip.info.warnings.iter().filter(|w| matches!(w, Warning::Gap { .. })).collect();
    assert_eq!(gaps.len(), 1, "{:?}", clip.info.warnings);
    assert!(rms(&clip.audio.channel(0)[20_000..]) > 0.1);
}

#[test]
fn f5_lost_pages_of_opus_become_silence() {
    let (samples, warnings) = without("surround.opus", 4, 5);
    assert_eq!(samples.len(), 28_800);
    let [Warning::Gap { start, length }] = warnings[..] else { panic!("{warnings:?}") };
    assert!((start - 0.2).abs() < 0.01 && (length - 0.1).abs() < 1e-6, "{start} {length}");
}

#[test]
fn f5_a_step_of_the_position_alone_is_a_gap() {
    // Pages from the sixth on are a second later, and their numbers have no gap.
    let mut all = pages(&media("pages.ogg"));
    all[6..].iter_mut().for_each(|page| move_page(page, 16_000));
    let clip = decode(&all.concat());
    assert_eq!(clip.audio.frames(), 48_000);
    let [Warning::Gap { start, length }] = clip.info.warnings[..] else {
        panic!("{:?}", clip.info.warnings)
    };
    assert!((start - 13_824.0 / 16_000.0).abs() < 1e-6 && (length - 1.0).abs() < 1e-6);
    // A last page that promises too much has no gap in front of it.
    let mut all = pages(&media("pages.ogg"));
    all.last_mut().into_iter().for_each(|page| move_page(page, 16_000));
    let clip = decode(&all.concat());
    assert!(matches!(clip.info.warnings[..], [Warning::FrameCount { declared: 48_000, .. }]));
}

#[test]
fn f5_chained_vorbis_plays_through() {
    let one = media("pages.ogg");
    let clip = decode(&[one.clone(), one.clone()].concat());
    let single = decode(&one);
    assert_eq!(clip.audio.frames(), 64_000);
    assert!(clip.audio.channel(0)[32_000..] == *single.audio.channel(0));
    assert_eq!(clip.info.warnings, [Warning::Joined { at: 2.0 }]);
    // One of another rate is named with its time, and what is behind it is read.
    let clip = decode(&[one.clone(), media("impulse.ogg"), one].concat());
    assert_eq!(clip.audio.frames(), 64_000);
    let told = clip.info.warnings[0].to_string();
    assert!(told.contains("2.000 s") && told.contains("44100 Hz"), "{told}");
}

/// The decode times of fragments with what is added to each of them.
fn delayed(late: impl Fn(usize) -> u64) -> Vec<u8> {
    let mut bytes = media("fragments.m4a");
    let times: Vec<usize> =
        bytes.windows(4).enumerate().filter(|(_, w)| *w == b"tfdt").map(|(at, _)| at).collect();
    for (number, at) in times.into_iter().enumerate() {
        let field = at + 8..at + 16;
        let time = u64::from_be_bytes(bytes[field.clone()].try_into().expect("eight bytes"));
        bytes[field].copy_from_slice(&(time + late(number)).to_be_bytes());
    }
    bytes
}

#[test]
fn f4_fragments_tell_where_the_audio_starts() {
    let good = decode(&media("fragments.m4a"));
    assert_eq!((good.info.start, good.info.rate), (0.0, 16_000));
    let clip = decode(&delayed(|_| 16_000 * 5 / 2));
    assert_eq!(clip.info.start, 2.5);
    assert!(clip.audio == good.audio, "the samples stay");
    assert_eq!(clip.info.warnings, good.info.warnings);
}

#[test]
fn f4_gaps_between_fragments_become_silence() {
    let good = decode(&media("fragments.m4a"));
    let clip = decode(&delayed(|number| if number < 3 { 0 } else { 8000 }));
    let gaps: Vec<_> = clip
        .info
        .warnings
        .iter()
        .filter_map(|warning| match warning {
            Warning::Gap { start, length } => Some((*start, *length)),
            _ => None,
        })
        .collect();
    assert_eq!(gaps, [(12_288.0 / 16_000.0, 0.5)], "{:?}", clip.info.warnings);
    assert_eq!(clip.audio.frames(), good.audio.frames() + 8000);
    let samples = clip.audio.channel(0);
    assert!(samples[..12_288] == good.audio.channel(0)[..12_288]);
    assert!(samples[12_288..20_288].iter().all(|&sample| sample == 0.0));
    assert!(samples[20_288..] == good.audio.channel(0)[12_288..]);
    // A fragment that says less than what came before it changes nothing.
    let clip = decode(&delayed(|number| if number == 0 { 100 } else { 0 }));
    assert_eq!(clip.audio.frames(), good.audio.frames());
}

#[test]
fn f4_quicktime_without_a_type_box() {
    let good = media("impulse.m4a");
    let expected = decode(&good).audio;
    let mut bytes = good.clone();
    bytes[4..8].copy_from_slice(b"wide");
    assert!(decode(&bytes).audio == expected, "behind another box");
    // The movie box alone in front of the media, as a recorder that goes back writes it.
    let (media_at, media_end) = box_at(&good, 0, b"mdat");
    let (moov, end) = box_at(&good, 0, b"moov");
    let mut front = [&good[moov..end], &good[media_at..media_end]].concat();
    let moved = (end - moov) as i64 - media_at as i64;
    let (stco, _) = box_at(&front, 0, b"stco");
    let count = u32::from_be_bytes(front[stco + 12..stco + 16].try_into().expect("four bytes"));
    for at in (0..count as usize).map(|chunk| stco + 16 + 4 * chunk) {
        let offset = u32::from_be_bytes(front[at..at + 4].try_into().expect("four bytes"));
        let offset = (i64::from(offset) + moved) as u32;
        front[at..at + 4].copy_from_slice(&offset.to_be_bytes());
    }
    assert!(decode(&front).audio == expected, "the movie box first");
    // A segment without what it needs.
    let all = media("fragments.m4a");
    let (first, _) = box_at(&all, 0, b"moof");
    let error = field::refused(&all[first..]);
    assert!(error.contains("moov") && error.contains("initialization"), "{error}");
}
