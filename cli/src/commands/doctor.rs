//! `formant doctor`: what was found on this machine, and what to do about what was not.

use std::path::PathBuf;

use clap::Args;
use formant_kernels::cuda::{CudaLibraries, libtorch_folder};
#[cfg(target_arch = "x86_64")]
use formant_kernels::gemm::Precision;
use formant_models::registry::{BUNDLED, Cache, published_models};
use formant_models::source::cuda_libraries;
use formant_streaming::source::Microphones;
use serde::Serialize;

use super::{Work, work};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::{json, processors, stdout};

/// What `formant doctor` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant doctor")]
pub(crate) struct DoctorArgs {}

impl DoctorArgs {
    /// The work of the command.
    pub(crate) fn resolve(self, _: &Settings) -> Result<Work, Failure> {
        Ok(work((), |(), settings, _| run(settings)))
    }
}

/// Everything that was found.
#[derive(Debug, Serialize)]
struct Findings {
    version: &'static str,
    libtorch: Libtorch,
    cuda: Cuda,
    cpu: Cpu,
    memory_bytes: Option<u64>,
    cache_folder: Option<PathBuf>,
    bundled_models: Vec<&'static str>,
    cached_models: Vec<&'static str>,
    microphones: Vec<String>,
    advice: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Libtorch {
    /// The version that this program was built for.
    version: &'static str,
    folder: Option<PathBuf>,
    openmp: bool,
    mkl: bool,
    onednn: bool,
}

#[derive(Debug, Serialize)]
struct Cuda {
    libraries: CudaLibraries,
    devices: usize,
    cudnn: bool,
}

#[derive(Debug, Serialize)]
struct Cpu {
    architecture: &'static str,
    model: Option<String>,
    cores: usize,
    /// Why there are so many cores.
    cores_from: String,
    threads: i32,
    features: Vec<&'static str>,
}

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    crate::tasks::use_threads(settings);
    let findings = look();
    let text = if settings.json { json::line("doctor", &findings) } else { text(&findings) };
    stdout::print(&text)?;
    Ok(Outcome::done())
}

fn look() -> Findings {
    let libraries = cuda_libraries();
    let devices = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
    let cuda = Cuda { devices, cudnn: devices > 0 && tch::Cuda::cudnn_is_available(), libraries };
    let cpu = Cpu {
        architecture: std::env::consts::ARCH,
        model: cpu_model(),
        cores: processors::count(),
        cores_from: processors::origin(),
        threads: tch::get_num_threads(),
        features: cpu_features(),
    };
    let libtorch = Libtorch {
        version: "2.11.0",
        folder: libtorch_folder(),
        openmp: tch::utils::has_openmp(),
        mkl: tch::utils::has_mkl(),
        onednn: tch::utils::has_mkldnn(),
    };
    let cache = Cache::from_env().ok();
    let mut advice = advice(&cuda, &cpu);
    let microphones = match Microphones::new() {
        Ok(found) => found.list().into_iter().map(|device| device.name).collect(),
        Err(error) => {
            advice.push(error.to_string());
            Vec::new()
        }
    };
    if microphones.is_empty() && advice.iter().all(|text| !text.starts_with("microphones")) {
        advice.push(
            "microphones: none was found; plug one in and see that the sound server runs, or listen to a file or to standard input"
                .to_owned(),
        );
    }
    Findings {
        version: env!("CARGO_PKG_VERSION"),
        advice,
        libtorch,
        cuda,
        cpu,
        memory_bytes: memory(),
        cached_models: cache.iter().flat_map(cached).collect(),
        cache_folder: cache.map(|cache| cache.root().to_owned()),
        bundled_models: BUNDLED.iter().map(|model| model.name).collect(),
        microphones,
    }
}

