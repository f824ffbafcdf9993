//! The chunks in front of WAV samples: any order, any size of `fmt`, sizes taken as hints.

use std::io::{self, Seek};
use std::path::PathBuf;

use super::super::backend::{check_bits, checked_spec};
use super::super::info::SourceInfo;
use super::super::names;
use super::super::options::RawSample;
use super::super::source::{Source, read_full, skip};
use super::adpcm::Adpcm;
use crate::error::{Error, Result};
use crate::layout::ChannelLayout;
use crate::tags::{INFO, decode_text};
use crate::warning::Warning;

const TAG_PCM: u16 = 1;
const TAG_ADPCM_MS: u16 = 2;
const TAG_FLOAT: u16 = 3;
const TAG_ALAW: u16 = 6;
const TAG_MULAW: u16 = 7;
const TAG_ADPCM_IMA: u16 = 0x11;
const TAG_MPEG: u16 = 0x50;
const TAG_MP3: u16 = 0x55;
const TAG_EXTENSIBLE: u16 = 0xfffe;

/// A size that stands for "unknown" in streamed files and for "see `ds64`" in RF64.
const UNKNOWN: u32 = u32::MAX;
/// What sox writes as the data size when it can't seek back.
const SOX_UNKNOWN: u32 = 0x7fff_f000;
/// Text chunks larger than this are skipped.
pub(super) const MAX_TEXT_BYTES: u64 = 1 << 20;

/// How the samples of the data chunk are coded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Encoding {
    /// One number after the other.
    Samples(RawSample),
    /// Blocks of ADPCM.
    Adpcm(Adpcm),
    /// MPEG audio frames.
    Mpeg,
}

/// Everything before the first sample.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) info: SourceInfo,
    pub(super) encoding: Encoding,
    pub(super) data_bytes: Option<u64>,
    /// Length according to the `fact` chunk.
    pub(super) fact_frames: Option<u64>,
}

/// The `fmt ` chunk with EXTENSIBLE resolved.
#[derive(Debug, Clone)]
struct Format {
    tag: u16,
    channels: u16,
    rate: u32,
    block_align: u16,
    bits: u16,
    valid_bits: u16,
    mask: Option<u32>,
}

/// Read up to the first byte of the data chunk.
pub(super) fn read(source: &mut Source, path: PathBuf) -> Result<Header> {
    let io_error = |e| Error::io(&path, e);
    let mut riff = [0; 12];
    read_full(source, &mut riff).map_err(io_error)?;
    let container = match &riff[..4] {
        b"RF64" => "rf64",
        b"BW64" => "bw64",
        _ => "wav",
    };
    let riff_size = u32::from_le_bytes([riff[4], riff[5], riff[6], riff[7]]);
    let mut info = SourceInfo::new(path.clone(), container, "pcm");
    let mut long_size = None;
    let mut format = None;
    let mut fact_frames = None;
    let mut broadcast = Vec::new();
    let mut position = 12u64;
    loop {
        let mut chunk = [0; 8];
        if read_full(source, &mut chunk).map_err(io_error)? < chunk.len() {
            return Err(Error::unreadable(
                &path,
                "the WAV file has no data chunk; it was cut off inside its header",
            ));
        }
        position += 8;
        let size = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
        match &chunk[..4] {
            b"data" => {
                let Some(format) = format else {
                    return Err(Error::unreadable(
                        &path,
                        "the WAV data come before any format chunk; give the format with --raw",
                    ));
                };
                let declared = data_size(source, &mut info, riff_size, size, long_size, position)?;
                let mut header = finish(info, &format, declared, fact_frames)?;
                let rate = header.info.rate;
                header.info.tags.set_broadcast(broadcast, rate);
                return Ok(header);
            }
            b"fmt " => {
                format =
                    Some(read_format(&info, &read_body(source, size, 1 << 16).map_err(io_error)?)?)
            }
            b"ds64" => {
                let body = read_body(source, size, 1 << 16).map_err(io_error)?;
                long_size =
                    body.get(8..16).map(|b| u64::from_le_bytes(b.try_into().unwrap_or_default()));
            }
            b"fact" => {
                let body = read_body(source, size, 1 << 16).map_err(io_error)?;
                let frames = body.first_chunk::<4>().map(|&b| u32::from_le_bytes(b));
                fact_frames =
                    frames.filter(|&frames| frames > 0 && frames < UNKNOWN).map(u64::from);
            }
            b"LIST" => {
                let found = walk_list(source, size, &mut info).map_err(io_error)?;
                if found < size.into() {
                    let what = format!("a LIST chunk promises {size} bytes, {found} were found");
                    info.warnings.push(Warning::Repaired { what });
                    position += found;
                    continue;
                }
            }
            b"bext" => broadcast = read_body(source, size, MAX_TEXT_BYTES).map_err(io_error)?,
            _ => {
                skip(source, size.into()).map_err(io_error)?;
            }
        }
        position += u64::from(size);
        if size % 2 == 1
            && source
                .peek(1)
                .map_err(io_error)?
                .first()
                .is_some_and(|&pad| !pad.is_ascii_alphabetic())
        {
            // Some writers forget the padding byte; a letter here is the next chunk's name.
            skip(source, 1).map_err(io_error)?;
            position += 1;
        }
    }
}

