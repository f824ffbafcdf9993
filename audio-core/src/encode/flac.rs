//! FLAC files with 16 or 24 bits, written frame by frame.

mod shifted;
mod verbatim;

use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, StreamInfo};
use flacenc::config;
use flacenc::error::{Verified, Verify};
use flacenc::source::{Context, Fill, FrameBuf};

use self::shifted::WASTED_BITS;
use super::options::{SampleFormat, WriteOptions};
use super::output::Output;
use super::quantize::Quantizer;
use crate::buffer::AudioSpec;
use crate::decode::vorbis_comment;
use crate::error::{Error, Result};
use crate::layout::ChannelLayout;
use crate::tags::Tags;

/// Frames of audio in a FLAC frame.
const BLOCK_FRAMES: usize = 4096;
/// The fewest frames that the encoder takes.
const MIN_FRAMES: usize = 32;
/// The largest size of one metadata block.
const MAX_BLOCK_BYTES: usize = (1 << 24) - 1;

/// A FLAC file being written.
pub(super) struct FlacSink {
    output: Output,
    quantizer: Quantizer,
    config: Verified<config::Encoder>,
    stream: StreamInfo,
    /// How the upper 16 bits of 24 are encoded where the others are zero.
    upper: Option<(StreamInfo, Verified<config::Encoder>)>,
    context: Context,
    pending: Vec<i32>, // interleaved, less than a block
    frame_number: usize,
    frame_sizes: Option<(usize, usize)>, // smallest and largest, in bytes
    channels: usize,
}

impl FlacSink {
    pub(super) fn new(
        mut output: Output,
        spec: AudioSpec,
        quantizer: Quantizer,
        format: SampleFormat,
        options: &WriteOptions,
    ) -> Result<Self> {
        let bits = match format {
            SampleFormat::S16 => 16,
            SampleFormat::S24 => 24,
            SampleFormat::S32 | SampleFormat::F32 => {
                return Err(Error::config(
                    "sample format",
                    "FLAC files hold s16 or s24; choose one of them or write WAV",
                ));
            }
        };
        let channels = spec.channels();
        let refuse = |what: String| Error::config("flac", what);
        if channels > 8 {
            return Err(refuse(format!(
                "FLAC holds at most 8 channels, not {channels}; write WAV"
            )));
        }
        let stream = StreamInfo::new(spec.rate as usize, channels, bits).map_err(|_| {
            refuse(format!("FLAC can't hold {} Hz; resample, or write WAV", spec.rate))
        })?;
        let mut config = config::Encoder::default();
        // The other way to choose takes the Rice parameters that 24 bits want for possible.
        config.subframe_coding.fixed.order_sel = config::OrderSel::BitCount;
        let verified = |config: config::Encoder| {
            config.into_verified().map_err(|(_, error)| refuse(error.to_string()))
        };
        let mut upper = None;
        if bits > 16
            && let Ok(stream) = StreamInfo::new(spec.rate as usize, channels, bits - WASTED_BITS)
        {
            // The lowest bit of the sum of two channels would be one of the wasted bits.
            let mut config = config.clone();
            config.stereo_coding.use_midside = false;
            upper = Some((stream, verified(config)?));
        }
        let config = verified(config)?;
        output.write(&header(&stream, &options.tags, spec.layout))?;
        let context = Context::new(bits, channels);
        Ok(Self {
            output,
            quantizer,
            config,
            stream,
            upper,
            context,
            pending: Vec::new(),
            frame_number: 0,
            frame_sizes: None,
            channels,
        })
    }

    /// Append interleaved samples.
    pub(super) fn write(&mut self, samples: &[f32]) -> Result<()> {
        let quantizer = &mut self.quantizer;
        self.pending.extend(samples.iter().map(|&sample| quantizer.integer(sample)));
        let block = BLOCK_FRAMES * self.channels;
        let whole = self.pending.len() - self.pending.len() % block;
        let pending = std::mem::take(&mut self.pending);
        for samples in pending[..whole].chunks_exact(block) {
            self.encode(samples)?;
        }
        self.pending = pending[whole..].to_vec();
        Ok(())
    }

