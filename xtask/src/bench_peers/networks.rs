//! Networks at their published sizes beside the reference implementations, with the same weights,
//! on the same recording and with the same number of threads, taking turns.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::statistics::Summary;
use super::tool::{Tool, with_threads};
use super::{Options, machine, marks, peers};
use crate::fields;
use crate::problem::{Problem, Result};
use crate::{page, shell};

/// A network on a recording of some length.
#[derive(Clone, Copy)]
struct Network {
    /// As `--only` calls it.
    name: &'static str,
    /// As `bench/networks.py` calls it.
    reference_name: &'static str,
    title: &'static str,
    /// Whose implementation it is set beside.
    reference: &'static str,
    /// Job of `formant bench`.
    job: &'static str,
    /// Seconds of the recording.
    seconds: u32,
    /// What the reference's time over formant's must be at least.
    budget: f64,
    /// The same for bf16, where the network has it and the processor has instructions for it.
    budget_bf16: Option<f64>,
    /// Table of docs/performance.md that it stands in.
    table: &'static str,
    /// Turns that each side has.
    turns: usize,
    /// Runs of formant's in a turn, after one that does not count.
    repeat: usize,
    /// Numbers of threads, where the machine has so many cores.
    threads: &'static [usize],
}

const SEPARATOR: Network = Network {
    name: "mossformer2-ss",
    reference_name: "mossformer2-ss",
    title: "MossFormer2_SS_16K",
    reference: "ClearerVoice-Studio",
    job: "separate",
    seconds: 4,
    budget: 3.0,
    budget_bf16: Some(4.5),
    table: "separation",
    turns: 2,
    repeat: 1,
    threads: &[1, 2],
};

const ENHANCER: Network = Network {
    name: "mossformer2-se",
    reference_name: "mossformer2-se",
    title: "MossFormer2_SE_48K",
    job: "enhance",
    ..SEPARATOR
};

const SUPERRESOLVER: Network = Network {
    name: "mossformer2-sr",
    reference_name: "mossformer2-sr",
    title: "MossFormer2_SR_48K",
    job: "superres",
    seconds: 2,
    table: "super-resolution",
    ..SEPARATOR
};

const VOCODER: Network = Network {
    name: "periodwave-base",
    reference_name: "periodwave-base",
    title: "PeriodWave-Turbo, base",
    reference: "its graph in PyTorch",
    job: "vocode",
    seconds: 2,
    budget_bf16: Some(3.0),
    table: "vocoding",
    ..SEPARATOR
};

const TRANSFORMER: Network = Network {
    name: "specmaskgit",
    reference_name: "specmaskgit",
    title: "SpecMaskGIT's transformer, 172 M, 16 steps with guidance",
    job: "tokens",
    seconds: 10,
    budget: 1.5,
    budget_bf16: Some(1.5),
    table: "generation",
    ..VOCODER
};

/// A vocoder by adversarial training.
const fn in_one_pass(name: &'static str, title: &'static str, budget: f64) -> Network {
    Network {
        name,
        reference_name: name,
        title,
        job: "gan-vocoder",
        seconds: 2,
        budget,
        budget_bf16: Some(budget),
        ..TRANSFORMER
    }
}

/// The network on a minute in one window.
const fn a_minute(network: Network) -> Network {
    Network { seconds: 60, table: "separation of a minute", ..network }
}

/// The sizes that are timed in turns of a few seconds.
const fn short(name: &'static str, title: &'static str, network: Network) -> Network {
    Network {
        name,
        reference_name: name,
        title,
        budget: 1.5,
        budget_bf16: None,
        table: "networks",
        turns: 5,
        repeat: 3,
        ..network
    }
}

const RECOGNIZER: Network =
    Network { reference: "NeMo", job: "transcribe", seconds: 16, ..SEPARATOR };