/// Read a chunk's body; of a body over `limit` nothing is kept.
pub(super) fn read_body(source: &mut Source, size: u32, limit: u64) -> io::Result<Vec<u8>> {
    if u64::from(size) > limit {
        skip(source, size.into())?;
        return Ok(Vec::new());
    }
    let mut body = vec![0; size as usize];
    let got = read_full(source, &mut body)?;
    body.truncate(got);
    Ok(body)
}

/// Understand the `fmt ` chunk; bodies of 14, 16, 18, 40 and any larger number of bytes occur.
fn read_format(info: &SourceInfo, body: &[u8]) -> Result<Format> {
    let word = |at: usize| body.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    let long = |at: usize| Some(u32::from(word(at)?) | u32::from(word(at + 2)?) << 16);
    let (Some(tag), Some(channels), Some(rate), Some(block_align)) =
        (word(0), word(2), long(4), word(12))
    else {
        return Err(Error::unreadable(
            &info.path,
            format!("the WAV format chunk has only {} bytes", body.len()),
        ));
    };
    let bits = word(14).unwrap_or_else(|| (block_align / channels.max(1)).saturating_mul(8));
    let mut format =
        Format { tag, channels, rate, block_align, bits, valid_bits: bits, mask: None };
    if tag == TAG_EXTENSIBLE {
        if let (Some(valid), Some(mask), Some(sub_tag)) = (word(18), long(20), word(24)) {
            format.tag = sub_tag;
            format.mask = Some(mask);
            if (1..=bits).contains(&valid) {
                format.valid_bits = valid;
            }
        } else {
            return Err(Error::unreadable(
                &info.path,
                "the WAV file's extensible format chunk is cut short",
            ));
        }
    }
    Ok(format)
}

/// Collect the texts of a `LIST` chunk of `size` bytes; how many of them belong to it: it ends before
/// a chunk that no list holds, whatever its size.
fn walk_list(source: &mut Source, size: u32, info: &mut SourceInfo) -> io::Result<u64> {
    let size = u64::from(size);
    let kind = source.peek(4)?;
    let mut done = skip(source, size.min(4))?;
    while done + 8 <= size {
        let head = source.peek(8)?;
        let Some(&[a, b, c, d, length @ ..]) = head.first_chunk::<8>() else { break };
        if [b"data", b"fmt ", b"fact", b"bext"].contains(&&[a, b, c, d]) {
            return Ok(done);
        }
        let length = u32::from_le_bytes(length);
        let whole = (8 + u64::from(length) + u64::from(length % 2)).min(size - done);
        if kind == b"INFO" && whole <= MAX_TEXT_BYTES {
            let chunk = read_body(source, whole as u32, MAX_TEXT_BYTES)?;
            done += chunk.len() as u64;
            read_list(&[b"INFO", &chunk[..]].concat(), info);
        } else {
            done += skip(source, whole)?;
        }
    }
    skip(source, size - done)?;
    Ok(size)
}

/// Collect the texts of a `LIST` chunk of kind `INFO`.
pub(super) fn read_list(body: &[u8], info: &mut SourceInfo) {
    let Some(mut rest) = body.strip_prefix(b"INFO") else { return };
    while let Some((head, tail)) = rest.split_at_checked(8) {
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let text = &tail[..size.min(tail.len())];
        if let Some((_, name)) = INFO.iter().find(|(id, _)| head.starts_with(*id)) {
            info.tags.push(name, &decode_text(text));
        }
        rest = tail.get(size.saturating_add(size % 2)..).unwrap_or_default();
    }
}

/// The number of bytes of samples to expect; `None` when only the end of the source tells.
fn data_size(
    source: &mut Source,
    info: &mut SourceInfo,
    riff_size: u32,
    size: u32,
    long_size: Option<u64>,
    position: u64,
) -> Result<Option<u64>> {
    match long_size.filter(|_| size == UNKNOWN) {
        Some(0) => {} // as below
        Some(long_size) => return Ok(Some(long_size)),
        None if size == UNKNOWN || size == SOX_UNKNOWN => return Ok(None),
        None if size > 0 => return Ok(Some(size.into())),
        None => {}
    }
    // Zero: an empty file, or one whose writer never came back to fill in the size.
    let io_error = |e| Error::io(&info.path, e);
    let rest = source.peek(12).map_err(io_error)?;
    let left = match source.size() {
        Some(size) => size.saturating_sub(source.stream_position().map_err(io_error)?),
        None => (u64::from(riff_size) + 8).saturating_sub(position),
    };
    if rest.is_empty() || is_chunk(&rest, left) {
        return Ok(Some(0));
    }
    info.warnings.push(Warning::Repaired {
        what: "the header was never completed (data size zero); everything to the end was read"
            .to_owned(),
    });
    Ok(None)
}

