//! `models`.

use std::path::PathBuf;

use formant_models::checkpoint::{ConvertOptions, DType, Share, WeightNorm};
use formant_models::registry::{BUNDLED, Cache, HubOptions, published_models};

use super::{Settings, read_json};
use crate::args::{CacheArgs, ModelsCommand, Precision, WeightNormArg};
use crate::failure::Failure;
use crate::outputs::{Existing, Target};

/// What `models` does.
#[derive(Debug)]
pub(crate) enum ModelsPlan {
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
        ModelsCommand::List { task, cache } => {
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
