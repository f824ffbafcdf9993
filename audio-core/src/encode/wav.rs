//! WAV and RF64 files.
//!
//! Written here rather than by a library because the header must stay true while a long file
//! grows, must turn into RF64 beyond 4 GiB, and must not be EXTENSIBLE for plain float files.

use super::options::SampleFormat;
use super::output::Output;
use super::quantize::Quantizer;
use crate::buffer::AudioSpec;
use crate::error::{Error, Result};
use crate::tags::{INFO, Tags};

const TAG_PCM: u16 = 1;
const TAG_FLOAT: u16 = 3;
const TAG_EXTENSIBLE: u16 = 0xfffe;
/// The rest of the GUIDs of `KSDATAFORMAT_SUBTYPE_PCM` and `_IEEE_FLOAT`, after the format tag.
const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];
/// Bytes of the `ds64` chunk and of the `JUNK` chunk that keeps its place.
const DS64_BYTES: usize = 36;
/// Frames after which the header of a growing file is brought up to date.
const UPDATE_FRAMES: u64 = 1 << 17;

/// A WAV file being written.
pub(super) struct WavSink {
    output: Output,
    header: Header,
    quantizer: Quantizer,
    size_limit: u64,
    frames: u64,
    updated: u64,
    bytes: Vec<u8>,
}

/// What the header consists of; its size does not depend on the number of frames.
struct Header {
    spec: AudioSpec,
    format: SampleFormat,
    tags: Vec<u8>,
    room_for_ds64: bool,
    rf64: bool,
}

impl WavSink {
    pub(super) fn new(
        mut output: Output,
        spec: AudioSpec,
        quantizer: Quantizer,
        format: SampleFormat,
        options: &super::WriteOptions,
        rf64: bool,
    ) -> Result<Self> {
        let tags = texts(&options.tags, spec.rate);
        let mut header = Header { spec, format, tags, room_for_ds64: false, rf64: false };
        let frame_bytes = header.frame_bytes();
        let fits = options.expected_frames.is_some_and(|frames| {
            frames.saturating_mul(frame_bytes).saturating_add(header.bytes(0).len() as u64)
                < options.size_limit
        });
        header.room_for_ds64 = rf64 || (!fits && output.is_seekable());
        header.rf64 = rf64;
        let first = if output.is_seekable() { header.bytes(0) } else { header.streamed() };
        output.write(&first)?;
        if output.is_in_place() {
            // The file is whole before the first samples come.
            output.rewrite_start(&first)?;
        }
        Ok(Self {
            output,
            header,
            quantizer,
            size_limit: options.size_limit,
            frames: 0,
            updated: 0,
            bytes: Vec::new(),
        })
    }

    /// Append interleaved samples.
    pub(super) fn write(&mut self, samples: &[f32]) -> Result<()> {
        self.bytes.clear();
        self.quantizer.bytes(samples, &mut self.bytes);
        let size = self.output.written() + self.bytes.len() as u64;
        if size > self.size_limit && self.output.is_seekable() && !self.header.rf64 {
            if !self.header.room_for_ds64 {
                return Err(Error::config(
                    "expected frames",
                    "more were written than announced, and the file outgrew a plain WAV header",
                ));
            }
            self.header.rf64 = true;
        }
        self.output.write(&self.bytes)?;
        self.frames += (samples.len() / self.header.spec.channels()) as u64;
        if self.output.is_in_place() || self.frames - self.updated >= UPDATE_FRAMES {
            self.updated = self.frames;
            self.output.rewrite_start(&self.header.bytes(self.frames))?;
        }
        Ok(())
    }

    /// Complete the header; the output, the clip count, and whether it became RF64.
    pub(super) fn finish(mut self) -> Result<(Output, u64, bool)> {
        if (self.frames * self.header.frame_bytes()) % 2 == 1 {
            self.output.write(&[0])?;
        }
        self.output.rewrite_start(&self.header.bytes(self.frames))?;
        Ok((self.output, self.quantizer.clipped, self.header.rf64))
    }
}

impl Header {
    fn frame_bytes(&self) -> u64 {
        (self.format.bytes() * self.spec.channels()) as u64
    }

