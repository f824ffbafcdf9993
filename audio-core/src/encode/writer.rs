//! The writer: takes blocks of audio, applies the clip policy, and names the file when it is done.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::flac::FlacSink;
use super::limiter::Limiter;
use super::options::{ClipPolicy, Container, SampleFormat, WriteOptions, WriteReport};
use super::output::Output;
use super::quantize::Quantizer;
use super::wav::WavSink;
use crate::buffer::{AudioSpec, AudioView};
use crate::draft::spool;
use crate::error::{Error, Result};

/// Samples that are converted in one go when a spooled file is scaled.
const SPOOL_SAMPLES: usize = 1 << 14;

/// The kinds of file behind the writer.
enum Sink {
    Wav(WavSink),
    Flac(Box<FlacSink>),
    Raw { output: Output, quantizer: Quantizer },
}

/// What happens to the samples before they reach the sink.
enum Stage {
    Direct,
    Limit(Limiter),
    Spool(BufWriter<File>),
}

/// Writes one file block by block. Nothing appears under the file's name before
/// [`AudioWriter::finish`]; a writer that is dropped leaves nothing behind.
pub struct AudioWriter {
    sink: Sink,
    stage: Stage,
    spec: AudioSpec,
    normalize_peak: Option<f32>,
    report: WriteReport,
    samples: Vec<f32>,
}

impl std::fmt::Debug for AudioWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioWriter").field("report", &self.report).finish_non_exhaustive()
    }
}

impl AudioWriter {
    /// Begin a file of the kind that `options` or the extension name.
    ///
    /// # Errors
    /// When the kind is not known, can't hold such audio, or the folder can't be written to.
    pub fn create(path: &Path, spec: AudioSpec, options: &WriteOptions) -> Result<Self> {
        let container = options.container.map_or_else(|| Container::from_path(path), Ok)?;
        check(spec, container)?;
        Self::new(Output::create(path)?, container, spec, options)
    }

    /// Begin a WAV file under its own name, in place of one that is there. After each
    /// [`AudioWriter::write`] the file is whole, whatever happens to the program.
    ///
    /// # Errors
    /// When the options ask for another kind of file or for a gain that is known at the end only,
    /// or the file can't be written.
    pub fn create_in_place(path: &Path, spec: AudioSpec, options: &WriteOptions) -> Result<Self> {
        let container = options.container.map_or_else(|| Container::from_path(path), Ok)?;
        if container != Container::Wav
            || options.clip != ClipPolicy::Clip
            || options.normalize_peak.is_some()
        {
            let reason = format!("{}: only WAV files are whole while they grow", path.display());
            return Err(Error::config("output format", reason));
        }
        check(spec, container)?;
        Self::new(Output::in_place(path)?, container, spec, options)
    }

    /// Write to a stream, such as standard output; WAV then has the sizes of a stream of unknown
    /// length.
    ///
    /// # Errors
    /// When no container is given, or it can't be written without going back.
    pub fn to_stream(
        stream: Box<dyn Write + Send>,
        spec: AudioSpec,
        options: &WriteOptions,
    ) -> Result<Self> {
        let container = options.container.unwrap_or(Container::Wav);
        check(spec, container)?;
        Self::new(Output::stream(stream), container, spec, options)
    }

    fn new(
        output: Output,
        container: Container,
        spec: AudioSpec,
        options: &WriteOptions,
    ) -> Result<Self> {
        if container == Container::Rf64 && !output.is_seekable() {
            return Err(Error::config(
                "output format",
                "RF64 can't be streamed; use wav, flac or raw",
            ));
        }
        let default =
            if container == Container::Flac { SampleFormat::S24 } else { SampleFormat::F32 };
        let format = options.format.unwrap_or(default);
        let quantizer = Quantizer::new(format, options.dither);
        let path = output.path().to_owned();
        let spooled = || -> Result<Stage> {
            Ok(Stage::Spool(BufWriter::new(spool().map_err(|e| Error::io(&path, e))?)))
        };
        let stage = match options.clip {
            _ if options.normalize_peak.is_some() => spooled()?,
            _ if format == SampleFormat::F32 => Stage::Direct,
            ClipPolicy::Clip => Stage::Direct,
            ClipPolicy::Limit => Stage::Limit(Limiter::new(spec.rate, spec.channels())),
            ClipPolicy::Scale => spooled()?,
        };
        let sink = match container {
            Container::Wav => {
                Sink::Wav(WavSink::new(output, spec, quantizer, format, options, false)?)
            }
            Container::Rf64 => {
                Sink::Wav(WavSink::new(output, spec, quantizer, format, options, true)?)
            }
            Container::Flac => {
                Sink::Flac(Box::new(FlacSink::new(output, spec, quantizer, format, options)?))
            }
            Container::Raw => Sink::Raw { output, quantizer },
        };
        let report = WriteReport {
            path,
            container,
            format,
            frames: 0,
            peak: 0.0,
            clipped: 0,
            limited: 0,
            gain: 1.0,
            non_finite: 0,
        };
        let normalize_peak = options.normalize_peak;
        Ok(Self { sink, stage, spec, normalize_peak, report, samples: Vec::new() })
    }

