//! `formant models`: what there is, what is in a file, and one plain file from any.

mod cached;
mod catalogue;
mod provenance;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use formant_models::checkpoint::{ConvertOptions, DType, Share, WeightNorm};
use formant_models::registry::{BUNDLED, Cache, HubOptions, published_models};
use formant_models::{checkpoint, registry};

use super::{Work, work};
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::outputs::{Existing, Target};
use crate::settings::{Precision, Settings};
use crate::{interrupt, json as lines, stdout};

/// What `formant models` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant models list")]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    command: ModelsCommand,
}

/// What can be done with models.
#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// List bundled models, and published models that can be downloaded.
    #[command(after_help = "Example: formant models list --task separate")]
    List {
        /// List models of this task only, by the name of its command.
        #[arg(long, value_name = "TASK")]
        task: Option<String>,
        /// List the tasks instead, with their default models.
        #[arg(long, conflicts_with = "task")]
        tasks: bool,
        #[command(flatten)]
        cache: CacheArgs,
    },
    /// Describe checkpoint files or folders, bundled or published models.
    #[command(after_help = "Example: formant models info checkpoint.pth")]
    Info {
        /// Files, folders, or names from `formant models list`.
        #[arg(required = true, value_name = "MODEL")]
        models: Vec<PathBuf>,
        #[command(flatten)]
        cache: CacheArgs,
    },
    /// Download published models into the cache, where --model NAME finds them.
    ///
    /// The next call resumes an interrupted download. Sizes and checksums are checked before use. HF_ENDPOINT names a
    /// mirror of the hub, HF_TOKEN a token for it, FORMANT_MIRROR a mirror of direct addresses
    /// (MIRROR/HOST/PATH); HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE apply.
    #[command(after_help = "Example: formant models pull squeezeformer-medium-en")]
    Pull {
        /// Names from `formant models list`.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Check for newer files of cached models.
        #[arg(long)]
        update: bool,
        /// Use the cache only, without a network. Also FORMANT_OFFLINE=1 and
        /// HF_HUB_OFFLINE=1.
        #[arg(long)]
        offline: bool,
        #[command(flatten)]
        cache: CacheArgs,
    },
    /// Check downloaded models against their checksums.
    #[command(after_help = "Example: formant models verify ecapa-voxceleb")]
    Verify {
        /// Names of downloaded models [default: all of them].
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        cache: CacheArgs,
    },
    /// Remove downloaded models from the cache.
    #[command(after_help = "Example: formant models remove ecapa-voxceleb")]
    Remove {
        /// Names of downloaded models.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        cache: CacheArgs,
    },
    /// Write any checkpoint as one safetensors file with plain names; --precision changes its type.
    #[command(after_help = "Example: formant models convert checkpoint.pth model.safetensors")]
    Convert {
        /// A checkpoint file or folder.
        #[arg(value_name = "IN")]
        input: PathBuf,
        /// The safetensors file to write.
        #[arg(value_name = "OUT")]
        output: PathBuf,
        /// What happens to weight normalization.
        #[arg(long, value_enum, default_value = "fold", value_name = "HOW")]
        weight_norm: WeightNormArg,
        /// Average the weights with another checkpoint of the same network, such as a later stage of
        /// training. SHARE, between 0 and 1, is the weight of the other checkpoint in the mean. May be
        /// repeated.
        #[arg(long, value_name = "FILE=SHARE")]
        average: Vec<String>,
        /// JSON object whose entries go into the provenance that a model of `formant train` carries:
        /// name, licence, data, quality, decoding; null removes one.
        #[arg(long, value_name = "FILE")]
        provenance: Option<PathBuf>,
        /// Replace an existing output.
        #[arg(long)]
        overwrite: bool,
    },
}

/// Where fetched models are.
#[derive(Debug, Default, Args)]
struct CacheArgs {
    /// Cache folder [default: FORMANT_CACHE, or `formant` in the system's folder for caches].
    #[arg(long, value_name = "FOLDER")]
    cache_dir: Option<PathBuf>,
}

