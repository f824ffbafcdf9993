//! `models`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What `formant models` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant models list")]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    pub(crate) command: ModelsCommand,
}

/// What can be done with models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List the models that come with the program, and published ones that can be fetched.
    #[command(after_help = "Example: formant models list --task separate")]
    List {
        /// Only models for this task, named as its command.
        #[arg(long, value_name = "TASK")]
        task: Option<String>,
        /// List the tasks instead: what each is called, does, and uses where no model is named.
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
    /// Fetch published models into the cache, where --model NAME finds them.
    ///
    /// A download that breaks off is continued by the next call; sizes and checksums are compared
    /// before anything is used. HF_ENDPOINT names a mirror of the hub, HF_TOKEN a token for it;
    /// HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE are heeded.
    #[command(after_help = "Example: formant models pull ecapa-voxceleb")]
    Pull {
        /// Names from `formant models list`.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Look for newer files of what is in the cache.
        #[arg(long)]
        update: bool,
        /// Use no network: succeed only with what is in the cache. Also FORMANT_OFFLINE=1 and
        /// HF_HUB_OFFLINE=1.
        #[arg(long)]
        offline: bool,
        #[command(flatten)]
        cache: CacheArgs,
    },
    /// Compare the files of fetched models with their checksums.
    #[command(after_help = "Example: formant models verify ecapa-voxceleb")]
    Verify {
        /// Names of fetched models [default: all of them].
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        cache: CacheArgs,
    },
    /// Remove fetched models from the cache.
    #[command(after_help = "Example: formant models remove ecapa-voxceleb")]
    Remove {
        /// Names of fetched models.
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
        /// What happens to weight normalisation.
        #[arg(long, value_enum, default_value = "fold", value_name = "HOW")]
        weight_norm: WeightNormArg,
        /// Average the weights with those of another checkpoint of the same network, such as a later
        /// stage of training: SHARE, between 0 and 1, is how much of the mean is the other's, and
        /// the rest is IN's. May be given more than once.
        #[arg(long, value_name = "FILE=SHARE")]
        average: Vec<String>,
        /// JSON object whose entries go into the provenance that a model of `formant train` carries:
        /// name, licence, data, quality, decoding; null removes one.
        #[arg(long, value_name = "FILE")]
        provenance: Option<PathBuf>,
        /// Replace an output that exists.
        #[arg(long)]
        overwrite: bool,
    },
}

/// Where fetched models are.
#[derive(Debug, Default, Args)]
pub(crate) struct CacheArgs {
    /// Cache folder [default: FORMANT_CACHE, or `formant` in the system's folder for caches].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) cache_dir: Option<PathBuf>,
}

/// What happens to weight normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightNormArg {
    /// Weights are multiplied out.
    Fold,
    /// Pairs of tensors stay.
    Keep,
}