    /// Append a block.
    ///
    /// # Errors
    /// [`Error::Shape`] when rate or layout differ from the file's; otherwise when writing fails.
    pub fn write(&mut self, block: &AudioView<'_>) -> Result<()> {
        if block.spec() != self.spec {
            return Err(Error::Shape {
                what: "audio to write",
                expected: format!("{} Hz {}", self.spec.rate, self.spec.layout),
                found: format!("{} Hz {}", block.rate(), block.spec().layout),
            });
        }
        let mut samples = block.to_interleaved();
        for sample in &mut samples {
            if sample.is_finite() {
                self.report.peak = self.report.peak.max(sample.abs());
            } else {
                *sample = 0.0;
                self.report.non_finite += 1;
            }
        }
        self.report.frames += block.frames() as u64;
        match &mut self.stage {
            Stage::Direct => self.sink.write(&samples),
            Stage::Limit(limiter) => {
                self.samples.clear();
                limiter.process(&samples, &mut self.samples);
                self.sink.write(&self.samples)
            }
            Stage::Spool(spool) => samples
                .iter()
                .try_for_each(|sample| spool.write_all(&sample.to_le_bytes()))
                .map_err(|e| Error::io(&self.report.path, e)),
        }
    }

    /// Complete the file and give it its name.
    ///
    /// # Errors
    /// When writing fails; nothing is left behind then.
    pub fn finish(self) -> Result<WriteReport> {
        let gain = self.own_gain();
        let (output, report) = self.complete(gain)?;
        output.commit()?;
        Ok(report)
    }

    /// The gain that [`ClipPolicy::Scale`] asks for.
    fn own_gain(&self) -> f32 {
        let scales = self.normalize_peak.is_none() && matches!(self.stage, Stage::Spool(_));
        if scales && self.report.peak > 1.0 { 1.0 / self.report.peak } else { 1.0 }
    }

    fn complete(mut self, gain: f32) -> Result<(Output, WriteReport)> {
        match std::mem::replace(&mut self.stage, Stage::Direct) {
            Stage::Direct => {}
            Stage::Limit(mut limiter) => {
                self.samples.clear();
                limiter.flush(&mut self.samples);
                self.report.limited = limiter.limited;
                self.sink.write(&self.samples)?;
            }
            Stage::Spool(spool) => match self.normalize_peak {
                Some(wanted) => {
                    let peak = self.report.peak;
                    let gain = if peak > 0.0 { wanted / peak } else { 1.0 };
                    self.unspool(spool, gain)?;
                    self.report.peak = peak * gain;
                }
                None => {
                    self.report.gain = gain;
                    self.unspool(spool, gain)?;
                }
            },
        }
        let mut report = self.report;
        let output = match self.sink {
            Sink::Wav(sink) => {
                let (output, clipped, rf64) = sink.finish()?;
                report.clipped = clipped;
                report.container = if rf64 { Container::Rf64 } else { Container::Wav };
                output
            }
            Sink::Flac(sink) => {
                let (output, clipped) = sink.finish()?;
                report.clipped = clipped;
                output
            }
            Sink::Raw { output, quantizer } => {
                report.clipped = quantizer.clipped;
                output
            }
        };
        Ok((output, report))
    }

