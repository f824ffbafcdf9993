//! Networks at their published sizes beside the reference implementations, with the same weights,
//! on the same recording and with the same number of threads, taking turns.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::statistics::Summary;
use super::tool::{Tool, with_threads};
use super::{Options, machine, page, peers, reply};
use crate::problem::{Problem, Result};
use crate::shell;

/// A network, as `bench/networks.py` calls it.
struct Network {
    name: &'static str,
    title: &'static str,
    /// Whose implementation it is set beside.
    reference: &'static str,
    /// Job of `formant bench`.
    job: &'static str,
    /// Seconds of the recording.
    seconds: u32,
    /// What the reference's time over formant's must be at least.
    budget: f64,
}

const NETWORKS: [Network; 6] = [
    Network {
        name: "ecapa-tdnn",
        title: "ECAPA-TDNN, 1024 channels",
        reference: "SpeechBrain",
        job: "speaker",
        seconds: 8,
        budget: 1.5,
    },
    Network {
        name: "squeezeformer-medium",
        title: "Squeezeformer, medium",
        reference: "NeMo",
        job: "transcribe",
        seconds: 16,
        budget: 1.5,
    },
    Network {
        name: "squeezeformer-large",
        title: "Squeezeformer, large",
        reference: "NeMo",
        job: "transcribe",
        seconds: 16,
        budget: 1.5,
    },
    Network {
        name: "mossformer2-ss",
        title: "MossFormer2_SS_16K",
        reference: "ClearerVoice-Studio",
        job: "separate",
        seconds: 4,
        budget: 3.0,
    },
    Network {
        name: "mossformer2-se",
        title: "MossFormer2_SE_48K",
        reference: "ClearerVoice-Studio",
        job: "enhance",
        seconds: 4,
        budget: 3.0,
    },
    Network {
        name: "mel-roformer",
        title: "Mel-RoFormer, Kim's vocal model, stereo",
        reference: "BS-RoFormer",
        job: "stems",
        seconds: 8,
        budget: 1.5,
    },
];

/// Outputs whose size differs by more come from different work.
const TOLERANCE: f64 = 1e-3;

/// Turns that each side has.
const ROUNDS: usize = 5;

pub(super) fn run(options: &Options, folder: &Path) -> Result<()> {
    let formant = peers::build_command()?;
    let python = match &options.python {
        Some(python) => python.clone(),
        None => peers::environment_of_networks(folder)?,
    };
    let load = machine::load();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut rows = vec![
        "| network | audio | threads | formant, median (least) ms | reference, median (least) ms \
         | median / formant's | least / formant's | budget |"
            .to_owned(),
        "|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    let mut versions = Vec::new();
    let rounds = if options.quick { 1 } else { ROUNDS };
    let wanted = |network: &&Network| {
        options.only.is_empty() || options.only.iter().any(|name| network.name.starts_with(name))
    };
    for network in NETWORKS.iter().filter(wanted) {
        for threads in [1, 2].into_iter().filter(|&threads| threads <= cores) {
            eprintln!("bench-peers: {}, {threads} threads", network.title);
            let mut peer = Peer::start(network, &python, &folder.join("networks"), threads)?;
            let mut ours = Vec::new();
            let mut theirs = Vec::new();
            for _ in 0..rounds {
                ours.extend(time_formant(&formant, network, &peer, threads)?);
                theirs.extend(peer.tool.time("", 3.0)?.milliseconds);
            }
            let summaries = Summary::of(ours).zip(Summary::of(theirs));
            let (ours, theirs) =
                summaries.ok_or_else(|| Problem::new("nothing was measured", "try again"))?;
            rows.push(row(network, threads, ours, theirs));
            eprintln!("  {}", rows.last().map_or("", String::as_str));
            versions.push(std::mem::take(&mut peer.tool.versions));
        }
    }
    let machine =
        machine::lines(versions.iter().map(String::as_str), load, "with the threads below");
    let table = format!("{machine}\n\n{}", rows.join("\n"));
    println!("\n{table}");
    if options.quick { Ok(()) } else { page::write(&[("networks", &table)]) }
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
        command.arg(shell::root().join("bench").join("networks.py")).arg(network.name).arg(folder);
        command.args([threads.to_string(), network.seconds.to_string()]);
        let (tool, line) = Tool::start(network.reference, command)?;
        let path = |key| {
            let path = reply::text(&line, key).map(PathBuf::from);
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
) -> Result<Vec<f64>> {
    let remedy = "the lines above say why";
    let mut command = Command::new(formant);
    with_threads(&mut command, threads);
    command.args(["bench", network.job, "--quiet", "--repeat", "3"]);
    command.args(["--threads", &threads.to_string()]);
    command.arg("--model").arg(&peer.checkpoint).arg("--input").arg(&peer.input);
    let failed =
        |why: String| Problem::new(format!("formant bench {}: {why}", network.job), remedy);
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    let line = String::from_utf8_lossy(&output.stdout);
    let seconds = reply::numbers(&line, "run_seconds");
    let found = seconds.zip(reply::number(&line, "output_rms"));
    let (seconds, rms) =
        found.ok_or_else(|| failed(String::from_utf8_lossy(&output.stderr).into_owned()))?;
    if (rms / peer.tool.rms.unwrap_or(rms) - 1.0).abs() > TOLERANCE {
        eprintln!("  its output has an RMS of {rms}, the reference's is another: other work?");
    }
    Ok(seconds.iter().map(|seconds| seconds * 1e3).collect())
}

fn row(network: &Network, threads: usize, ours: Summary, theirs: Summary) -> String {
    let times = theirs.median / ours.median;
    let verdict = if times >= network.budget { "met" } else { "**missed**" };
    format!(
        "| {}; {} | {} s | {threads} | {:.0} ({:.0}) | {:.0} ({:.0}) | {times:.2} | {:.2} | {:.1}, {verdict} |",
        network.title,
        network.reference,
        network.seconds,
        ours.median,
        ours.least,
        theirs.median,
        theirs.least,
        theirs.least / ours.least,
        network.budget,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_whether_budgets_are_met() {
        let of = |ms: f64| Summary::of(vec![ms]).expect("one run");
        let found = row(&NETWORKS[0], 2, of(100.0), of(149.0));
        assert!(
            found.ends_with("| 100 (100) | 149 (149) | 1.49 | 1.49 | 1.5, **missed** |"),
            "{found}"
        );
        assert!(row(&NETWORKS[0], 2, of(100.0), of(151.0)).ends_with("1.5, met |"));
    }
}
