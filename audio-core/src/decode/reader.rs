//! The block reader: opens a source of any format and hands out sanitised blocks of bounded size.

use std::collections::VecDeque;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use super::backend::Backend;
use super::info::SourceInfo;
use super::options::{DecodeOptions, MAX_BLOCK_FRAMES, Strictness};
use super::planes::Planes;
use super::source::Source;
use super::stretch::{Cut, Stretch};
use super::{Clip, mpeg, opus, symphonia_backend, wav};
use crate::buffer::{AudioBuf, AudioSpec};
use crate::error::{Error, Result};
use crate::warning::Warning;

/// The largest magnitude that is taken for a sample rather than for rubbish (+60 dB).
const SANE_PEAK: f32 = 1000.0;

/// Boxes that an MP4 file may start with.
const MP4_BOXES: [&[u8]; 6] = [b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"];

/// Reads a source block by block; memory does not grow with its length.
pub struct BlockReader {
    backend: Box<dyn Backend>,
    spec: AudioSpec,
    strict: Strictness,
    pending: VecDeque<AudioBuf>,
    non_finite: u64,
    done: bool,
    cut: Option<Cut>,
}

impl std::fmt::Debug for BlockReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockReader")
            .field("spec", &self.spec)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

impl BlockReader {
    /// Open a file; a pipe or device may be named as well.
    ///
    /// # Errors
    /// When it can't be read or its format is not known.
    pub fn open(path: &Path, options: &DecodeOptions) -> Result<Self> {
        Self::new(Source::open(path)?, path.to_owned(), options)
    }

    /// Read a stream that only goes forward, such as standard input; `name` stands for it in
    /// messages.
    ///
    /// # Errors
    /// As [`BlockReader::open`].
    pub fn from_stream(
        source: Box<dyn Read + Send + Sync>,
        name: &str,
        options: &DecodeOptions,
    ) -> Result<Self> {
        Self::new(Source::stream(source), PathBuf::from(name), options)
    }

    fn new(source: Source, path: PathBuf, options: &DecodeOptions) -> Result<Self> {
        let mut backend = open_backend(source, path, options)?;
        let info = backend.info();
        let spec = AudioSpec { rate: info.rate, layout: info.layout };
        let mut reader = Self {
            backend,
            spec,
            strict: options.strict,
            pending: VecDeque::new(),
            non_finite: 0,
            done: false,
            cut: None,
        };
        reader.check_strict()?;
        Ok(reader)
    }

    /// Hands out the frames of a stretch alone.
    #[must_use]
    pub fn cut_to(mut self, stretch: Stretch) -> Self {
        self.cut = (!stretch.is_whole()).then(|| Cut::new(stretch, self.spec.rate));
        self
    }

    /// Rate and layout of every block.
    #[must_use]
    pub fn spec(&self) -> AudioSpec {
        self.spec
    }

    /// Frames that the header promises after trimming; a hint, not to be relied on.
    pub fn declared_frames(&mut self) -> Option<u64> {
        self.backend.info().declared_frames
    }

    /// What is known about the source; complete once the end has been reached.
    pub fn info(&mut self) -> &SourceInfo {
        self.backend.info()
    }

    /// The next block, of 1 to [`MAX_BLOCK_FRAMES`] frames; `None` at the end.
    ///
    /// # Errors
    /// When reading fails, when the data are damaged beyond the limits, or, if strict, on the
    /// first warning; when the recording ends before its stretch.
    pub fn next_block(&mut self) -> Result<Option<AudioBuf>> {
        let Some(mut cut) = self.cut.take() else { return self.next_decoded() };
        let found = loop {
            if cut.is_complete() {
                break Ok(None);
            }
            match self.next_decoded()? {
                None => break cut.end(&self.backend.info().path).map(|()| None),
                Some(block) => {
                    if let Some(kept) = cut.keep(block) {
                        break Ok(Some(kept));
                    }
                }
            }
        };
        self.cut = Some(cut);
        found
    }

    /// The next block of the whole recording.
    fn next_decoded(&mut self) -> Result<Option<AudioBuf>> {
        loop {
            if let Some(block) = self.pending.pop_front() {
                self.backend.info().found_frames += block.frames() as u64;
                return Ok(Some(block));
            }
            if self.done {
                return Ok(None);
            }
            match self.backend.next()? {
                Some(block) => self.queue(block),
                None => {
                    self.done = true;
                    self.finish()?;
                }
            }
        }
    }

    /// Everything from here to the end, in memory.
    ///
    /// # Errors
    /// As [`BlockReader::next_block`].
    pub fn read_to_end(mut self) -> Result<Clip> {
        let mut planes = Planes::new(self.spec.channels(), self.declared_frames());
        while let Some(block) = self.next_block()? {
            planes.push(&block);
        }
        let data = planes.into_planar();
        let audio = AudioBuf::from_planar(self.spec, data)?;
        Ok(Clip { audio, info: self.backend.info().clone() })
    }

    /// Sanitise a block and queue it in pieces of bounded size.
    fn queue(&mut self, mut block: AudioBuf) {
        self.non_finite += sanitise(block.as_planar_mut());
        if block.frames() <= MAX_BLOCK_FRAMES {
            if !block.is_empty() {
                self.pending.push_back(block);
            }
            return;
        }
        for start in (0..block.frames()).step_by(MAX_BLOCK_FRAMES) {
            self.pending.push_back(block.view().slice(start..start + MAX_BLOCK_FRAMES).to_owned());
        }
    }

    /// Compare what was promised with what was found.
    fn finish(&mut self) -> Result<()> {
        let count = self.non_finite;
        let info = self.backend.info();
        if count > 0 {
            info.warnings.push(Warning::NonFinite { count });
        }
        let found = info.found_frames;
        if let Some(declared) = info.declared_frames.filter(|&declared| declared != found) {
            info.warnings.push(Warning::FrameCount { declared, found });
        }
        self.check_strict()
    }

    fn check_strict(&mut self) -> Result<()> {
        let strict = self.strict;
        let info = self.backend.info();
        match info.warnings.first() {
            Some(warning) if strict == Strictness::Strict => Err(Error::unreadable(
                &info.path,
                format!("{warning}; leave out --strict to use it as it is"),
            )),
            _ => Ok(()),
        }
    }
}

/// Replace NaN and infinity by zero and limit absurd values; the number of samples changed.
fn sanitise(samples: &mut [f32]) -> u64 {
    // Without a way out in the middle, so that it becomes vector code.
    if samples.iter().fold(true, |sane, sample| sane & (sample.abs() <= SANE_PEAK)) {
        return 0;
    }
    let mut count = 0;
    for sample in samples {
        if !sample.is_finite() {
            *sample = 0.0;
            count += 1;
        } else if sample.abs() > SANE_PEAK {
            *sample = sample.clamp(-SANE_PEAK, SANE_PEAK);
            count += 1;
        }
    }
    count
}

/// Find out the format and open its reader.
fn open_backend(
    mut source: Source,
    path: PathBuf,
    options: &DecodeOptions,
) -> Result<Box<dyn Backend>> {
    if let Some(raw) = options.raw {
        return wav::open_raw(source, path, raw);
    }
    let head = source.peek(64).map_err(|e| Error::io(&path, e))?;
    match head.as_slice() {
        [] => Err(Error::unreadable(&path, "the input is empty (zero bytes)")),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..]
        | [b'R', b'F', b'6', b'4', ..]
        | [b'B', b'W', b'6', b'4', ..] => wav::open(source, path),
        [b'O', b'g', b'g', b'S', ..] => {
            let head = source.peek(27 + 255 + 8).map_err(|e| Error::io(&path, e))?;
            if opus::is_ogg_opus(&head) {
                opus::open_ogg(source, path)
            } else {
                symphonia_backend::open(source, path)
            }
        }
        [b'f', b'L', b'a', b'C', ..]
        | [b'F', b'O', b'R', b'M', ..]
        | [b'c', b'a', b'f', b'f', ..] => symphonia_backend::open(source, path),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => symphonia_backend::open_matroska(source, path),
        [_, _, _, _, kind @ ..] if MP4_BOXES.iter().any(|name| kind.starts_with(name)) => {
            symphonia_backend::open_mp4(source, path)
        }
        _ => open_mpeg(source, path),
    }
}

