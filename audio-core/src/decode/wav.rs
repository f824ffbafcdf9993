//! Samples stored one by one: WAV, RF64 and BW64 files, and headerless input.

mod adpcm;
mod header;
mod trailer;

use std::io::Read;
use std::path::PathBuf;

use super::backend::{Backend, checked_spec};
use super::info::SourceInfo;
use super::mpeg;
use super::options::{MAX_BLOCK_FRAMES, MIN_RATE, RawFormat, RawSample};
use super::pcm;
use super::source::{Source, read_full, skip};
use crate::buffer::{AudioBuf, AudioSpec};
use crate::error::{Error, Result};
use crate::layout::ChannelLayout;
use crate::warning::Warning;

/// Data chunks behind the first one are not told beyond this number of warnings.
const MAX_WARNINGS: usize = 16;

/// Reads interleaved samples until the promised end or the end of the source.
struct PcmBackend {
    source: Source,
    info: SourceInfo,
    spec: AudioSpec,
    format: RawSample,
    promised: Option<u64>,  // bytes, when the header makes a promise
    remaining: Option<u64>, // of these
    /// Whether another file may follow samples of which nobody knows how many they are.
    may_be_joined: bool,
    bytes: Vec<u8>,
    samples: Vec<f32>,
}

/// Open a WAV, RF64 or BW64 source.
pub(super) fn open(mut source: Source, path: PathBuf) -> Result<Box<dyn Backend>> {
    let mut header = header::read(&mut source, path)?;
    if let Some(bytes) = header.data_bytes {
        trailer::look_ahead(&mut source, &mut header.info, bytes)
            .map_err(|e| Error::io(&header.info.path, e))?;
    }
    match header.encoding {
        header::Encoding::Samples(format) => {
            let spec = AudioSpec { rate: header.info.rate, layout: header.info.layout };
            let pcm = PcmBackend::new(source, header.info, spec, format, header.data_bytes);
            Ok(Box::new(PcmBackend { may_be_joined: pcm.promised.is_none(), ..pcm }))
        }
        header::Encoding::Adpcm(adpcm) => adpcm::open(source, header, adpcm),
        header::Encoding::Mpeg => {
            // What follows the data chunk is no part of the stream.
            let source = match header.data_bytes {
                Some(bytes) => Source::stream(Box::new(source.take(bytes))),
                None => source,
            };
            mpeg::open(source, header.info)
        }
    }
}

/// Open headerless samples.
pub(super) fn open_raw(source: Source, path: PathBuf, raw: RawFormat) -> Result<Box<dyn Backend>> {
    let mut info = SourceInfo::new(path, "raw", raw.format.name());
    let layout = ChannelLayout::from_count(raw.channels);
    // The user says so, so that low rates are no doubt meant.
    checked_spec(&info, if raw.rate > 0 { raw.rate.max(MIN_RATE) } else { 0 }, layout)?;
    let spec = AudioSpec { rate: raw.rate, layout };
    info.rate = spec.rate;
    info.layout = spec.layout;
    info.float = raw.format.is_float();
    info.container_bits = Some(8 * raw.format.bytes() as u32);
    info.bits_per_sample = info.container_bits;
    Ok(Box::new(PcmBackend::new(source, info, spec, raw.format, None)))
}

impl PcmBackend {
    fn new(
        source: Source,
        info: SourceInfo,
        spec: AudioSpec,
        format: RawSample,
        remaining: Option<u64>,
    ) -> Self {
        let promised = remaining;
        let (bytes, samples) = (Vec::new(), Vec::new());
        let may_be_joined = false;
        Self { source, info, spec, format, promised, remaining, may_be_joined, bytes, samples }
    }

    /// Look for another file's header in the next `count` bytes; the samples end there.
    fn look_for_header(&mut self, count: usize) -> std::io::Result<()> {
        const HEADER: usize = 16; // RIFF, size, WAVE, and the name of the first chunk
        let bytes = self.source.peek(count + HEADER - 1)?;
        let is_header = |bytes: &[u8]| {
            bytes.starts_with(b"RIFF")
                && matches!(&bytes[8..], b"WAVEfmt " | b"WAVEJUNK" | b"WAVEbext")
        };
        if let Some(at) = bytes.windows(HEADER).position(is_header) {
            self.promised = Some(at as u64);
            self.remaining = self.promised;
        }
        Ok(())
    }

    /// Go on with another data chunk behind the one that ended; `false` where there is none.
    fn next_chunk(&mut self) -> std::io::Result<bool> {
        let Some(data) = self.promised.filter(|_| self.remaining == Some(0)) else {
            return Ok(false);
        };
        trailer::read(&mut self.source, &mut self.info, data)?;
        let head = self.source.peek(8)?;
        let Some(&[b'd', b'a', b't', b'a', size @ ..]) = head.first_chunk::<8>() else {
            self.promised = Some(0);
            return Ok(false);
        };
        skip(&mut self.source, 8)?;
        let size = u64::from(u32::from_le_bytes(size));
        (self.promised, self.remaining) = (Some(size), Some(size));
        let frames = size / (self.format.bytes() * self.spec.channels()) as u64;
        self.info.declared_frames = self.info.declared_frames.map(|before| before + frames);
        if size > 0 && self.info.warnings.len() < MAX_WARNINGS {
            let at = self.info.seconds();
            let what = format!("another data chunk begins at {at:.3} s and was read as well");
            self.info.warnings.push(Warning::Repaired { what });
        }
        Ok(true)
    }
}

impl Backend for PcmBackend {
    fn info(&mut self) -> &mut SourceInfo {
        &mut self.info
    }

    fn next(&mut self) -> Result<Option<AudioBuf>> {
        let frame_bytes = self.format.bytes() * self.spec.channels();
        let whole = loop {
            let mut want = frame_bytes * MAX_BLOCK_FRAMES;
            if self.may_be_joined && self.remaining.is_none() {
                self.look_for_header(want).map_err(|e| Error::io(&self.info.path, e))?;
            }
            if let Some(remaining) = self.remaining {
                want = want.min(usize::try_from(remaining).unwrap_or(want));
            }
            self.bytes.resize(want, 0);
            let got = read_full(&mut self.source, &mut self.bytes)
                .map_err(|e| Error::io(&self.info.path, e))?;
            if let Some(remaining) = &mut self.remaining {
                *remaining -= got as u64;
            }
            match got - got % frame_bytes {
                0 if self.next_chunk().map_err(|e| Error::io(&self.info.path, e))? => {}
                0 => return Ok(None),
                whole => break whole,
            }
        };
        self.samples.clear();
        pcm::convert(self.format, &self.bytes[..whole], &mut self.samples);
        AudioBuf::from_interleaved(self.spec, &self.samples).map(Some)
    }

    fn rest(&mut self) -> Option<Source> {
        self.promised.filter(|_| self.remaining == Some(0))?;
        self.source.take_rest().unread(&[]).ok()
    }
}
