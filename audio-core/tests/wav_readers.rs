//! Written WAV files as hound reads them, an independent reader: format, length and every sample.

use std::path::Path;

use formant_audio_core::encode::{AudioWriter, SampleFormat, WriteOptions, write_file};
use formant_audio_core::{AudioBuf, AudioSpec, ChannelLayout, Tags};

const FORMATS: [SampleFormat; 4] =
    [SampleFormat::S16, SampleFormat::S24, SampleFormat::S32, SampleFormat::F32];
const LAYOUTS: [ChannelLayout; 5] = [
    ChannelLayout::Mono,
    ChannelLayout::Stereo,
    ChannelLayout::Surround3_0,
    ChannelLayout::Surround5_1,
    ChannelLayout::Discrete(8),
];

/// Integers of `bits` bits, both ends of the range among them.
fn integers(count: usize, bits: u32) -> Vec<i32> {
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state as i32) >> (32 - bits)
    };
    let ends = [i32::MIN >> (32 - bits), i32::MAX >> (32 - bits), 0, -1];
    ends.into_iter().chain(std::iter::from_fn(|| Some(noise()))).take(count).collect()
}

/// Interleaved samples as a buffer of `spec`.
fn buffer(spec: AudioSpec, interleaved: &[f32]) -> AudioBuf {
    let channels = spec.channels();
    let planar =
        (0..channels).flat_map(|c| interleaved.iter().skip(c).step_by(channels)).copied().collect();
    AudioBuf::from_planar(spec, planar).expect("whole frames")
}

/// Samples that `format` stores exactly, and what hound has to read: integers of the format, or
/// the bits of floating-point samples.
fn samples(count: usize, format: SampleFormat) -> (Vec<f32>, Vec<i32>) {
    if format == SampleFormat::F32 {
        let extremes = [f32::MIN_POSITIVE, -0.0, 1.0 + f32::EPSILON, -4.0];
        let noise = integers(count, 24).into_iter().map(|n| n as f32 / 8_388_607.0);
        let samples: Vec<f32> = extremes.into_iter().chain(noise).take(count).collect();
        let bits = samples.iter().map(|x| x.to_bits() as i32).collect();
        return (samples, bits);
    }
    // 24 bits are what an f32 holds; 32-bit files have zeros below.
    let bits = (8 * format.bytes() as u32).min(24);
    let stored = integers(count, bits);
    let scale = (1u32 << (bits - 1)) as f32;
    let samples = stored.iter().map(|&n| n as f32 / scale).collect();
    let shift = 8 * format.bytes() as u32 - bits;
    (samples, stored.into_iter().map(|n| n << shift).collect())
}

fn check(path: &Path, spec: AudioSpec, format: SampleFormat, expected: &[i32]) {
    let case = format!("{format:?}, {} channels", spec.channels());
    let mut reader = hound::WavReader::open(path).unwrap_or_else(|e| panic!("{case}: {e}"));
    let found = reader.spec();
    assert_eq!(usize::from(found.channels), spec.channels(), "{case}");
    assert_eq!(found.sample_rate, spec.rate, "{case}");
    assert_eq!(usize::from(found.bits_per_sample), 8 * format.bytes(), "{case}");
    assert_eq!(reader.len() as usize, expected.len(), "{case}");
    let read: Result<Vec<i32>, hound::Error> = match found.sample_format {
        hound::SampleFormat::Int => reader.samples::<i32>().collect(),
        hound::SampleFormat::Float => {
            reader.samples::<f32>().map(|x| x.map(|x| x.to_bits() as i32)).collect()
        }
    };
    let is_float = found.sample_format == hound::SampleFormat::Float;
    assert_eq!(is_float, format == SampleFormat::F32, "{case}");
    let read = read.unwrap_or_else(|e| panic!("{case}: {e}"));
    let differs = read.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!(differs, None, "{case}");
}

#[test]
fn every_format_and_channel_count_is_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.wav");
    let mut title = Tags::default();
    title.push("title", "odd");
    for format in FORMATS {
        for layout in LAYOUTS {
            for (frames, rate) in [(1, 8000), (1001, 44_100), (4096, 192_000)] {
                let spec = AudioSpec { rate, layout };
                let (samples, expected) = samples(frames * spec.channels(), format);
                let audio = buffer(spec, &samples);
                for (tags, expected_frames) in
                    [(Tags::default(), Some(frames as u64)), (title.clone(), None)]
                {
                    let options = WriteOptions {
                        format: Some(format),
                        tags,
                        expected_frames,
                        ..WriteOptions::default()
                    };
                    write_file(&path, &audio.view(), &options).expect("writes");
                    check(&path, spec, format, &expected);
                }
            }
        }
    }
}

#[test]
fn files_that_grow_in_blocks_are_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grown.wav");
    for format in FORMATS {
        let spec = AudioSpec { rate: 48_000, layout: ChannelLayout::Stereo };
        let (samples, expected) = samples(2 * 150_001, format);
        let options = WriteOptions { format: Some(format), ..WriteOptions::default() };
        let mut writer = AudioWriter::create(&path, spec, &options).expect("begins");
        for block in samples.chunks(2 * 4099) {
            writer.write(&buffer(spec, block).view()).expect("writes");
        }
        writer.finish().expect("ends");
        check(&path, spec, format, &expected);
    }
}

#[test]
fn clipped_and_empty_files_are_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.wav");
    let spec = AudioSpec::mono(16_000);
    for format in [SampleFormat::S16, SampleFormat::S24, SampleFormat::S32] {
        let options = WriteOptions { format: Some(format), ..WriteOptions::default() };
        let bits = 8 * format.bytes() as u32;
        let (most, least) = (i32::MAX >> (32 - bits), i32::MIN >> (32 - bits));
        let audio = buffer(spec, &[1.5, -1.5, 1.0, -1.0, f32::NAN, f32::INFINITY]);
        write_file(&path, &audio.view(), &options).expect("writes");
        check(&path, spec, format, &[most, least, most, least, 0, 0]);
        write_file(&path, &buffer(spec, &[]).view(), &options).expect("writes");
        check(&path, spec, format, &[]);
    }
}
