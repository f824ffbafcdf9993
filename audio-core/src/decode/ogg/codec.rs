//! The codecs of Ogg streams: their headers, and packets to samples.

use symphonia::core::codecs::audio::well_known::CODEC_ID_VORBIS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};

use crate::buffer::{AudioBuf, AudioSpec};
use crate::decode::backend::planar;
use crate::decode::opus::{OpusHead, OpusPackets};
use crate::decode::vorbis_comment;
use crate::layout::ChannelLayout;
use crate::tags::Tags;

/// First bytes of the packets that describe a Vorbis stream.
const VORBIS: &[u8] = b"\x01vorbis";
const VORBIS_COMMENTS: &[u8] = b"\x03vorbis";
const VORBIS_SETUP: &[u8] = b"\x05vorbis";

/// Turns the packets of a stream into samples.
pub(super) enum Codec {
    Opus(Box<OpusPackets>),
    Vorbis(Vorbis),
}

/// A Vorbis stream; its decoder is made when the last of three headers has come.
pub(super) struct Vorbis {
    spec: AudioSpec,
    identification: Vec<u8>,
    decoder: Option<Box<dyn AudioDecoder>>,
    /// Frames of the packet before.
    last: usize,
}

impl Codec {
    /// Whether a stream of a known codec begins with this packet.
    pub(super) fn knows(packet: &[u8]) -> bool {
        packet.starts_with(b"OpusHead") || packet.starts_with(VORBIS)
    }

    /// Begin a stream with its first packet; also how many frames at its start are to be dropped.
    pub(super) fn new(packet: &[u8]) -> Result<(Self, u64), String> {
        if !packet.starts_with(VORBIS) {
            let head = OpusHead::parse(packet)?;
            return Ok((Self::Opus(Box::new(OpusPackets::new(&head)?)), head.pre_skip.into()));
        }
        // Version, channels and rate (Vorbis I, section 4.2.2).
        let Some(&[_, _, _, _, channels, a, b, c, d]) = packet[VORBIS.len()..].first_chunk::<9>()
        else {
            return Err("the Vorbis header is cut short".to_owned());
        };
        // The codec's order tells no back from side channels.
        let layout = ChannelLayout::from_count(channels.into());
        let spec = AudioSpec { rate: u32::from_le_bytes([a, b, c, d]), layout };
        let identification = packet.to_vec();
        Ok((Self::Vorbis(Vorbis { spec, identification, decoder: None, last: 0 }), 0))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Opus(_) => "opus",
            Self::Vorbis(_) => "vorbis",
        }
    }

    pub(super) fn spec(&self) -> AudioSpec {
        match self {
            Self::Opus(packets) => packets.spec(),
            Self::Vorbis(vorbis) => vorbis.spec,
        }
    }

    /// Take a packet that describes the stream; `false` when it is none.
    pub(super) fn take_header(&mut self, packet: &[u8], tags: &mut Tags) -> Result<bool, String> {
        match self {
            Self::Opus(_) => {
                let comments = packet.strip_prefix(b"OpusTags");
                comments.map(|comments| vorbis_comment::read(comments, tags));
                Ok(comments.is_some())
            }
            Self::Vorbis(vorbis) => {
                if let Some(comments) = packet.strip_prefix(VORBIS_COMMENTS) {
                    vorbis_comment::read(comments, tags);
                } else if packet.starts_with(VORBIS_SETUP) && vorbis.decoder.is_none() {
                    vorbis.decoder = Some(vorbis.make_decoder(packet)?);
                }
                // Audio has an even first byte.
                Ok(packet.first().is_none_or(|first| first & 1 != 0))
            }
        }
    }

    /// Decode a packet; of a damaged one only the number of frames that it stands for.
    pub(super) fn decode(&mut self, packet: &[u8]) -> Result<AudioBuf, usize> {
        match self {
            Self::Opus(packets) => packets.decode(packet).ok_or_else(|| packets.frames_of(packet)),
            Self::Vorbis(vorbis) => vorbis.decode(packet).ok_or(vorbis.last),
        }
    }

    /// Packets were lost: what comes next must not be laid over what came before.
    pub(super) fn restart(&mut self) {
        if let Self::Vorbis(Vorbis { decoder: Some(decoder), .. }) = self {
            decoder.reset();
        }
    }
}

impl Vorbis {
    fn make_decoder(&self, setup: &[u8]) -> Result<Box<dyn AudioDecoder>, String> {
        let mut params = AudioCodecParameters::new();
        let headers = [&self.identification, setup].concat();
        params.for_codec(CODEC_ID_VORBIS).with_extra_data(headers.into());
        symphonia::default::get_codecs()
            .make_audio_decoder(&params, &AudioDecoderOptions::default())
            .map_err(|error| format!("its Vorbis headers can't be used ({error})"))
    }

    fn decode(&mut self, packet: &[u8]) -> Option<AudioBuf> {
        let decoder = self.decoder.as_mut()?;
        let packet = Packet::new(0, Timestamp::new(0), Duration::new(0), packet);
        let buffer = decoder.decode(&packet).ok()?;
        if buffer.num_planes() != self.spec.channels() {
            return None;
        }
        self.last = buffer.frames();
        AudioBuf::from_planar(self.spec, planar(&buffer)).ok()
    }
}
