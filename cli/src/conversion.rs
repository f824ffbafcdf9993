//! What `convert` and `resample` do: change the rate and the kind of file, and nothing else.

use formant_audio_core::resample::{Quality, StreamResampler};
use formant_audio_core::{AudioBuf, AudioSpec, AudioView};
use serde_json::{Value, json};

use crate::audio_to_audio::{
    self, AudioToAudio, AudioToAudioArgs, Ending, Made, Offset, Process, Session,
};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::Input;
use crate::loudness::Leveling;
use crate::messages::Messages;
use crate::outputs::SuffixWhen;
use crate::reading::Sources;
use crate::settings::Settings;
use crate::times::clock;

/// A change of rate, or of the kind of file alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conversion {
    /// Name of the command.
    pub(crate) command: &'static str,
    /// `None` keeps the rate.
    pub(crate) rate: Option<u32>,
    pub(crate) quality: Quality,
    /// Loudness to be reached, in LUFS.
    pub(crate) loudness: Option<f64>,
    /// What was found of the input at hand.
    pub(crate) leveling: Option<Leveling>,
}

impl Conversion {
    /// What was meant.
    pub(crate) fn plan(
        self,
        files: &AudioToAudioArgs,
        keep_offset: bool,
        settings: &Settings,
    ) -> Result<(Self, AudioToAudio), Failure> {
        // Tells the output from an input of the same kind beside it.
        let (suffix, when) = match self.rate {
            Some(rate) if rate % 1000 == 0 => (format!("_{}k", rate / 1000), SuffixWhen::Always),
            Some(rate) => (format!("_{rate}"), SuffixWhen::Always),
            None => ("_converted".to_owned(), SuffixWhen::SameExtension),
        };
        if self.loudness.is_some() {
            let mut entries = files.input.inputs.iter();
            if entries.any(|name| name.as_os_str() == "-") {
                return Err(Failure::usage("--loudness", "standard input can't be read twice")
                    .help("write it to a file first"));
            }
        }
        let files = files.resolve(&suffix, when, |target| vec![target.clone()], settings)?;
        let offset = if keep_offset { Offset::Keep } else { Offset::Tell };
        Ok((self, AudioToAudio { offset, ..files }))
    }

    /// Converts all inputs.
    pub(crate) fn run(
        (conversion, files): (Self, AudioToAudio),
        settings: &Settings,
        messages: &Messages,
    ) -> Result<Outcome, Failure> {
        audio_to_audio::run(&files, settings.batch(), messages, || Ok(conversion))
    }
}

impl Process for Conversion {
    type Report = ();

    fn command(&self) -> &'static str {
        self.command
    }

    fn output_spec(&self, input: AudioSpec) -> AudioSpec {
        AudioSpec { rate: self.rate.unwrap_or(input.rate), ..input }
    }

    fn prepared(&self, sources: &Sources, input: &Input) -> Result<Self, Failure> {
        let measure = |target| Leveling::measure(sources.open(input)?, target);
        Ok(Self { leveling: self.loudness.map(measure).transpose()?, ..*self })
    }

    fn start(&self, input: AudioSpec) -> Result<impl Session<Report = ()>, Failure> {
        let rate = self.rate.filter(|rate| *rate != input.rate);
        let resampler = rate.map(|rate| StreamResampler::new(input, rate, self.quality));
        let gain = self.leveling.map_or(1.0, |leveling| leveling.factor());
        Ok(Resampling { resampler: resampler.transpose()?, gain })
    }

    fn fields(&self, made: &Made<'_, ()>) -> Value {
        let file = &made.files[0];
        let mut fields = json!({
            "output": made.targets[0].name(),
            "container": file.container,
            "bits": file.format,
            "peak": file.peak,
            "clipped": file.clipped,
            "limited": file.limited,
            "gain": file.gain,
        });
        if let Some(leveling) = self.leveling {
            fields["loudness"] = json!({
                "lufs": leveling.lufs,
                "gain_db": leveling.gain_db(),
                "true_peak_dbtp": leveling.peak_after(),
            });
        }
        fields
    }

    fn notes(&self, made: &Made<'_, ()>) -> Vec<String> {
        let (output, length) = (made.targets[0].name(), clock(made.seconds()));
        let (rate, channels) = (made.spec.rate, made.spec.channels());
        let plural = if channels == 1 { "" } else { "s" };
        let mut notes = vec![format!(
            "{} -> {output} ({length}, {rate} Hz, {channels} channel{plural})",
            made.input
        )];
        notes.extend(self.leveling.map(|leveling| format!("  {}", leveling.text())));
        if made.files[0].limited > 0 {
            notes.push(format!("  {} frames were limited", made.files[0].limited));
        }
        notes
    }
}

/// A change of rate, or none, and a gain.
pub(crate) struct Resampling {
    pub(crate) resampler: Option<StreamResampler>,
    pub(crate) gain: f32,
}

impl Resampling {
    /// With the gain, where it is one.
    fn leveled(&self, mut block: AudioBuf) -> AudioBuf {
        if self.gain != 1.0 {
            block.as_planar_mut().iter_mut().for_each(|sample| *sample *= self.gain);
        }
        block
    }
}

impl Session for Resampling {
    type Report = ();

    fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<AudioBuf>, Failure> {
        let block = match &mut self.resampler {
            Some(resampler) => resampler.push(block)?,
            None => block.to_owned(),
        };
        Ok(vec![self.leveled(block)])
    }

    fn finish(mut self) -> Result<Ending<()>, Failure> {
        let rest = self.resampler.as_mut().map(StreamResampler::finish).transpose()?;
        let blocks = rest.map(|rest| self.leveled(rest)).into_iter().collect();
        Ok(Ending { blocks, report: (), warnings: Vec::new() })
    }
}