/// Whether a chunk begins with these bytes, of which `left` are in the file.
pub(super) fn is_chunk(bytes: &[u8], left: u64) -> bool {
    const KNOWN: [&[u8]; 11] = [
        b"LIST", b"id3 ", b"ID3 ", b"bext", b"cue ", b"smpl", b"fact", b"iXML", b"axml", b"JUNK",
        b"PEAK",
    ];
    if KNOWN.iter().any(|name| bytes.starts_with(name)) {
        return true;
    }
    let Some(&[a, b, c, d, size @ ..]) = bytes.first_chunk::<8>() else { return false };
    let named =
        [a, b, c, d].iter().all(|byte| byte.is_ascii_alphanumeric() || b" _-".contains(byte));
    named && u64::from(u32::from_le_bytes(size)) + 8 <= left
}

/// Put format and size together.
fn finish(
    mut info: SourceInfo,
    format: &Format,
    data_bytes: Option<u64>,
    fact_frames: Option<u64>,
) -> Result<Header> {
    let layout = match format.mask {
        Some(mask) => ChannelLayout::from_mask(mask.into(), format.channels),
        None => ChannelLayout::from_count(format.channels),
    };
    let spec = checked_spec(&info, format.rate, layout)?;
    info.rate = spec.rate;
    info.layout = spec.layout;
    let block = format.block_align;
    let encoding = match format.tag {
        TAG_ADPCM_MS => Encoding::Adpcm(Adpcm::Microsoft { block }),
        TAG_ADPCM_IMA => Encoding::Adpcm(Adpcm::Ima { block }),
        TAG_MPEG | TAG_MP3 => Encoding::Mpeg,
        _ => Encoding::Samples(stored_samples(&mut info, format)?),
    };
    if let Encoding::Samples(sample) = encoding {
        info.declared_frames =
            data_bytes.map(|bytes| bytes / (sample.bytes() * spec.channels()) as u64);
    }
    Ok(Header { info, encoding, data_bytes, fact_frames })
}

/// The kind of sample that the format tag and the bit count stand for.
fn stored_samples(info: &mut SourceInfo, format: &Format) -> Result<RawSample> {
    let bits = format.bits;
    match format.tag {
        // Other numbers of bits than the usual ones lie in the next larger number of bytes.
        TAG_PCM if (8..=32).contains(&bits) => {}
        TAG_PCM => check_bits(info, bits.into(), &[8, 12, 16, 20, 24, 32])?,
        TAG_FLOAT => check_bits(info, bits.into(), &[32, 64])?,
        _ => {}
    }
    let container = sample_bytes(info, format);
    let sample = match (format.tag, container) {
        (TAG_PCM, 1) => RawSample::U8,
        (TAG_PCM, 2) => RawSample::S16Le,
        (TAG_PCM, 3) => RawSample::S24Le,
        (TAG_PCM, 4) => RawSample::S32Le,
        (TAG_FLOAT, 4) => RawSample::F32Le,
        (TAG_FLOAT, 8) => RawSample::F64Le,
        (TAG_ALAW, 1) => RawSample::ALaw,
        (TAG_MULAW, 1) => RawSample::MuLaw,
        (tag, _) if names::wav(tag).is_some() => {
            return Err(names::refuse(&info.path, names::wav(tag).unwrap_or_default()));
        }
        (tag, bytes) => {
            return Err(Error::unreadable(
                &info.path,
                format!(
                    "WAV samples of format tag {tag:#06x} with {} bits are not supported; convert the file to PCM or FLAC",
                    8 * bytes
                ),
            ));
        }
    };
    match sample {
        RawSample::ALaw => info.codec = "alaw".to_owned(),
        RawSample::MuLaw => info.codec = "mulaw".to_owned(),
        _ => {}
    }
    info.float = sample.is_float();
    info.container_bits = Some(8 * container as u32);
    info.bits_per_sample = Some(u32::from(format.valid_bits).clamp(1, 8 * container as u32));
    Ok(sample)
}

/// Bytes of one sample. The block alignment decides when it is consistent, because 24 bits may
/// lie in three or in four bytes; the bit count decides otherwise.
fn sample_bytes(info: &mut SourceInfo, format: &Format) -> usize {
    let from_bits = usize::from(format.bits).div_ceil(8);
    let channels = usize::from(format.channels.max(1));
    let from_align = usize::from(format.block_align) / channels;
    if usize::from(format.block_align) % channels == 0
        && (from_bits..=8).contains(&from_align)
        && from_align > 0
    {
        return from_align;
    }
    info.warnings.push(Warning::Repaired {
        what: format!(
            "the block alignment of {} does not fit {} channels of {} bits and was ignored",
            format.block_align, format.channels, format.bits
        ),
    });
    from_bits
}
