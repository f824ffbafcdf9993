//! Everything that symphonia both unpacks and decodes: FLAC, Vorbis, AAC, ALAC, AIFF, CAF, and so on.

use std::path::PathBuf;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use super::backend::{Backend, checked_spec, collect_tags, layout_of_channels};
use super::info::SourceInfo;
use super::options::MAX_CORRUPT_RUN;
use super::source::Source;
use crate::buffer::{AudioBuf, AudioSpec};
use crate::error::{Error, Result};
use crate::warning::Warning;

/// Decodes the first audio track.
struct SymphoniaBackend {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    info: SourceInfo,
    spec: Option<AudioSpec>,
    first: Option<AudioBuf>,
    corrupt: u64,
    corrupt_run: u64,
    corrupt_frames: u64,
}

/// Open any source that symphonia recognises.
pub(super) fn open(source: Source, path: PathBuf) -> Result<Box<dyn Backend>> {
    let stream = MediaSourceStream::new(Box::new(source), Default::default());
    let format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|error| describe(&path, &error))?;
    let track = format
        .default_track(TrackType::Audio)
        .ok_or_else(|| Error::unreadable(&path, "there is no audio track in it"))?;
    let Some(CodecParameters::Audio(params)) = &track.codec_params else {
        return Err(Error::unreadable(&path, "the audio track has no codec description"));
    };
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map_err(|error| describe(&path, &error))?;
    let mut info =
        SourceInfo::new(path, format.format_info().short_name, decoder.codec_info().short_name);
    info.bits_per_sample = params.bits_per_sample;
    info.declared_frames = track.num_frames;
    let track = track.id;
    let mut backend = SymphoniaBackend {
        format,
        decoder,
        track,
        info,
        spec: None,
        first: None,
        corrupt: 0,
        corrupt_run: 0,
        corrupt_frames: 0,
    };
    backend.first = backend.decode()?;
    if backend.spec.is_none() {
        return Err(Error::unreadable(&backend.info.path, "no packet of it could be decoded"));
    }
    if let Some(revision) = backend.format.metadata().skip_to_latest() {
        collect_tags(&revision.media, &mut backend.info.tags);
    }
    Ok(Box::new(backend))
}

/// Symphonia's error in formant's words.
fn describe(path: &std::path::Path, error: &SymphoniaError) -> Error {
    Error::unreadable(path, format!("{error}; `formant formats` lists what can be read"))
}

impl SymphoniaBackend {
    fn decode(&mut self) -> Result<Option<AudioBuf>> {
        loop {
            let packet = match self.format.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(None),
                Err(SymphoniaError::IoError(e))
                    if e.kind() == std::io::ErrorKind::UnexpectedEof =>
                {
                    return Ok(None);
                }
                Err(SymphoniaError::IoError(e)) => return Err(Error::io(&self.info.path, e)),
                Err(e) => return Err(describe(&self.info.path, &e)),
            };
            if packet.track_id != self.track {
                continue;
            }
            match self.decoder.decode(&packet) {
                Ok(buffer) => {
                    self.corrupt_run = 0;
                    let spec = match self.spec {
                        Some(spec) => spec,
                        None => {
                            let layout = layout_of_channels(buffer.spec().channels());
                            let spec = checked_spec(&self.info, buffer.spec().rate(), layout)?;
                            self.info.rate = spec.rate;
                            self.info.layout = spec.layout;
                            *self.spec.insert(spec)
                        }
                    };
                    let mut planes: Vec<Vec<f32>> = Vec::new();
                    buffer.copy_to_vecs_planar(&mut planes);
                    return AudioBuf::from_planar(spec, planes.concat()).map(Some);
                }
                Err(SymphoniaError::DecodeError(_) | SymphoniaError::IoError(_)) => {
                    self.corrupt += 1;
                    self.corrupt_run += 1;
                    if self.corrupt_run >= MAX_CORRUPT_RUN {
                        return Err(Error::unreadable(
                            &self.info.path,
                            format!("gave up after {MAX_CORRUPT_RUN} damaged packets in a row"),
                        ));
                    }
                }
                Err(e) => return Err(describe(&self.info.path, &e)),
            }
        }
    }
}

impl Backend for SymphoniaBackend {
    fn info(&mut self) -> &mut SourceInfo {
        &mut self.info
    }

    fn next(&mut self) -> Result<Option<AudioBuf>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let block = self.decode()?;
        if block.is_none() && self.corrupt > 0 {
            self.info
                .warnings
                .push(Warning::CorruptPackets { count: self.corrupt, frames: self.corrupt_frames });
        }
        Ok(block)
    }
}
