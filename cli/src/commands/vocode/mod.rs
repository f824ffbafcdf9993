//! `formant vocode`: waveforms of spectrograms, and recordings through their spectrograms.

mod griffin_lim;
mod method;
mod spectrograms;

use clap::{Args, ValueEnum};
use formant_models::ModelSource;
use formant_models::arch::periodwave::{FreeU, Solver};
use formant_models::tasks::Task;
use formant_models::tasks::vocode::{
    Level, OnePassVocoder, Survey, USUAL_PASSES, VocodeOptions, Vocoder,
};

use self::griffin_lim::{GriffinLimArgs, Refine};
use self::method::Vocoding;
use super::Work;
use crate::audio_to_audio::{self, AudioToAudio, AudioToAudioArgs};
use crate::batch::{self, Lane};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::Input;
use crate::messages::Messages;
use crate::settings::Settings;
use crate::tasks;

/// What makes waveforms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// A network.
    Network,
    /// A search for phases that fit the spectrogram; needs no model.
    GriffinLim,
}

/// How steps from noise to waveform are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SolverArg {
    /// One call of the network a step.
    Euler,
    /// Two calls a step.
    Midpoint,
}

/// What `formant vocode` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant vocode mel.npz -o talk.wav\n\
    Example: formant vocode mel.npy --model periodwave_turbo_base/ -o talk.wav\n\n\
    Inputs are spectrograms (.npy, .npz), frames by bands or bands by frames, and recordings, of \
    which the method sees the spectrogram.")]
pub(crate) struct VocodeArgs {
    #[command(flatten)]
    files: AudioToAudioArgs,
    /// What makes the waveform [default: network with --model, otherwise griffin-lim].
    #[arg(long, value_enum, value_name = "METHOD")]
    method: Option<Method>,
    #[command(flatten)]
    griffin_lim: GriffinLimArgs,
    /// Name of a published model, or a file or folder; `formant models list --task vocode` says where
    /// there are some.
    #[arg(long, value_name = "NAME|PATH")]
    model: Option<String>,
    /// Steps from noise to waveform [default: the model's].
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// How steps are made [default: the model's].
    #[arg(long, value_enum, value_name = "KIND")]
    solver: Option<SolverArg>,
    /// Factor of the noise that waveforms begin with [default: the model's].
    #[arg(long, value_name = "FACTOR")]
    temperature: Option<f64>,
    /// Bend of the steps' times, from -1 (more of them at the beginning) to 1 [default: the model's].
    #[arg(long, value_name = "BEND", allow_hyphen_values = true)]
    sway: Option<f64>,
    /// Weights of the skip connections and of the backbone, for models that are not Turbo [without
    /// values: 0.9,1.1].
    #[arg(
        long,
        value_name = "SKIP,BACKBONE",
        num_args = 0..=1,
        require_equals = true,
        value_parser = free_u,
        default_missing_value = "0.9,1.1"
    )]
    free_u: Option<FreeU>,
    /// Passes that bring the waveform nearer to the spectrogram, behind either method [default: the
    /// model's; 32 without --model and --method].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    refine: Option<u32>,
    /// Scale recordings to a peak of 0.95 and louder outputs down to it, as the reference does,
    /// instead of keeping the input's level.
    #[arg(long)]
    reference_level: bool,
    /// Take spectrograms that look like those of another front end.
    #[arg(long)]
    force: bool,
}

/// `0.9,1.1`
fn free_u(text: &str) -> Result<FreeU, String> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let pair = text.split_once(',').and_then(|(skip, backbone)| {
        Some(FreeU { skip: number(skip)?, backbone: number(backbone)? })
    });
    pair.ok_or_else(|| "give two numbers, such as 0.9,1.1".to_owned())
}