    /// The header of a file with `frames` frames.
    fn bytes(&self, frames: u64) -> Vec<u8> {
        let data = frames * self.frame_bytes();
        self.build(frames, data)
    }

    /// The header of a stream, whose length is not known: all sizes are all ones.
    fn streamed(&self) -> Vec<u8> {
        self.build(u64::MAX, u64::MAX)
    }

    fn build(&self, frames: u64, data: u64) -> Vec<u8> {
        let short = |size: u64| u32::try_from(size).unwrap_or(u32::MAX);
        let mut body = Vec::new();
        self.push_format(&mut body, frames);
        if self.room_for_ds64 && !self.rf64 {
            // Not in front of the format, where simple readers stumble over it.
            push_chunk(&mut body, b"JUNK", &[0; DS64_BYTES - 8]);
        }
        body.extend(&self.tags);
        body.extend(b"data");
        body.extend(if self.rf64 { u32::MAX } else { short(data) }.to_le_bytes());
        let ds64 = if self.rf64 { DS64_BYTES } else { 0 };
        let riff = (4 + ds64 + body.len()) as u64;
        let riff = riff.saturating_add(data).saturating_add(data % 2);
        let mut out = Vec::with_capacity(12 + ds64 + body.len());
        out.extend(if self.rf64 { b"RF64" } else { b"RIFF" });
        out.extend(if self.rf64 { u32::MAX } else { short(riff) }.to_le_bytes());
        out.extend(b"WAVE");
        if self.rf64 {
            let mut sizes = Vec::new();
            sizes.extend(riff.to_le_bytes());
            sizes.extend(data.to_le_bytes());
            sizes.extend(frames.to_le_bytes());
            sizes.extend([0; 4]); // no table
            push_chunk(&mut out, b"ds64", &sizes);
        }
        out.extend(body);
        out
    }

    fn push_format(&self, out: &mut Vec<u8>, frames: u64) {
        let channels = self.spec.channels() as u16;
        let is_float = self.format == SampleFormat::F32;
        let bits = 8 * self.format.bytes() as u16;
        let tag = if is_float { TAG_FLOAT } else { TAG_PCM };
        let extensible = channels > 2 || (!is_float && bits > 16);
        let mut body = Vec::new();
        body.extend(if extensible { TAG_EXTENSIBLE } else { tag }.to_le_bytes());
        body.extend(channels.to_le_bytes());
        body.extend(self.spec.rate.to_le_bytes());
        let second = u64::from(self.spec.rate) * self.frame_bytes();
        body.extend(u32::try_from(second).unwrap_or(u32::MAX).to_le_bytes());
        body.extend((self.frame_bytes() as u16).to_le_bytes());
        body.extend(bits.to_le_bytes());
        if extensible {
            body.extend(22u16.to_le_bytes());
            body.extend(bits.to_le_bytes());
            body.extend(self.spec.layout.mask().to_le_bytes());
            body.extend(tag.to_le_bytes());
            body.extend(GUID_TAIL);
        } else if is_float {
            body.extend(0u16.to_le_bytes());
        }
        push_chunk(out, b"fmt ", &body);
        if is_float {
            push_chunk(out, b"fact", &u32::try_from(frames).unwrap_or(u32::MAX).to_le_bytes());
        }
    }
}

fn push_chunk(out: &mut Vec<u8>, name: &[u8; 4], body: &[u8]) {
    out.extend(name);
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    if body.len() % 2 == 1 {
        out.push(0);
    }
}

/// The broadcast chunk and a `LIST` chunk with the tags; nothing without tags.
fn texts(tags: &Tags, rate: u32) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(body) = tags.broadcast_at(rate) {
        push_chunk(&mut out, b"bext", &body);
    }
    let mut list = b"INFO".to_vec();
    for (name, value) in tags.joined() {
        if let Some((id, _)) = INFO.iter().find(|(_, known)| *known == name) {
            push_chunk(&mut list, id, &[value.as_bytes(), &[0]].concat());
        }
    }
    if list.len() > 4 {
        push_chunk(&mut out, b"LIST", &list);
    }
    out
}