const NETWORKS: [Network; 15] = [
    short(
        "ecapa-tdnn",
        "ECAPA-TDNN, 1024 channels",
        Network { reference: "SpeechBrain", job: "speaker", seconds: 8, ..SEPARATOR },
    ),
    short("squeezeformer-medium", "Squeezeformer, medium", RECOGNIZER),
    short("squeezeformer-large", "Squeezeformer, large", RECOGNIZER),
    SEPARATOR,
    ENHANCER,
    SUPERRESOLVER,
    VOCODER,
    Network {
        name: "periodwave-large",
        reference_name: "periodwave-large",
        title: "PeriodWave-Turbo, large",
        ..VOCODER
    },
    TRANSFORMER,
    Network {
        name: "specvqgan",
        reference_name: "specvqgan",
        title: "SpecVQGAN's decoder",
        job: "tokenizer",
        budget_bf16: None,
        ..TRANSFORMER
    },
    in_one_pass("hifigan", "HiFi-GAN V1", 2.0),
    in_one_pass("bigvgan", "BigVGAN, 24 kHz, 100 bands", 2.0),
    Network {
        name: "mel-roformer",
        reference_name: "mel-roformer",
        title: "Mel-RoFormer, Kim's vocal model, stereo",
        reference: "BS-RoFormer",
        job: "stems",
        seconds: 8,
        budget: 1.5,
        budget_bf16: None,
        ..SEPARATOR
    },
    Network { name: "mossformer2-ss-minute", threads: &[1], turns: 1, ..a_minute(SEPARATOR) },
    Network { name: "mossformer2-se-minute", ..a_minute(ENHANCER) },
];

/// Outputs whose size differs by more come from different work.
const TOLERANCE: f64 = 1e-3;

/// The same for bf16, whose outputs differ by about a hundredth.
const TOLERANCE_BF16: f64 = 2e-2;

/// Tables of the page, in the page's order.
const TABLES: [&str; 6] = [
    "networks",
    "separation",
    "separation of a minute",
    "super-resolution",
    "vocoding",
    "generation",
];

/// From so many seconds on formant, as its reference, is not run once in vain.
const LONG: u32 = 20;

const HEADER: &str = "\
| network | audio | threads | formant, median (least) ms | reference, median (least) ms \
| median / formant's | least / formant's | budget |
|---|---|---|---|---|---|---|---|";

