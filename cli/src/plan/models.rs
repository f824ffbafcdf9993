//! `models` and `bench`.

use std::path::PathBuf;

use formant_models::ModelSource;
use formant_models::checkpoint::{ConvertOptions, DType, Share, WeightNorm};
use formant_models::registry::{BUNDLED, Cache, HubOptions, published_models};

use super::spot::model_source;
use super::{Settings, read_json};
use crate::args::{BenchArgs, BenchJob, CacheArgs, ModelsCommand, Precision, WeightNormArg};
use crate::failure::Failure;
use crate::outputs::{Existing, Target};

/// What `models` does.
#[derive(Debug)]
pub(crate) enum ModelsPlan {
    Tasks,
    /// `None` is a cache that no variable names.
    List {
        task: Option<String>,
        cache: Option<Cache>,
    },
    Info {
        models: Vec<PathBuf>,
        cache: Option<Cache>,
    },
    Pull {
        names: Vec<String>,
        cache: Cache,
        hub: Box<HubOptions>,
    },
    Verify {
        names: Vec<String>,
        cache: Cache,
    },
    Remove {
        names: Vec<String>,
        cache: Cache,
    },
    Convert {
        input: PathBuf,
        output: PathBuf,
        options: ConvertOptions,
    },
}

pub(super) fn models(typed: ModelsCommand, settings: &Settings) -> Result<ModelsPlan, Failure> {
    Ok(match typed {
        ModelsCommand::List { tasks: true, .. } => ModelsPlan::Tasks,
        ModelsCommand::List { task, cache, tasks: false } => {
            if let Some(task) = &task {
                check_task(task)?;
            }
            ModelsPlan::List { task, cache: cache_of(cache).ok() }
        }
        ModelsCommand::Info { models, cache } => {
            ModelsPlan::Info { models, cache: cache_of(cache).ok() }
        }
        ModelsCommand::Pull { names, update, offline, cache } => {
            let mut hub = HubOptions::from_env()?;
            hub.update = update;
            if offline {
                hub.offline = Some("--offline".to_owned());
            }
            ModelsPlan::Pull { names, cache: cache_of(cache)?, hub: Box::new(hub) }
        }
        ModelsCommand::Verify { names, cache } => {
            ModelsPlan::Verify { names, cache: cache_of(cache)? }
        }
        ModelsCommand::Remove { names, cache } => {
            ModelsPlan::Remove { names, cache: cache_of(cache)? }
        }
        ModelsCommand::Convert { input, output, weight_norm, average, provenance, overwrite } => {
            let existing = if overwrite { Existing::Overwrite } else { Existing::Refuse };
            existing.admits(&Target::File(output.clone()))?;
            let options = ConvertOptions {
                precision: match settings.precision {
                    Precision::Auto => None,
                    Precision::F32 => Some(DType::F32),
                    Precision::Bf16 => Some(DType::BF16),
                    Precision::F16 => Some(DType::F16),
                },
                weight_norm: match weight_norm {
                    WeightNormArg::Fold => WeightNorm::Fold,
                    WeightNormArg::Keep => WeightNorm::Keep,
                },
                average: average.iter().map(|typed| share(typed)).collect::<Result<_, _>>()?,
                provenance: match provenance {
                    Some(path) => read_json(&path)?,
                    None => serde_json::Map::new(),
                },
            };
            ModelsPlan::Convert { input, output, options }
        }
    })
}

/// `FILE=SHARE`.
fn share(typed: &str) -> Result<Share, Failure> {
    let parts = typed.rsplit_once('=').and_then(|(path, share)| Some((path, share.parse().ok()?)));
    match parts {
        Some((path, share)) if !path.is_empty() => Ok(Share { path: path.into(), share }),
        _ => Err(Failure::usage("--average", format!("`{typed}` is no checkpoint with its share"))
            .help("give FILE=SHARE, with a share between 0 and 1, such as later.safetensors=0.4")),
    }
}

fn cache_of(typed: CacheArgs) -> Result<Cache, Failure> {
    Ok(match typed.cache_dir {
        Some(folder) => Cache::at(folder),
        None => Cache::from_env()?,
    })
}

fn check_task(task: &str) -> Result<(), Failure> {
    let bundled = BUNDLED.iter().map(|model| model.task);
    let mut tasks: Vec<&str> = bundled.chain(published_models().map(|model| model.task)).collect();
    tasks.sort_unstable();
    tasks.dedup();
    match tasks.contains(&task) {
        true => Ok(()),
        false => Err(Failure::usage("--task", format!("no model is for `{task}`"))
            .help(format!("give one of: {}", tasks.join(", ")))),
    }
}

/// What `bench` does.
#[derive(Debug)]
pub(crate) struct BenchPlan {
    pub(crate) jobs: Vec<BenchJob>,
    pub(crate) seconds: f64,
    pub(crate) repeat: usize,
    pub(crate) cold: bool,
    pub(crate) input: Option<PathBuf>,
    pub(crate) preset: String,
    pub(crate) model: Option<ModelSource>,
    pub(crate) config: Option<PathBuf>,
}

pub(super) fn bench(typed: &BenchArgs) -> Result<BenchPlan, Failure> {
    if !(typed.seconds > 0.0 && typed.seconds <= 86_400.0) {
        return Err(Failure::usage("--seconds", "give more than 0 and at most 86400"));
    }
    let all = [
        BenchJob::Decode,
        BenchJob::Resample,
        BenchJob::Features,
        BenchJob::Spot,
        BenchJob::Speaker,
        BenchJob::Transcribe,
    ];
    Ok(BenchPlan {
        jobs: if typed.which.is_empty() { all.to_vec() } else { typed.which.clone() },
        seconds: typed.seconds,
        repeat: typed.repeat.into(),
        cold: typed.cold,
        input: typed.input.clone(),
        preset: typed.preset.clone(),
        model: typed.model.as_deref().map(model_source),
        config: typed.config.clone(),
    })
}