impl VocodeArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        match (self.method, &self.model) {
            (Some(Method::Network), _) | (None, Some(_)) => self.by_network(settings),
            (Some(Method::GriffinLim), _) | (None, None) => self.by_griffin_lim(settings),
        }
    }

    /// Options of PeriodWave alone, and whether they were given.
    fn options_of_steps(&self) -> [(&'static str, bool); 6] {
        [
            ("--steps", self.steps.is_some()),
            ("--solver", self.solver.is_some()),
            ("--temperature", self.temperature.is_some()),
            ("--sway", self.sway.is_some()),
            ("--free-u", self.free_u.is_some()),
            ("--reference-level", self.reference_level),
        ]
    }

    fn by_network(self, settings: &Settings) -> Result<Work, Failure> {
        if let Some(option) = self.griffin_lim.given() {
            return Err(Failure::usage(option, "belongs to --method griffin-lim")
                .help("leave it out, or choose that method"));
        }
        let load = tasks::load_options(settings)?;
        let files = self.files.resolve_for_network("_vocoded", settings)?;
        let model: ModelSource = tasks::model(self.model.as_deref(), Vocoder::NAME)?;
        let options = VocodeOptions {
            steps: self.steps,
            solver: self.solver.map(|solver| match solver {
                SolverArg::Euler => Solver::Euler,
                SolverArg::Midpoint => Solver::Midpoint,
            }),
            temperature: self.temperature,
            sway: self.sway,
            free_u: self.free_u,
            refine: self.refine.map(|passes| passes as usize),
            seed: settings.seed.unwrap_or(0),
            level: if self.reference_level { Level::Reference } else { Level::Kept },
            ..VocodeOptions::default()
        };
        let is_forced = self.force;
        let steps = self.options_of_steps().into_iter().find(|(_, is_given)| *is_given);
        Ok(Box::new(move |settings, messages| {
            if OnePassVocoder::is_in(&model)? {
                if let Some((option, _)) = steps {
                    return Err(Failure::usage(option, "belongs to networks that work in steps")
                        .help("leave it out with HiFi-GAN, BigVGAN and MelGAN"));
                }
                tasks::use_threads(settings);
                tasks::tell_precision(&load, messages);
                let process = || {
                    let vocoder = OnePassVocoder::load(&model, &load)?;
                    let vocoder = vocoder.refined(options.refine.unwrap_or(0))?;
                    Ok(Vocoding::OnePass(Box::new(vocoder)))
                };
                return run(&files, is_forced, settings.one_by_one(), messages, process);
            }
            // Threads share the paths of the network, and libtorch has one: how it rounds depends on
            // the number of its threads, and the same seed gives the same bytes.
            tasks::use_threads(settings);
            let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1);
            let options = VocodeOptions { threads, ..options };
            tch::set_num_threads(1);
            tasks::tell_precision(&load, messages);
            let batch = settings.one_by_one();
            let process = || {
                let vocoder = Vocoder::load(&model, &load)?;
                let (vocoder, survey) = (Box::new(vocoder), Survey::default());
                Ok(Vocoding::Network { vocoder, options, survey })
            };
            run(&files, is_forced, batch, messages, process)
        }))
    }

    fn by_griffin_lim(self, settings: &Settings) -> Result<Work, Failure> {
        let networks = [("--model", self.model.is_some())];
        let mut networks = networks.into_iter().chain(self.options_of_steps());
        if let Some((option, _)) = networks.find(|(_, is_given)| *is_given) {
            return Err(match self.method {
                None => Failure::usage(option, "belongs to networks").help("name one with --model"),
                Some(_) => {
                    Failure::usage(option, "belongs to networks, not to --method griffin-lim")
                        .help("leave one of the two out")
                }
            });
        }
        let is_usual = self.method.is_none();
        let refine = match self.refine {
            Some(passes) => Refine::Asked(passes as usize),
            None => Refine::Usual(if is_usual { USUAL_PASSES } else { 0 }),
        };
        let process = self.griffin_lim.resolve(refine, settings)?;
        let files = self.files.resolve_for_network("_vocoded", settings)?;
        let is_forced = self.force;
        Ok(Box::new(move |settings, messages| {
            if is_usual {
                messages.note("method griffin-lim, without a network; --model names one");
            }
            let batch = settings.batch();
            run(&files, is_forced, batch, messages, || Ok(Vocoding::GriffinLim(Box::new(process))))
        }))
    }
}

/// Works on all inputs.
fn run(
    files: &AudioToAudio,
    is_forced: bool,
    batch: batch::Options,
    messages: &Messages,
    process: impl FnOnce() -> Result<Vocoding, Failure>,
) -> Result<Outcome, Failure> {
    let work = |process: &mut Vocoding, input: &Input, lane: &Lane<'_>| match spectrograms::is_one(
        input,
    ) {
        true => spectrograms::vocode(files, process, is_forced, input, lane, batch.json),
        false => audio_to_audio::recording(files, &*process, input, lane, batch.json),
    };
    batch::run(&files.sources.list, batch, messages, process, work)
}