pub(super) fn run(options: &Options, folder: &Path) -> Result<()> {
    let formant = peers::build_command()?;
    let python = match &options.python {
        Some(python) => python.clone(),
        None => peers::environment_of_networks(folder)?,
    };
    let load = machine::load();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut tables: Vec<(&str, Vec<String>, Vec<String>)> =
        TABLES.iter().map(|&name| (name, Vec::new(), Vec::new())).collect();
    let wanted = |network: &&Network| {
        options.only.is_empty() || options.only.iter().any(|only| selects(only, network.name))
    };
    for network in NETWORKS.iter().filter(wanted) {
        let turns = if options.quick { 1 } else { network.turns };
        for threads in network.threads.iter().copied().filter(|&threads| threads <= cores) {
            eprintln!("bench-peers: {}, {threads} threads", network.title);
            let mut peer = Peer::start(network, &python, &folder.join("networks"), threads)?;
            let bf16 = network.budget_bf16.filter(|_| machine::has_bf16());
            let (mut ours, mut half, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..turns {
                ours.extend(time_formant(&formant, network, &peer, threads, "f32")?);
                if bf16.is_some() {
                    half.extend(time_formant(&formant, network, &peer, threads, "bf16")?);
                }
                theirs.extend(peer.tool.time("", 3.0)?.milliseconds);
            }
            let nothing = || Problem::new("nothing was measured", "try again");
            let theirs = Summary::of(theirs).ok_or_else(nothing)?;
            let ours = Summary::of(ours).ok_or_else(nothing)?;
            let mut rows = vec![row(network, "", threads, (ours, theirs), network.budget)];
            if let Some((budget, ours)) = bf16.zip(Summary::of(half)) {
                rows.push(row(network, ", bf16", threads, (ours, theirs), budget));
            }
            for row in &rows {
                eprintln!("  {row}");
            }
            let table = tables.iter_mut().find(|(name, ..)| *name == network.table);
            if let Some((_, lines, versions)) = table {
                lines.extend(rows);
                versions.push(std::mem::take(&mut peer.tool.versions));
            }
        }
    }
    let mut parts = Vec::new();
    for (name, rows, versions) in tables.iter().filter(|(_, rows, _)| !rows.is_empty()) {
        let versions = versions.iter().map(String::as_str);
        let machine = machine::lines(versions, load.clone(), "with the threads below");
        parts.push((marks(name), format!("{machine}\n\n{HEADER}\n{}", rows.join("\n"))));
    }
    for (_, table) in &parts {
        println!("\n{table}");
    }
    if options.quick { Ok(()) } else { page::write("performance.md", &parts) }
}

/// Whether `--only` takes a network: by its name, or by the beginning that several names share.
fn selects(only: &str, name: &str) -> bool {
    match NETWORKS.iter().any(|network| network.name == only) {
        true => only == name,
        false => name.starts_with(only),
    }
}

/// A running reference implementation, with the files that it wrote.
struct Peer {
    tool: Tool,
    checkpoint: PathBuf,
    input: PathBuf,
}

impl Peer {
    fn start(network: &Network, python: &Path, folder: &Path, threads: usize) -> Result<Self> {
        let mut command = Command::new(python);
        with_threads(&mut command, threads);
        command.arg(shell::root().join("bench").join("networks.py"));
        command.arg(network.reference_name).arg(folder);
        command.args([threads.to_string(), network.seconds.to_string()]);
        let (tool, line) = Tool::start(network.reference, command)?;
        let path = |key| {
            let path = fields::text(&line, key).map(PathBuf::from);
            path.ok_or_else(|| Problem::new(format!("no {key} in `{line}`"), "see networks.py"))
        };
        Ok(Self { checkpoint: path("checkpoint")?, input: path("input")?, tool })
    }
}

/// Milliseconds of some runs of formant's.
fn time_formant(
    formant: &Path,
    network: &Network,
    peer: &Peer,
    threads: usize,
    precision: &str,
) -> Result<Vec<f64>> {
    let remedy = "the lines above say why";
    let mut command = Command::new(formant);
    with_threads(&mut command, threads);
    command.args(["bench", network.job, "--quiet", "--precision", precision]);
    command.args(["--repeat", &network.repeat.to_string(), "--threads", &threads.to_string()]);
    if network.seconds >= LONG {
        command.arg("--cold");
    }
    command.arg("--model").arg(&peer.checkpoint).arg("--input").arg(&peer.input);
    let failed =
        |why: String| Problem::new(format!("formant bench {}: {why}", network.job), remedy);
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    let line = String::from_utf8_lossy(&output.stdout);
    let seconds = fields::numbers(&line, "run_seconds");
    let found = seconds.zip(fields::number(&line, "output_rms"));
    let (seconds, rms) =
        found.ok_or_else(|| failed(String::from_utf8_lossy(&output.stderr).into_owned()))?;
    let tolerance = if precision == "bf16" { TOLERANCE_BF16 } else { TOLERANCE };
    if (rms / peer.tool.rms.unwrap_or(rms) - 1.0).abs() > tolerance {
        eprintln!("  its output has an RMS of {rms}, the reference's is another: other work?");
    }
    Ok(seconds.iter().map(|seconds| seconds * 1e3).collect())
}

fn row(
    network: &Network,
    kind: &str,
    threads: usize,
    (ours, theirs): (Summary, Summary),
    budget: f64,
) -> String {
    let times = theirs.median / ours.median;
    let verdict = if times >= budget { "met" } else { "**missed**" };
    format!(
        "| {}{kind}; {} | {} s | {threads} | {:.0} ({:.0}) | {:.0} ({:.0}) | {times:.2} | {:.2} | {budget:.1}, {verdict} |",
        network.title,
        network.reference,
        network.seconds,
        ours.median,
        ours.least,
        theirs.median,
        theirs.least,
        theirs.least / ours.least,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_beginnings_select() {
        assert!(selects("mossformer2-ss", "mossformer2-ss"));
        assert!(!selects("mossformer2-ss", "mossformer2-ss-minute"));
        assert!(selects("mossformer2", "mossformer2-ss-minute") && selects("mel", "mel-roformer"));
        assert!(!selects("mel", "mossformer2-se"));
    }

    #[test]
    fn rows_say_whether_budgets_are_met() {
        let of = |ms: f64| Summary::of(vec![ms]).expect("one run");
        let found = row(&NETWORKS[0], "", 2, (of(100.0), of(149.0)), 1.5);
        assert!(
            found.ends_with("| 100 (100) | 149 (149) | 1.49 | 1.49 | 1.5, **missed** |"),
            "{found}"
        );
        let found = row(&NETWORKS[0], ", bf16", 2, (of(100.0), of(151.0)), 1.5);
        assert!(found.contains("channels, bf16; ") && found.ends_with("1.5, met |"), "{found}");
    }
}
