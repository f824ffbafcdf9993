//! Opus packets to samples, whatever the container.

use ropus::OpusMSDecoder;

use super::RATE;
use super::head::OpusHead;
use crate::buffer::{AudioBuf, AudioSpec};

/// The most frames that a packet can hold: 120 ms.
const MAX_PACKET_FRAMES: usize = 5760;

/// Full scale of the decoder's 24-bit output.
const FULL_SCALE: f32 = 8_388_608.0;
/// The duration that a packet without a readable one is given: 20 ms.
const UNKNOWN_FRAMES: usize = 960;

/// Decodes the packets of one stream.
pub(in crate::decode) struct OpusPackets {
    decoder: OpusMSDecoder,
    spec: AudioSpec,
    gain: f32,
    samples: Vec<i32>, // interleaved, 24 bits
}

impl OpusPackets {
    /// A decoder for the stream that `head` announces.
    pub(in crate::decode) fn new(head: &OpusHead) -> Result<Self, String> {
        let decoder = OpusMSDecoder::new(
            RATE.cast_signed(),
            head.channels.into(),
            head.streams.into(),
            head.coupled.into(),
            &head.mapping,
        )
        .map_err(|code| format!("the Opus decoder refuses the header (code {code})"))?;
        Ok(Self {
            decoder,
            spec: AudioSpec { rate: RATE, layout: head.layout },
            gain: head.gain / FULL_SCALE,
            samples: vec![0; MAX_PACKET_FRAMES * usize::from(head.channels)],
        })
    }

    /// Rate and layout of what is decoded.
    pub(in crate::decode) fn spec(&self) -> AudioSpec {
        self.spec
    }

    /// Frames that `packet` stands for, damaged or not.
    pub(in crate::decode) fn frames_of(&self, packet: &[u8]) -> usize {
        packet_frames(packet).unwrap_or(UNKNOWN_FRAMES)
    }

    /// Decode one packet; `None` when it is damaged.
    pub(in crate::decode) fn decode(&mut self, packet: &[u8]) -> Option<AudioBuf> {
        let frames = packet_frames(packet)?;
        let len = i32::try_from(packet.len()).ok()?;
        let limit = i32::try_from(frames).ok()?;
        let found =
            self.decoder.decode24(Some(packet), len, &mut self.samples, limit, false).ok()?;
        if found != limit {
            return None;
        }
        let channels = self.spec.channels();
        let mut data = Vec::with_capacity(frames * channels);
        for channel in 0..channels {
            let plane = self.samples[channel..frames * channels].iter().step_by(channels);
            data.extend(plane.map(|&sample| sample as f32 * self.gain));
        }
        AudioBuf::from_planar(self.spec, data).ok()
    }
}

/// Frames at 48 kHz in a packet, from its first bytes (RFC 6716, section 3.1); `None` when they
/// are not valid.
fn packet_frames(packet: &[u8]) -> Option<usize> {
    let toc = *packet.first()?;
    let config = usize::from(toc >> 3);
    let frame = match config {
        0..12 => [480, 960, 1920, 2880][config % 4],
        12..16 => [480, 960][config % 2],
        _ => [120, 240, 480, 960][config % 4],
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => usize::from(packet.get(1)? & 0x3f),
    };
    Some(frame * count).filter(|frames| (1..=MAX_PACKET_FRAMES).contains(frames))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_the_first_byte() {
        assert_eq!(packet_frames(&[]), None);
        assert_eq!(packet_frames(&[0x78]), Some(960)); // hybrid, 20 ms
        assert_eq!(packet_frames(&[0xfc]), Some(960)); // CELT, 20 ms, stereo
        assert_eq!(packet_frames(&[0x19]), Some(5760)); // SILK, two frames of 60 ms
        assert_eq!(packet_frames(&[0x83, 48]), Some(5760)); // CELT, 48 frames of 2.5 ms
        assert_eq!(packet_frames(&[0x83, 49]), None);
        assert_eq!(packet_frames(&[0x83]), None);
        assert_eq!(packet_frames(&[0x83, 0]), None);
    }
}