    /// Pass the spooled samples on, scaled.
    fn unspool(&mut self, spool: BufWriter<File>, gain: f32) -> Result<()> {
        let io_error = |e| Error::io(&self.report.path, e);
        let mut file = spool.into_inner().map_err(|e| io_error(e.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(io_error)?;
        let mut reader = BufReader::new(file);
        let mut left = self.report.frames * self.spec.channels() as u64;
        let mut bytes = vec![0; 4 * SPOOL_SAMPLES];
        while left > 0 {
            let count = left.min((SPOOL_SAMPLES - SPOOL_SAMPLES % self.spec.channels()) as u64);
            let bytes = &mut bytes[..4 * count as usize];
            reader.read_exact(bytes).map_err(io_error)?;
            let (samples, _) = bytes.as_chunks::<4>();
            let samples: Vec<f32> =
                samples.iter().map(|&b| (f32::from_le_bytes(b) * gain).clamp(-1.0, 1.0)).collect();
            self.sink.write(&samples)?;
            left -= count;
        }
        Ok(())
    }
}

/// Complete a group of files, such as the stems of one mix: where their policy is
/// [`ClipPolicy::Scale`] all share one gain, so that they still add up. Either all files appear
/// or, when writing fails, none.
///
/// # Errors
/// When writing fails.
pub fn finish_group(writers: Vec<AudioWriter>) -> Result<Vec<WriteReport>> {
    let gain = writers.iter().map(AudioWriter::own_gain).fold(1.0, f32::min);
    let complete: Vec<(Output, WriteReport)> =
        writers.into_iter().map(|writer| writer.complete(gain)).collect::<Result<_>>()?;
    complete.into_iter().map(|(output, report)| output.commit().map(|()| report)).collect()
}

/// Write a whole buffer.
///
/// # Errors
/// As [`AudioWriter::create`] and [`AudioWriter::write`].
///
/// ```no_run
/// use formant_audio_core::encode::{SampleFormat, WriteOptions, write_file};
/// use formant_audio_core::AudioView;
/// let options = WriteOptions { format: Some(SampleFormat::S24), ..Default::default() };
/// let report = write_file("out.wav".as_ref(), &AudioView::from_mono(16_000, &[0.0; 160]), &options)?;
/// assert_eq!(report.clipped, 0);
/// # Ok::<(), formant_audio_core::Error>(())
/// ```
pub fn write_file(
    path: &Path,
    audio: &AudioView<'_>,
    options: &WriteOptions,
) -> Result<WriteReport> {
    let options = WriteOptions { expected_frames: Some(audio.frames() as u64), ..options.clone() };
    let mut writer = AudioWriter::create(path, audio.spec(), &options)?;
    write_blocks(&mut writer, audio)?;
    writer.finish()
}

/// Write several buffers that belong together, with one gain where the policy scales.
///
/// # Errors
/// As [`write_file`] and [`finish_group`].
pub fn write_group(
    files: &[(PathBuf, AudioView<'_>)],
    options: &WriteOptions,
) -> Result<Vec<WriteReport>> {
    let mut writers = Vec::new();
    for (path, audio) in files {
        let options =
            WriteOptions { expected_frames: Some(audio.frames() as u64), ..options.clone() };
        let mut writer = AudioWriter::create(path, audio.spec(), &options)?;
        write_blocks(&mut writer, audio)?;
        writers.push(writer);
    }
    finish_group(writers)
}

fn write_blocks(writer: &mut AudioWriter, audio: &AudioView<'_>) -> Result<()> {
    const BLOCK: usize = 1 << 14;
    (0..audio.frames()).step_by(BLOCK).try_for_each(|at| writer.write(&audio.slice(at..at + BLOCK)))
}

/// Refuse what no header can express.
fn check(spec: AudioSpec, container: Container) -> Result<()> {
    let channels = spec.channels();
    if channels == 0 || (container != Container::Raw && channels > 4096) {
        return Err(Error::config("channels", format!("{channels} channels can't be written")));
    }
    if spec.rate == 0 {
        return Err(Error::config("rate", "a sample rate of zero can't be written"));
    }
    Ok(())
}

impl Sink {
    fn write(&mut self, samples: &[f32]) -> Result<()> {
        match self {
            Self::Wav(sink) => sink.write(samples),
            Self::Flac(sink) => sink.write(samples),
            Self::Raw { output, quantizer } => {
                let mut bytes = Vec::new();
                quantizer.bytes(samples, &mut bytes);
                output.write(&bytes)
            }
        }
    }
}