fn advice(cuda: &Cuda, cpu: &Cpu) -> Vec<String> {
    let mut advice = Vec::new();
    match &cuda.libraries {
        CudaLibraries::NoDriver { .. } => advice.push(
            "networks run on the CPU; for an NVIDIA card install its driver (`nvidia-smi` must \
             work) and a libtorch with CUDA, see docs/install.md"
                .to_owned(),
        ),
        CudaLibraries::CpuOnly { .. } => advice.push(
            "there is a driver, but this libtorch is for CPUs; set LIBTORCH to one with CUDA and \
             build again, see docs/install.md"
                .to_owned(),
        ),
        CudaLibraries::Broken { reason } => advice.push(format!(
            "libtorch's CUDA libraries do not load ({reason}); install the library that is named \
             there, or add its folder to LD_LIBRARY_PATH"
        )),
        CudaLibraries::Open { .. } if cuda.devices == 0 => advice.push(
            "CUDA's libraries are there, but no device; see what `nvidia-smi` says and whether \
             CUDA_VISIBLE_DEVICES hides it"
                .to_owned(),
        ),
        CudaLibraries::Open { .. } => {}
    }
    let slow = cpu.architecture == "x86_64" && !cpu.features.contains(&"avx2");
    if slow {
        advice.push("this CPU has no AVX2; networks will be slow".to_owned());
    }
    if BUNDLED.is_empty() {
        advice.push("no models come with this build; name files with --model".to_owned());
    }
    advice
}

fn cpu_features() -> Vec<&'static str> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! look_for {
            ($($feature:tt),*) => {
                $(if std::arch::is_x86_feature_detected!($feature) { found.push($feature); })*
            };
        }
        look_for!(
            "sse4.2",
            "avx",
            "f16c",
            "fma",
            "avx2",
            "avx512f",
            "avx512bw",
            "avx512vnni",
            "avx512bf16"
        );
        if Precision::Bf16.has_matrix_unit() {
            found.push("amx");
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        macro_rules! look_for {
            ($($feature:tt),*) => {
                $(if std::arch::is_aarch64_feature_detected!($feature) { found.push($feature); })*
            };
        }
        look_for!("neon", "fp16", "dotprod", "bf16", "i8mm", "sve");
    }
    found
}

fn cpu_model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The published models that have been fetched.
fn cached(cache: &Cache) -> Vec<&'static str> {
    let there = |name: &&str| matches!(cache.find(name), Ok(Some(_)));
    published_models().map(|model| model.name).filter(there).collect()
}

fn text(findings: &Findings) -> String {
    let Findings { libtorch, cuda, cpu, .. } = findings;
    let shown = |path: &Option<PathBuf>| {
        path.as_ref().map_or_else(|| "unknown".to_owned(), |path| path.display().to_string())
    };
    let has = |name: &str, there: bool| format!("{}{name}", if there { "" } else { "no " });
    let device = match cuda.devices {
        0 => "none".to_owned(),
        n => format!("{n} ({})", has("cuDNN", cuda.cudnn)),
    };
    let memory = findings.memory_bytes.map_or_else(
        || "unknown".to_owned(),
        |bytes| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    );
    let names = |names: &[&str]| match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    };
    let mut rows = vec![
        ("formant", findings.version.to_owned()),
        ("libtorch", format!("{} in {}", libtorch.version, shown(&libtorch.folder))),
        (
            "",
            [
                has("OpenMP", libtorch.openmp),
                has("MKL", libtorch.mkl),
                has("oneDNN", libtorch.onednn),
            ]
            .join(", "),
        ),
        ("CUDA", cuda.libraries.to_string()),
        ("CUDA devices", device),
        ("CPU", cpu.model.clone().unwrap_or_else(|| cpu.architecture.to_owned())),
        (
            "",
            format!(
                "{} cores ({}), {} threads for networks",
                cpu.cores, cpu.cores_from, cpu.threads
            ),
        ),
        ("", cpu.features.join(" ")),
        ("memory", memory),
        ("models", names(&findings.bundled_models)),
        ("", format!("fetched: {}", names(&findings.cached_models))),
        ("cache folder", shown(&findings.cache_folder)),
        (
            "microphones",
            names(&findings.microphones.iter().map(String::as_str).collect::<Vec<_>>()),
        ),
    ];
    match findings.advice.is_empty() {
        true => rows.push(("advice", "none; all is well".to_owned())),
        false => rows.extend(findings.advice.iter().map(|advice| ("advice", advice.clone()))),
    }
    rows.into_iter().map(|(name, value)| format!("{name:<13} {value}\n")).collect()
}