    fn encode(&mut self, samples: &[i32]) -> Result<()> {
        let path = self.output.path().to_owned();
        let failed =
            |error: String| Error::unreadable(&path, format!("FLAC encoding failed: {error}"));
        self.context.fill_interleaved(samples).map_err(|e| failed(e.to_string()))?;
        let number = self.frame_number;
        let bits = self.stream.bits_per_sample();
        let plain = || verbatim::frame(samples, self.channels, bits, number as u32);
        let frames = samples.len() / self.channels;
        if frames < MIN_FRAMES {
            return self.push_frame(&plain());
        }
        let encode = |samples: &[i32], stream, config| -> std::result::Result<_, String> {
            let mut buffer =
                FrameBuf::with_size(self.channels, frames).map_err(|e| e.to_string())?;
            buffer.fill_interleaved(samples).map_err(|e| e.to_string())?;
            flacenc::encode_fixed_size_frame(config, &buffer, number, stream)
                .map_err(|e| e.to_string())
        };
        let coded = match &self.upper {
            Some((stream, config)) if shifted::is_shifted(samples) => {
                let samples: Vec<i32> = samples.iter().map(|s| s >> WASTED_BITS).collect();
                let frame = encode(&samples, stream, config).map_err(failed)?;
                shifted::widen(frame).map_err(|e| failed(e.to_string()))?
            }
            _ => {
                let frame = encode(samples, &self.stream, &self.config).map_err(failed)?;
                let mut sink = ByteSink::new();
                frame.write(&mut sink).map_err(|e| failed(e.to_string()))?;
                sink.into_inner()
            }
        };
        // The encoder's Rice codes are meant for 16 bits: loud noise of 24 takes more than plain.
        let plain = plain();
        let smaller = if coded.len() <= plain.len() { coded } else { plain };
        self.push_frame(&smaller)
    }

    fn push_frame(&mut self, bytes: &[u8]) -> Result<()> {
        let (smallest, largest) = self.frame_sizes.unwrap_or((usize::MAX, 0));
        self.frame_sizes = Some((smallest.min(bytes.len()), largest.max(bytes.len())));
        self.frame_number += 1;
        self.output.write(bytes)
    }

    /// Write the last frame and the true stream information; the output and the clip count.
    pub(super) fn finish(mut self) -> Result<(Output, u64)> {
        let rest = std::mem::take(&mut self.pending);
        if !rest.is_empty() {
            self.encode(&rest)?;
        }
        self.stream.set_md5_digest(&self.context.md5_digest());
        self.stream.set_total_samples(self.context.total_samples());
        let info = stream_info(&self.stream, self.frame_sizes);
        self.output.rewrite_start(&[b"fLaC".as_slice(), &info].concat())?;
        Ok((self.output, self.quantizer.clipped))
    }
}

/// Marker, stream information and tags.
fn header(stream: &StreamInfo, tags: &Tags, layout: ChannelLayout) -> Vec<u8> {
    let vendor = concat!("formant ", env!("CARGO_PKG_VERSION"));
    let mut comments = (vendor.len() as u32).to_le_bytes().to_vec();
    comments.extend(vendor.as_bytes());
    let mut texts: Vec<String> = tags
        .iter()
        .map(|(name, value)| format!("{}={value}", vorbis_comment::name_of(name)))
        .collect();
    if layout.mask() != 0 && layout != ChannelLayout::from_count(layout.count() as u16) {
        texts.push(format!("{}={:#06X}", vorbis_comment::MASK, layout.mask()).replace("0X", "0x"));
    }
    comments.extend((texts.len() as u32).to_le_bytes());
    for comment in texts {
        comments.extend((comment.len() as u32).to_le_bytes());
        comments.extend(comment.as_bytes());
    }
    comments.truncate(MAX_BLOCK_BYTES);
    let size = (comments.len() as u32).to_be_bytes();
    [b"fLaC".as_slice(), &stream_info(stream, None), &[0x84, size[1], size[2], size[3]], &comments]
        .concat()
}

/// The `STREAMINFO` block with its header; sizes of zero mean "unknown".
fn stream_info(stream: &StreamInfo, frame_sizes: Option<(usize, usize)>) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 34];
    out.extend((BLOCK_FRAMES as u16).to_be_bytes());
    out.extend((BLOCK_FRAMES as u16).to_be_bytes());
    let (smallest, largest) = frame_sizes.unwrap_or((0, 0));
    out.extend(&(smallest as u32).to_be_bytes()[1..]);
    out.extend(&(largest as u32).to_be_bytes()[1..]);
    let packed = (stream.sample_rate() as u64) << 44
        | (stream.channels() as u64 - 1) << 41
        | (stream.bits_per_sample() as u64 - 1) << 36
        | (stream.total_samples() as u64 & ((1 << 36) - 1));
    out.extend(packed.to_be_bytes());
    out.extend(stream.md5_digest());
    out
}
