//! What all methods of `formant vocode` do: a waveform of a spectrogram, and of a recording.

use formant_audio_core::AudioSpec;
use formant_audio_core::features::FeatureConfig;
use formant_models::tasks::vocode::{OnePassVocoder, Survey, VocodeOptions, VocodeReport, Vocoder};
use serde_json::{Map, Value, json};

use super::griffin_lim::Search;
use crate::audio_to_audio::{Made, Process, Session};
use crate::failure::Failure;
use crate::inputs::Input;
use crate::interrupt;
use crate::reading::Sources;
use crate::times::clock;

/// Frames of a spectrogram between two looks at interrupts.
const STRETCH: usize = 128;

/// A method and its options.
#[derive(Clone)]
pub(super) enum Vocoding {
    Network { vocoder: Box<Vocoder>, options: VocodeOptions, survey: Survey },
    OnePass(Box<OnePassVocoder>),
    GriffinLim(Box<Search>),
}

impl Vocoding {
    pub(super) fn sample_rate(&self) -> u32 {
        match self {
            Self::Network { vocoder, .. } => vocoder.sample_rate(),
            Self::OnePass(vocoder) => vocoder.sample_rate(),
            Self::GriffinLim(search) => search.vocoder.sample_rate(),
        }
    }

    /// The spectrogram that it takes, where it takes spectrograms.
    pub(super) fn front_end(&self) -> Option<&FeatureConfig> {
        match self {
            Self::Network { vocoder, .. } => vocoder.card().frontend.as_ref(),
            Self::OnePass(vocoder) => Some(vocoder.front_end()),
            Self::GriffinLim(search) => Some(search.vocoder.front_end()),
        }
    }

    /// Values of a frame.
    pub(super) fn bands(&self) -> usize {
        match self {
            Self::Network { vocoder, .. } => vocoder.card().config.n_mel_channels as usize,
            Self::OnePass(vocoder) => vocoder.bands(),
            Self::GriffinLim(search) => search.vocoder.bands(),
        }
    }

    /// The method for spectrograms of a file that states this front end.
    ///
    /// # Errors
    /// Why no waveform can be made of them.
    pub(super) fn of_front_end(&self, stated: &FeatureConfig) -> Result<Self, String> {
        match self {
            Self::Network { .. } | Self::OnePass(_) => Ok(self.clone()),
            Self::GriffinLim(search) => {
                search.of_front_end(stated).map(|search| Self::GriffinLim(Box::new(search)))
            }
        }
    }

    /// The waveform of a spectrogram, piece by piece.
    pub(super) fn waveform(
        &self,
        rows: &[f32],
        mut write: impl FnMut(&[f32]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        interrupt::check()?;
        let stretches = rows.chunks(STRETCH * self.bands());
        match self {
            Self::Network { vocoder, options, .. } => {
                let samples = vocoder.process_mel(rows, options)?;
                interrupt::check()?;
                write(&samples)
            }
            Self::OnePass(vocoder) => {
                let mut stream = vocoder.start_mel();
                for rows in stretches {
                    interrupt::check()?;
                    write(&stream.push(rows)?)?;
                }
                write(&stream.finish()?)
            }
            Self::GriffinLim(search) => {
                let mut stream = search.vocoder.start_mel();
                for rows in stretches {
                    interrupt::check()?;
                    write(&stream.push(rows)?)?;
                }
                write(&stream.finish()?)
            }
        }
    }

    /// What JSON lines say about a method that is no PeriodWave.
    pub(super) fn facts(&self) -> Map<String, Value> {
        match self {
            Self::Network { .. } => Map::new(),
            Self::OnePass(vocoder) => {
                Map::from_iter([("method".to_owned(), vocoder.name().into())])
            }
            Self::GriffinLim(search) => Map::from_iter([
                ("method".to_owned(), "griffin-lim".into()),
                ("iterations".to_owned(), search.options.iterations.into()),
                ("refine".to_owned(), search.passes.into()),
            ]),
        }
    }
}

impl Process for Vocoding {
    type Report = VocodeReport;

    fn command(&self) -> &'static str {
        "vocode"
    }

    fn output_spec(&self, input: AudioSpec) -> AudioSpec {
        AudioSpec { rate: self.sample_rate(), ..input }
    }

    /// A network sees all of a recording, however long, where it can be read more than once.
    fn prepared(&self, sources: &Sources, input: &Input) -> Result<Self, Failure> {
        let (Self::Network { vocoder, options, .. }, Some(_)) = (self, &input.path) else {
            return Ok(self.clone());
        };
        let mut first = sources.open(input)?;
        let most = options.measured_seconds * f64::from(first.spec().rate);
        if first.declared_frames().is_some_and(|frames| frames as f64 <= most) {
            return Ok(self.clone());
        }
        let survey = vocoder.survey(options, |hear| {
            let mut reader = sources.open(input)?;
            while let Some(block) = reader.next_block()? {
                interrupt::check()?;
                hear(&block.view())?;
            }
            Ok::<_, Failure>(())
        })?;
        Ok(Self::Network { vocoder: vocoder.clone(), options: *options, survey })
    }

    fn start(&self, _: AudioSpec) -> Result<impl Session<Report = VocodeReport>, Failure> {
        Ok(match self {
            Self::Network { vocoder, options, survey } => {
                vocoder.start_surveyed(options, survey.clone())?
            }
            Self::OnePass(vocoder) => vocoder.start(),
            Self::GriffinLim(search) => search.vocoder.start(),
        })
    }

    fn fields(&self, made: &Made<'_, VocodeReport>) -> Value {
        let mut fields = self.facts();
        fields.insert("output".to_owned(), made.targets[0].name().into());
        if let Self::Network { .. } = self {
            fields.insert("calls".to_owned(), made.report.calls.into());
        }
        fields.insert("peak".to_owned(), json!(made.files[0].peak));
        fields.insert("clipped".to_owned(), json!(made.files[0].clipped));
        Value::Object(fields)
    }

    fn notes(&self, made: &Made<'_, VocodeReport>) -> Vec<String> {
        let (output, length) = (made.targets[0].name(), clock(made.seconds()));
        let work = match self {
            Self::Network { .. } => format!("{} calls of the network", made.report.calls),
            Self::OnePass(vocoder) => vocoder.name().to_owned(),
            Self::GriffinLim(search) => {
                format!("{} iterations, refined {} times", search.options.iterations, search.passes)
            }
        };
        vec![format!("{} -> {output} ({length}, {work})", made.input)]
    }
}
