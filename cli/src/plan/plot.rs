//! `plot`: one picture of everything, or one picture an input.

use std::path::PathBuf;

use formant_audio_core::decode::{ChannelSelect, DecodeOptions};
use formant_audio_core::plot::{AxisScale, PlotOptions};

use super::{Settings, Sources, check_stdout, decode_options};
use crate::args::{PlotArgs, ScaleArg};
use crate::failure::Failure;
use crate::outputs::{self, Existing, Naming, SuffixWhen, Target};

/// What `plot` does.
#[derive(Debug)]
pub(crate) struct PlotPlan {
    pub(crate) task: PlotTask,
    pub(crate) existing: Existing,
    pub(crate) channels: Option<ChannelSelect>,
    pub(crate) options: PlotOptions,
}

/// Which pictures.
#[derive(Debug)]
pub(crate) enum PlotTask {
    /// One a input.
    Each { sources: Sources, targets: Vec<Option<Target>> },
    /// One of all inputs.
    Together { sources: Sources, target: Target },
    /// Two files and their difference.
    Compare { a: PathBuf, b: PathBuf, decode: DecodeOptions, target: Target },
}

pub(crate) fn resolve(typed: &PlotArgs, settings: &Settings) -> Result<PlotPlan, Failure> {
    let task = match &typed.compare[..] {
        [a, b] => {
            let decode = decode_options(&typed.audio);
            PlotTask::Compare {
                a: a.clone(),
                b: b.clone(),
                decode,
                target: comparison(typed, a, b),
            }
        }
        _ => pictures(typed, settings)?,
    };
    if let PlotTask::Together { target, .. } | PlotTask::Compare { target, .. } = &task {
        check_stdout(&[Some(target.clone())], settings)?;
    }
    let options = PlotOptions {
        width: typed.width,
        columns: typed.columns,
        waveform_height: if typed.no_waveform { 0 } else { PlotOptions::default().waveform_height },
        spectrogram_height: match typed.no_spectrogram {
            true => 0,
            false => PlotOptions::default().spectrogram_height,
        },
        frequency_scale: match typed.scale {
            ScaleArg::Linear => AxisScale::Linear,
            ScaleArg::Log => AxisScale::Log,
            ScaleArg::Mel => AxisScale::Mel,
        },
        min_frequency: typed.f_min,
        max_frequency: typed.f_max,
        range_db: typed.range,
        n_fft: typed.n_fft,
        ..PlotOptions::default()
    };
    Ok(PlotPlan { task, existing: Existing::of(&typed.output), channels: typed.channels, options })
}

fn pictures(typed: &PlotArgs, settings: &Settings) -> Result<PlotTask, Failure> {
    let sources = Sources::of(&typed.input, &typed.audio)?;
    let output = typed.output.output.as_ref();
    let one_file = output.filter(|path| {
        let png = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
        (png && !path.is_dir()) || path.as_os_str() == "-"
    });
    if let Some(path) = one_file.filter(|_| !sources.list.single) {
        let stdout = path.as_os_str() == "-";
        let target = if stdout { Target::Stdout } else { Target::File(path.clone()) };
        return Ok(PlotTask::Together { sources, target });
    }
    let naming = Naming {
        suffix: String::new(),
        suffix_when: SuffixWhen::Always,
        extension: "png".to_owned(),
    };
    let targets = outputs::assign(&typed.output, &sources.list, &naming)?;
    check_stdout(&targets, settings)?;
    Ok(PlotTask::Each { sources, targets })
}

/// `a_vs_b.png` beside `a`, unless `-o` says otherwise.
fn comparison(typed: &PlotArgs, a: &std::path::Path, b: &std::path::Path) -> Target {
    let stem = |path: &std::path::Path| {
        path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    };
    let name = format!("{}_vs_{}.png", stem(a), stem(b));
    match &typed.output.output {
        Some(path) if path.as_os_str() == "-" => Target::Stdout,
        Some(path) if path.is_dir() || path.to_string_lossy().ends_with('/') => {
            Target::File(path.join(name))
        }
        Some(path) => Target::File(path.clone()),
        None => Target::File(a.with_file_name(name)),
    }
}
