//! The two kinds of ADPCM that WAV files hold; symphonia decodes, blocks are read here.

use symphonia::core::audio::{Channels, Position};
use symphonia::core::codecs::audio::well_known::{CODEC_ID_ADPCM_IMA_WAV, CODEC_ID_ADPCM_MS};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};

use super::header::Header;
use crate::buffer::{AudioBuf, AudioSpec};
use crate::decode::backend::{Backend, Damage, planar};
use crate::decode::info::SourceInfo;
use crate::decode::source::{Source, read_full};
use crate::error::{Error, Result};

/// Which of the two codings, and the size of its blocks in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Adpcm {
    Microsoft { block: u16 },
    Ima { block: u16 },
}

impl Adpcm {
    /// Size of a block in bytes, bytes of its header for one channel, and frames in that header.
    fn block(self) -> (u64, u64, u64) {
        match self {
            Self::Microsoft { block } => (block.into(), 7, 2),
            Self::Ima { block } => (block.into(), 4, 1),
        }
    }
}

struct AdpcmBackend {
    source: Source,
    info: SourceInfo,
    spec: AudioSpec,
    decoder: Box<dyn AudioDecoder>,
    block_bytes: usize,
    block_frames: u64,
    data_left: u64,
    frames_left: u64,
    damage: Damage,
}

/// Open the data chunk behind `header`.
pub(super) fn open(source: Source, header: Header, adpcm: Adpcm) -> Result<Box<dyn Backend>> {
    let mut info = header.info;
    let spec = AudioSpec { rate: info.rate, layout: info.layout };
    let channels = spec.channels() as u64;
    let (block, head_bytes, head_frames) = adpcm.block();
    let unreadable = |info: &SourceInfo, reason: String| Error::unreadable(&info.path, reason);
    if channels > 2 {
        return Err(unreadable(&info, format!("ADPCM with {channels} channels is not supported")));
    }
    let Some(body) = block.checked_sub(head_bytes * channels).filter(|&body| body > 0) else {
        return Err(unreadable(
            &info,
            format!("the ADPCM block size of {block} bytes is too small"),
        ));
    };
    let block_frames = 2 * body / channels + head_frames;
    let (id, name) = match adpcm {
        Adpcm::Microsoft { .. } => (CODEC_ID_ADPCM_MS, "adpcm_ms"),
        Adpcm::Ima { .. } => (CODEC_ID_ADPCM_IMA_WAV, "adpcm_ima"),
    };
    let positions = if channels == 1 {
        Position::FRONT_LEFT
    } else {
        Position::FRONT_LEFT | Position::FRONT_RIGHT
    };
    let mut params = AudioCodecParameters::new();
    params
        .for_codec(id)
        .with_sample_rate(spec.rate)
        .with_channels(Channels::Positioned(positions))
        .with_bits_per_coded_sample(4)
        .with_max_frames_per_packet(block_frames)
        .with_frames_per_block(block_frames);
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(&params, &AudioDecoderOptions::default())
        .map_err(|error| unreadable(&info, error.to_string()))?;
    info.codec = name.to_owned();
    info.bits_per_sample = Some(4);
    info.container_bits = None;
    let whole = header.data_bytes.map(|bytes| (bytes / block).saturating_mul(block_frames));
    info.declared_frames = match (header.fact_frames, whole) {
        (Some(fact), Some(whole)) => Some(fact.min(whole)),
        (fact, whole) => fact.or(whole),
    };
    Ok(Box::new(AdpcmBackend {
        source,
        spec,
        decoder,
        block_bytes: block as usize,
        block_frames,
        data_left: header.data_bytes.unwrap_or(u64::MAX),
        frames_left: info.declared_frames.unwrap_or(u64::MAX),
        info,
        damage: Damage::default(),
    }))
}

impl Backend for AdpcmBackend {
    fn info(&mut self) -> &mut SourceInfo {
        &mut self.info
    }

    fn next(&mut self) -> Result<Option<AudioBuf>> {
        let mut bytes =
            vec![0; self.block_bytes.min(usize::try_from(self.data_left).unwrap_or(usize::MAX))];
        let got =
            read_full(&mut self.source, &mut bytes).map_err(|e| Error::io(&self.info.path, e))?;
        if got < self.block_bytes || self.frames_left == 0 {
            self.damage.report(&mut self.info);
            return Ok(None);
        }
        self.data_left -= got as u64;
        let packet = Packet::new(0, Timestamp::new(0), Duration::new(self.block_frames), bytes);
        let block = match self.decoder.decode(&packet) {
            Ok(buffer) if buffer.num_planes() == self.spec.channels() => {
                self.damage.good();
                AudioBuf::from_planar(self.spec, planar(&buffer))?
            }
            _ => {
                self.damage.bad(&self.info, self.info.seconds(), self.block_frames)?;
                AudioBuf::silence(self.spec, self.block_frames as usize)
            }
        };
        let keep = self.frames_left.min(block.frames() as u64);
        self.info.trimmed_padding += block.frames() as u64 - keep;
        if self.frames_left != u64::MAX {
            self.frames_left -= keep;
        }
        Ok(Some(block.view().slice(0..keep as usize).to_owned()))
    }
}