/// MPEG audio or AAC, whose frames have no magic number, perhaps behind an ID3 tag.
fn open_mpeg(mut source: Source, path: PathBuf) -> Result<Box<dyn Backend>> {
    let mut info = SourceInfo::new(path, "mpeg", "");
    let io_error = |info: &SourceInfo, e| Error::io(&info.path, e);
    let tagged = mpeg::read_id3(&mut source, &mut info).map_err(|e| io_error(&info, e))?;
    let head = source.peek(7).map_err(|e| io_error(&info, e))?;
    let is_adts = matches!(head[..], [0xff, flags, ..] if flags & 0xf6 == 0xf0);
    if is_adts || head.starts_with(b"fLaC") {
        if tagged && let Source::File { file, .. } = &mut source {
            file.rewind().map_err(|e| io_error(&info, e))?;
        }
        return symphonia_backend::open(source, info.path);
    }
    match mpeg::probe(&mut source).map_err(|e| io_error(&info, e))? {
        Some(_) => mpeg::open(source, info),
        None => Err(Error::unreadable(
            &info.path,
            "this is no audio format that formant knows (`formant formats` lists them); headerless samples need --raw",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rubbish_samples_are_replaced_and_counted() {
        let mut samples = [0.5, f32::NAN, f32::INFINITY, -1e30, -2.0, f32::NEG_INFINITY];
        assert_eq!(sanitise(&mut samples), 4);
        assert_eq!(samples, [0.5, 0.0, 0.0, -SANE_PEAK, -2.0, 0.0]);
    }
}