/// What happens to weight normalization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WeightNormArg {
    /// Fold the pairs of tensors into weights.
    Fold,
    /// Keep the pairs of tensors.
    Keep,
}

impl ModelsArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = plan(self.command, settings)?;
        Ok(work(plan, run))
    }
}

/// What `models` does.
#[derive(Debug)]
enum ModelsPlan {
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

fn plan(typed: ModelsCommand, settings: &Settings) -> Result<ModelsPlan, Failure> {
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
            if output.as_os_str() == "-" {
                return Err(Failure::usage("-", "a checkpoint can't go to standard output")
                    .help("name a file, such as model.safetensors"));
            }
            Existing::overwrite(overwrite).admits(&Target::File(output.clone()))?;
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
                    Some(path) => lines::read_file(&path)?,
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

fn run(plan: ModelsPlan, settings: &Settings, messages: &Messages) -> Result<Outcome, Failure> {
    match plan {
        ModelsPlan::Tasks => catalogue::list_tasks(settings),
        ModelsPlan::List { task, cache } => {
            catalogue::list(task.as_deref(), cache.as_ref(), settings)
        }
        ModelsPlan::Info { models, cache } => info(&models, cache.as_ref(), settings, messages),
        ModelsPlan::Pull { names, cache, hub } => {
            interrupt::install()?;
            each(&names, settings, messages, |name| {
                cached::pull(name, &cache, &hub, settings, messages)
            })
        }
        ModelsPlan::Verify { names, cache } => {
            interrupt::install()?;
            let names = if names.is_empty() { cached::names(&cache) } else { names };
            each(&names, settings, messages, |name| cached::verify(name, &cache, settings))
        }
        ModelsPlan::Remove { names, cache } => each(&names, settings, messages, |name| {
            cached::remove(name, &cache, settings, messages)
        }),
        ModelsPlan::Convert { input, output, options } => {
            let report = checkpoint::convert(&input, &output, &options)?;
            let text = match settings.json {
                true => lines::line("model_conversion", &report),
                false => format!("{report}\n"),
            };
            stdout::print(&text)?;
            Ok(Outcome::done())
        }
    }
}

/// Prints what comes of every name; one that fails does not stop the rest.
fn each(
    names: &[String],
    settings: &Settings,
    messages: &Messages,
    work: impl Fn(&str) -> Result<String, Failure>,
) -> Result<Outcome, Failure> {
    let (mut done, mut failed, mut interrupted) = (0, Vec::new(), false);
    for name in names {
        match work(name) {
            Ok(text) => {
                stdout::print(&text)?;
                done += 1;
            }
            Err(failure) => {
                interrupted = failure.kind == Kind::Interrupted;
                let failure = failure.of_input(name);
                messages.failure(&failure);
                if settings.json {
                    stdout::print(&lines::failure(name, &failure))?;
                }
                if interrupted {
                    break;
                }
                failed.push(failure.kind);
            }
        }
    }
    Ok(Outcome::Worked { done, failed, interrupted })
}

fn info(
    models: &[PathBuf],
    cache: Option<&Cache>,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    let names: Vec<String> = models.iter().map(|model| model.display().to_string()).collect();
    each(&names, settings, messages, |name| describe(name, cache, settings))
}

fn describe(name: &str, cache: Option<&Cache>, settings: &Settings) -> Result<String, Failure> {
    if Path::new(name).exists() {
        let description = checkpoint::describe(name)?;
        return Ok(match settings.json {
            true => lines::line("model_file", &description),
            false => description.to_string(),
        });
    }
    if let Ok(bundled) = registry::bundled(name) {
        return catalogue::bundled_text(bundled, settings);
    }
    match registry::published(name) {
        Some(model) => Ok(catalogue::published_text(model, cache, settings)),
        None => Err(unknown(name, "neither a file nor a model's name")),
    }
}

fn unknown(name: &str, why: &str) -> Failure {
    Failure::new(Kind::Model, name, why).help("`formant models list` shows all names")
}
