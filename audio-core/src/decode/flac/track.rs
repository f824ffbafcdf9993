//! The frames of one FLAC stream to samples, whatever the container: both checksums, the place of
//! each frame by its number, and the checksum of the whole.

use symphonia::core::audio::{Audio, GenericAudioBufferRef};
use symphonia::core::checksum::Md5;
use symphonia::core::codecs::audio::well_known::CODEC_ID_FLAC;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::io::Monitor;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};

use super::frame::{FrameHeader, StreamInfo, is_intact};
use crate::buffer::{AudioBuf, AudioSpec};
use crate::decode::backend::planar;
use crate::layout::ChannelLayout;

/// The longest gap, in seconds, that frame numbers alone are believed for.
const MAX_GAP_SECONDS: u64 = 600;

/// What came of a frame.
pub(in crate::decode) struct Decoded {
    /// Frames of audio that are missing in front of it.
    pub(in crate::decode) lost: u64,
    /// Its own length; zero when nothing tells.
    pub(in crate::decode) frames: u64,
    /// Its samples; `None` when it is damaged.
    pub(in crate::decode) block: Option<AudioBuf>,
}

/// Decodes the frames of one stream.
pub(in crate::decode) struct FlacTrack {
    info: StreamInfo,
    /// The block that it was read from.
    stream_info: Vec<u8>,
    spec: AudioSpec,
    decoder: Box<dyn AudioDecoder>,
    /// Length of the first frame, which all but the last one share unless frames are counted in
    /// samples.
    block: Option<u64>,
    /// The sample number at position zero; that of the first frame, where nothing tells.
    origin: Option<u64>,
    position: u64,
    md5: Option<Md5>,
}

impl FlacTrack {
    /// A decoder for the stream that a `STREAMINFO` block announces.
    pub(in crate::decode) fn new(
        stream_info: &[u8],
        layout: Option<ChannelLayout>,
    ) -> Result<Self, String> {
        let info = StreamInfo::parse(stream_info).ok_or("its FLAC header is cut short")?;
        let mut params = AudioCodecParameters::new();
        params.for_codec(CODEC_ID_FLAC).with_extra_data(stream_info.into());
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(&params, &AudioDecoderOptions::default())
            .map_err(|error| format!("its FLAC header is damaged ({error})"))?;
        let channels = u16::from(info.channels);
        let layout = layout.filter(|layout| layout.count() == usize::from(channels));
        let layout = layout.unwrap_or_else(|| ChannelLayout::from_count(channels));
        Ok(Self {
            info,
            stream_info: stream_info.to_vec(),
            spec: AudioSpec { rate: info.rate, layout },
            decoder,
            block: None,
            origin: None,
            position: 0,
            md5: (info.md5 != [0; 16]).then(Md5::default),
        })
    }

    pub(super) fn stream(&self) -> &StreamInfo {
        &self.info
    }

    pub(in crate::decode) fn spec(&self) -> AudioSpec {
        self.spec
    }

    pub(in crate::decode) fn bits(&self) -> u32 {
        self.info.bits
    }

    /// Count from the start of the stream, even where the first frames are missing.
    pub(super) fn count_from_zero(&mut self) {
        self.origin.get_or_insert(0);
    }

    /// Decode a frame from a container that keeps frames apart.
    pub(in crate::decode) fn decode(&mut self, frame: &[u8]) -> Decoded {
        if self.block.is_none()
            && is_intact(frame)
            && let Some(header) = FrameHeader::parse(frame)
            && !header.fits(&self.info)
        {
            // The stream's description is wrong; the first frame tells.
            let mut stream_info = self.stream_info.clone();
            header.correct(&mut stream_info);
            if let Ok(track) = Self::new(&stream_info, Some(self.spec.layout)) {
                *self = track;
            }
        }
        match FrameHeader::parse(frame).filter(|header| header.fits(&self.info)) {
            Some(header) if is_intact(frame) => self.decode_frame(&header, frame),
            Some(header) => self.damaged(&header),
            None => {
                let frames = self.block.unwrap_or(0);
                self.skip(frames);
                Decoded { lost: 0, frames, block: None }
            }
        }
    }

    /// Decode a frame whose checksums are right.
    pub(super) fn decode_frame(&mut self, header: &FrameHeader, frame: &[u8]) -> Decoded {
        let packet = Packet::new(0, Timestamp::new(0), Duration::new(header.frames.into()), frame);
        let spec = self.spec;
        let block = match self.decoder.decode(&packet) {
            Ok(buffer)
                if buffer.num_planes() == spec.channels()
                    && buffer.frames() == header.frames as usize =>
            {
                if let Some(md5) = &mut self.md5 {
                    digest(md5, &buffer, self.info.bits);
                }
                AudioBuf::from_planar(spec, planar(&buffer)).ok()
            }
            _ => None,
        };
        if block.is_none() {
            return self.damaged(header);
        }
        Decoded { lost: self.go_to(header), frames: header.frames.into(), block }
    }

    /// Take note of a frame of which the header alone is intact.
    pub(super) fn damaged(&mut self, header: &FrameHeader) -> Decoded {
        self.md5 = None;
        Decoded { lost: self.go_to(header), frames: header.frames.into(), block: None }
    }

    /// Move behind a frame; how much is missing in front of it.
    fn go_to(&mut self, header: &FrameHeader) -> u64 {
        let frames = u64::from(header.frames);
        let block = *self.block.get_or_insert(frames);
        let number = if header.variable { header.number } else { header.number * block };
        let origin = *self.origin.get_or_insert(number);
        let lost = number.saturating_sub(origin).saturating_sub(self.position);
        let end = self.position + lost + frames;
        let plausible = match self.info.total {
            0 => lost <= MAX_GAP_SECONDS * u64::from(self.info.rate),
            total => end <= total,
        };
        let lost = if plausible { lost } else { 0 };
        if lost > 0 {
            self.md5 = None;
        }
        if number < origin + self.position || !plausible {
            // Numbers that start again, as where streams were cut and joined.
            self.origin = Some(number.saturating_sub(self.position));
        }
        self.position += lost + frames;
        lost
    }

    /// Frames were put in by the container's clock.
    pub(in crate::decode) fn skip(&mut self, frames: u64) {
        self.position += frames;
        self.md5 = None;
    }

    /// Frames of audio that are missing at the end.
    pub(super) fn missing(&self) -> u64 {
        self.info.total.saturating_sub(self.position)
    }

    /// Whether the checksum of the whole fits; true where it can't be told.
    pub(in crate::decode) fn is_whole(&self) -> bool {
        let complete = self.info.total == 0 || self.info.total == self.position;
        match &self.md5 {
            Some(md5) if complete && self.position > 0 => md5.md5() == self.info.md5,
            _ => true,
        }
    }
}

/// Add samples in the form that the checksum is defined on: interleaved little-endian integers of
/// whole bytes.
fn digest(md5: &mut Md5, buffer: &GenericAudioBufferRef<'_>, bits: u32) {
    let GenericAudioBufferRef::S32(buffer) = buffer else { return };
    let channels = buffer.num_planes();
    let width = bits.div_ceil(8) as usize;
    let shift = 32 - bits;
    let mut bytes = Vec::with_capacity(buffer.frames() * channels * width);
    let planes: Vec<&[i32]> = (0..channels).filter_map(|channel| buffer.plane(channel)).collect();
    for frame in 0..buffer.frames() {
        for plane in &planes {
            bytes.extend(&(plane[frame] >> shift).to_le_bytes()[..width]);
        }
    }
    md5.process_buf_bytes(&bytes);
}
