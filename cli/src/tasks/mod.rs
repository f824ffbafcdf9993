//! The model of a task and how it works, as options choose it: for the task's own command and for
//! others that run the task, such as `listen` and `eval`.

pub(crate) mod enhance;
pub(crate) mod speaker;
pub(crate) mod spot;
pub(crate) mod stems;
pub(crate) mod transcribe;

use formant_models::{LoadOptions, ModelSource};

use crate::failure::Failure;
use crate::messages::Messages;
use crate::settings::{Precision, Settings};

/// The model of this name, or the task's default.
pub(crate) fn model(name: Option<&str>, task: &str) -> Result<ModelSource, Failure> {
    Ok(ModelSource::or_default(name.map(ModelSource::named), task)?)
}

/// How networks are loaded that run in f32 and bf16.
pub(crate) fn load_options(settings: &Settings) -> Result<LoadOptions, Failure> {
    let precision = match settings.precision {
        Precision::Auto | Precision::F32 => formant_models::Precision::F32,
        Precision::Bf16 => formant_models::Precision::Bf16,
        Precision::F16 => {
            let failure = Failure::usage("--precision", "these networks have no f16");
            return Err(failure.help("use bf16, or f32"));
        }
    };
    Ok(LoadOptions { device: settings.device, precision })
}

/// How networks are loaded that run in f32 only; `what` names them.
pub(crate) fn load_options_f32(settings: &Settings, what: &str) -> Result<LoadOptions, Failure> {
    match settings.precision {
        Precision::Auto | Precision::F32 => {
            Ok(LoadOptions { device: settings.device, ..LoadOptions::default() })
        }
        Precision::Bf16 | Precision::F16 => {
            Err(Failure::usage("--precision", format!("{what} run in f32 only")))
        }
    }
}

/// Warns where numbers of 16 bits make networks slower instead of faster.
pub(crate) fn tell_precision(load: &LoadOptions, messages: &Messages) {
    if load.precision.is_native() {
        return;
    }
    if load.device.resolve().is_ok_and(|device| device == tch::Device::Cpu) {
        let text = "this processor has no instructions for it, and f32 is faster";
        messages.warning("--precision bf16", text);
    }
}

/// Tells libtorch how many threads a large network may use: those of `--threads`, or what `--jobs`
/// leaves each job of the processors that this process may use.
pub(crate) fn use_threads(settings: &Settings) {
    // libtorch counts the cores of the machine, which may be more than this process may use, or
    // fewer where a core runs two threads.
    let own = usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
    set_threads(settings.threads.unwrap_or_else(|| settings.processors_of_job().min(own)));
}

/// As [`use_threads`], for networks so small that a second thread costs more than it helps: one
/// unless more are asked for. Recordings are what `--jobs` spreads over the cores.
pub(crate) fn use_few_threads(settings: &Settings) {
    set_threads(settings.threads.unwrap_or(1));
}

/// Tells libtorch how many threads a network may use.
fn set_threads(threads: usize) {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
}
