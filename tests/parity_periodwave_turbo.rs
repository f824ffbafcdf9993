//! PeriodWave and PeriodWave-Turbo against the reference's activations: conditioning encoder, vector
//! field, solvers, energy prior, and the published container.

mod support;

use std::path::{Path, PathBuf};

use formant::audio::features::FeaturePlan;
use formant::models::ModelSource;
use formant::models::arch::periodwave::{
    Energy, FreeU, Latents, PeriodWaveCard, PeriodWaveConfig, PeriodWaveModel, STEP, Sampling,
    Solver, Stretch, Variant,
};
use formant::models::checkpoint::{self, StateDict, WeightNorm};
use support::{
    GoldenSet, assert_all_compared, assert_close, compute, find_golden_sets,
    on_one_and_two_threads, read_tensors,
};
use tch::{Device, Kind, Tensor};

/// Design tolerance, relative to the largest reference value.
const TOLERANCE: f64 = 2e-5;
/// Log-mel features, absolute: the set's own note.
const FILTERED: f64 = 1e-4;

fn weights(path: &Path, norm: WeightNorm) -> StateDict {
    let mut state = checkpoint::read_state_dict(path).expect("readable weights");
    checkpoint::clean(&mut state, norm).expect("readable weights");
    state
}

/// The sizes that a set states, but for the layout's name.
fn assert_sizes(label: &str, found: &PeriodWaveConfig, stated: &serde_json::Value) {
    let found = serde_json::to_value(found).expect("plain data");
    for name in ["n_mel_channels", "periods", "final_dim", "hidden_dim"] {
        assert_eq!(found[name], stated[name], "{label}: {name}");
    }
}

/// A model of a set, with weight norm folded as files are cleaned, or as tensors are handed over.
fn model(set: &GoldenSet, norm: WeightNorm) -> PeriodWaveModel {
    let weights = weights(&set.folder.join("weights.safetensors"), norm);
    let mut card = PeriodWaveCard::read(None, &weights).expect("weights of the network");
    let label = set.folder.display().to_string();
    assert_sizes(&label, &card.config, &set.config);
    let variant = match set.config["variant"].as_str() {
        Some("large") => Variant::Large,
        Some("encodec") => Variant::Codec,
        _ => Variant::Base,
    };
    assert_eq!(card.config.variant, variant, "{label}");
    assert_eq!(set.config["hop"].as_i64(), Some(card.config.hop()), "{label}");
    card.noise_scale = set.config["noise_scale"].as_f64().expect("a factor");
    PeriodWaveModel::from_state(card, &weights, Device::Cpu).expect("weights fit")
}

fn samplings(set: &GoldenSet) -> Vec<Sampling> {
    let cases = set.config["cases"].as_array().expect("a list");
    let sampling = |case: &serde_json::Value| {
        let number = |name: &str, usual: f64| case[name].as_f64().unwrap_or(usual);
        Sampling {
            steps: number("steps", 0.0) as usize,
            solver: match case["solver"].as_str() {
                Some("midpoint") => Solver::Midpoint,
                _ => Solver::Euler,
            },
            temperature: number("temperature", 1.0),
            sway: if case["sway"] == true { number("sway_coef", 0.0) } else { 0.0 },
            free_u: FreeU { skip: number("s_w", 1.0), backbone: number("b_w", 1.0) },
            refine: 0,
        }
    };
    cases.iter().map(sampling).collect()
}

/// What goes into the encoder, and the noise that the solver begins with at a temperature.
fn inputs(set: &GoldenSet, model: &PeriodWaveModel, temperature: f64) -> (Tensor, Tensor) {
    let (cond, noise) = (set.get("cond"), set.get("noise"));
    let z = noise * (model.card.noise_scale * temperature);
    match set.io.contains_key("target_std") {
        false => (cond, z),
        true => {
            let std = set.get("target_std");
            let frames = std.slice(2, 0, std.size()[2], model.card.config.hop());
            (Tensor::cat(&[cond, frames], 1), z * std)
        }
    }
}

/// A recorded activation with the name that the set has for it.
fn name_in_set(name: &str) -> String {
    if name.starts_with("cond.") { name.to_owned() } else { format!("step0.{name}") }
}

/// The reference has two axes where columns of rows are, and may have more mid frames than are seen.
fn as_recorded(found: &Tensor, wanted: &Tensor) -> (Tensor, Tensor) {
    match (found.dim(), wanted.dim()) {
        (3, 4) => {
            let frames = found.size()[2];
            (found.unsqueeze(3), wanted.narrow(2, 0, frames.min(wanted.size()[2])))
        }
        _ => (found.shallow_clone(), wanted.shallow_clone()),
    }
}

#[test]
fn networks_equal_the_reference() {
    for set in find_golden_sets("periodwave-turbo") {
        let label = set.folder.display().to_string();
        for norm in [WeightNorm::Fold, WeightNorm::Keep] {
            let model = model(&set, norm);
            on_one_and_two_threads(|| check(&label, &set, &model));
        }
    }
}

fn check(label: &str, set: &GoldenSet, model: &PeriodWaveModel) {
    let _guard = tch::no_grad_guard();
    let mut compared: Vec<String> = ["cond", "target_std", "noise"].map(str::to_owned).to_vec();
    let mut trace: Vec<(String, Tensor)> = Vec::new();
    let (cond, z) = inputs(set, model, 1.0);
    let latents = model.network.condition(&cond, &mut trace);
    let end = z.size()[2];
    let stretch = Stretch { x: &z, at: 0, latents: &latents, core: 0..end, end };
    let times = Tensor::zeros([1], (Kind::Float, Device::Cpu));
    let _ = model.network.velocity_traced(&stretch, &times, FreeU::OFF, &mut trace);
    for (name, found) in &trace {
        let name = name_in_set(name);
        if set.io.contains_key(&name) {
            let (found, wanted) = as_recorded(found, &set.get(&name));
            assert_close(&format!("{label}: {name}"), &found, &wanted, TOLERANCE);
            compared.push(name);
        }
    }
    for (case, sampling) in samplings(set).iter().enumerate() {
        let name = |what: &str| format!("case{case}.{what}");
        let (_, z) = inputs(set, model, sampling.temperature);
        let times: Vec<f32> = sampling.calls().iter().map(|call| call.time).collect();
        let wanted: Vec<f32> = Vec::try_from(set.get(&name("times"))).expect("a list");
        assert_eq!(times.len(), wanted.len(), "{label}: case {case}");
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
        assert!(times.iter().zip(&wanted).all(close), "{label}: {times:?} for {wanted:?}");
        compared.extend([name("times"), name("out")]);
        let found = model.network.sample(&z, &latents, sampling);
        assert_close(&format!("{label}: {case}"), &found, &set.get(&name("out")), TOLERANCE);
        // As it computes where nothing is learnt.
        let frozen = model.network.clone().freeze().sample(&z, &latents, sampling);
        let label_of_frozen = format!("{label}: {case}, frozen");
        assert_close(&label_of_frozen, &frozen, &set.get(&name("out")), TOLERANCE);
        // What every call sees.
        let mut x = z;
        for (step, call) in sampling.calls().iter().enumerate() {
            let Some(wanted) = set.io.get(&name(&format!("step{step}.x"))) else { break };
            assert_close(&format!("{label}: {case}, call {step}"), &x, wanted, TOLERANCE);
            compared.push(name(&format!("step{step}.x")));
            let stretch = Stretch { x: &x, at: 0, latents: &latents, core: 0..end, end };
            let times = Tensor::full([1], f64::from(call.time), (Kind::Float, Device::Cpu));
            let change = model.network.velocity(&stretch, &times, sampling.free_u);
            x = &x + change * f64::from(call.scale);
        }
    }
    assert_all_compared(set, &compared, &[]);
}

/// The field and the encoder in pieces, each with as much around it as it sees, equal those of a whole.
#[test]
fn windows_equal_the_whole() {
    for (variant, frames) in [(Variant::Base, 331), (Variant::Large, 240), (Variant::Codec, 150)] {
        let config = PeriodWaveConfig {
            variant,
            n_mel_channels: 12,
            hidden_dim: 32,
            final_dim: 2,
            ..PeriodWaveConfig::default()
        };
        let card = PeriodWaveCard::published(config.clone()).expect("a card");
        tch::manual_seed(3);
        let model = PeriodWaveModel::random(card, Device::Cpu).expect("sound sizes");
        let _guard = tch::no_grad_guard();
        for (name, mut weight) in model.weights() {
            // Norms that matter.
            if name.contains(".grn.") {
                let _ = weight.normal_(0.5, 0.5);
            }
        }
        let network = &model.network;
        let mel = Tensor::randn([1, 12, frames], (Kind::Float, Device::Cpu));
        let (inputs, _) = model.card.prior(&mel);
        let (hop, grid, end) = (config.hop(), config.grid(), frames * config.hop());
        let z = Tensor::randn([1, 1, end], (Kind::Float, Device::Cpu));
        let whole = network.condition(&inputs, &mut Vec::new());
        let times = Tensor::full([1], 0.25, (Kind::Float, Device::Cpu));
        let stretch = Stretch { x: &z, at: 0, latents: &whole, core: 0..end, end };
        let wanted = network.velocity(&stretch, &times, FreeU::OFF);

        let norms = network.norms(&inputs);
        let halo = network.sample_halo();
        for from in (0..end).step_by(grid as usize) {
            let core = from..(from + grid).min(end);
            let around = (core.start - halo).max(0)..(core.end + halo).min(end);
            let reach = network.frame_halo() + 8;
            let first = (around.start / hop - reach).max(0);
            let last = (around.end / hop + 1 + reach).min(frames);
            let steps = network.steps(&inputs.narrow(2, first, last - first), &norms);
            let rate = config.steps_a_frame();
            let latents: Vec<Latents> = config
                .periods
                .iter()
                .enumerate()
                .map(|(index, period)| {
                    let unit = STEP * period;
                    // Only steps that see enough frames.
                    let range = around.start.div_euclid(unit)..(around.end + unit - 1) / unit;
                    network.latents(index, &steps, first * rate, range, frames * rate)
                })
                .collect();
            let stretch = Stretch {
                x: &z.narrow(2, around.start, around.end - around.start),
                at: around.start,
                latents: &latents,
                core: core.clone(),
                end,
            };
            let found = network.velocity(&stretch, &times, FreeU::OFF);
            let wanted = wanted.narrow(2, core.start, core.end - core.start);
            let worst = (&found - &wanted).abs().max().double_value(&[]);
            let scale = wanted.abs().max().double_value(&[]);
            assert!(worst <= 1e-5 * scale, "{variant:?} at {from}: {worst:e} of {scale:e}");
        }
    }
}

/// The form without a gradient computes the same in parts of columns, in pieces and on any number of
/// threads.
#[test]
fn frozen_fields_equal_those_that_learn() {
    tch::manual_seed(5);
    for (variant, hidden_dim, frames, batch) in [
        (Variant::Base, 32, 2, 2),
        (Variant::Base, 128, 150, 1),
        (Variant::Large, 48, 90, 1),
        (Variant::Large, 96, 33, 1),
        (Variant::Codec, 16, 120, 1),
    ] {
        let config = PeriodWaveConfig {
            variant,
            n_mel_channels: 6,
            hidden_dim,
            final_dim: hidden_dim / 16,
            ..PeriodWaveConfig::default()
        };
        let card = PeriodWaveCard::published(config.clone()).expect("a card");
        let network = PeriodWaveModel::random(card, Device::Cpu).expect("sound sizes").network;
        let (_guard, end) = (tch::no_grad_guard(), frames * config.hop());
        let noise = |size: [i64; 3]| Tensor::randn(size, (Kind::Float, Device::Cpu));
        let (inputs, x) = (noise([batch, config.inputs(), frames]), noise([batch, 1, end]));
        let latents = network.condition(&inputs, &mut Vec::new());
        let times = Tensor::full([batch], 0.25, (Kind::Float, Device::Cpu));
        let stretch = Stretch { x: &x, at: 0, latents: &latents, core: 0..end, end };
        for free_u in [FreeU::OFF, FreeU::RECOMMENDED] {
            let wanted = network.velocity(&stretch, &times, free_u);
            let mut frozen = network.clone().freeze();
            let error = |found: &Tensor| {
                assert_eq!(found.size(), wanted.size());
                ((found - &wanted).abs().max() / wanted.abs().max()).double_value(&[])
            };
            let found = frozen.velocity_on(&stretch, &times, free_u, 1);
            assert!(error(&found) < 5e-6, "{variant:?}, {free_u:?}: {}", error(&found));
            let others = frozen.velocity_on(&stretch, &times, free_u, 3);
            assert!(found.equal(&others), "{variant:?}: the number of threads changes bytes");
            frozen.set_kind(Kind::BFloat16);
            let found = frozen.velocity_on(&stretch, &times, free_u, 2);
            assert!(error(&found) < 5e-2, "{variant:?} in bf16: {}", error(&found));
        }
    }
}

/// Folders of the published container, in the repository and in the folder that `FORMANT_GOLDENS`
/// names.
fn containers() -> Vec<PathBuf> {
    let mut roots = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")];
    roots.extend(std::env::var_os("FORMANT_GOLDENS").map(PathBuf::from));
    roots.into_iter().map(|root| root.join("periodwave-turbo/containers")).collect()
}

/// The state of a training holds the weights, and its config and built-in statistics do the rest.
#[test]
fn the_published_container_loads_unchanged() {
    for folder in containers() {
        let label = folder.display().to_string();
        let io = read_tensors(&folder.join("io.safetensors"));
        let text = std::fs::read_to_string(folder.join("config.json")).expect("readable");
        let config = serde_json::from_str(&text).expect("JSON");
        let weights = weights(&folder.join("expected_weights.safetensors"), WeightNorm::Keep);
        let card = PeriodWaveCard::read(Some(&config), &weights).expect("a config");
        let mut models =
            vec![PeriodWaveModel::from_state(card, &weights, Device::Cpu).expect("weights fit")];
        // A folder as it is published: the file and its config.
        let release = tempfile::tempdir().expect("a folder");
        let file = release.path().join("G_274000.pth");
        if std::fs::copy(folder.join("G_274000.pth"), &file).is_ok() {
            std::fs::copy(folder.join("config.json"), release.path().join("config.json"))
                .expect("copied");
            for path in [file, release.path().to_owned()] {
                let loaded = PeriodWaveModel::load(&ModelSource::Path(path), Device::Cpu);
                models.push(loaded.expect("a known container"));
            }
        }
        for model in models {
            let (card, _guard) = (&model.card, tch::no_grad_guard());
            assert_eq!((card.sample_rate(), card.noise_scale), (24_000, 0.5), "{label}");
            assert_eq!(card.energy, Some(Energy::LIBRITTS), "{label}");
            assert_eq!((card.sampling, card.config.n_mel_channels), (Sampling::default(), 6));
            // The set has deviations of its own beside the spectrogram.
            let std = &io["target_std"];
            let inputs = Tensor::cat(&[&io["cond"], &std.slice(2, 0, std.size()[2], 256)], 1);
            let latents = model.network.condition(&inputs, &mut Vec::new());
            let z = &io["noise"] * card.noise_scale * std;
            let found = model.network.sample(&z, &latents, &card.sampling);
            assert_close(&label, &found, &io["out_euler4"], TOLERANCE);
        }
    }
}

/// Spectrogram, energy and deviation of the published front ends, of a wave that is prepared as the
/// reference's scripts do.
#[test]
fn front_ends_equal_the_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/features/vocoder-mel");
    let io = read_tensors(&folder.join("io.safetensors"));
    for (bands, wave, set) in [(100, "wave24k", "pw24k_100"), (80, "wave22k", "pw22k_80")] {
        let wanted = |what: &str| &io[&format!("{set}.{what}")];
        let config = PeriodWaveConfig { n_mel_channels: bands, ..PeriodWaveConfig::default() };
        let card = PeriodWaveCard::published(config).expect("a card");
        card.validate().expect("published sizes");
        let frontend = card.frontend.as_ref().expect("a spectrogram");
        let plan = FeaturePlan::new(frontend).expect("a sound front end");
        let mut samples: Vec<f32> = Vec::try_from(&io[wave]).expect("samples");
        let peak = samples.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
        samples.iter_mut().for_each(|x| *x = *x / peak * 0.95);
        samples.truncate(samples.len() / 256 * 256);
        let mel = compute(&plan, &samples).transpose(0, 1).unsqueeze(0);
        let worst = (&mel - wanted("mel")).abs().max().double_value(&[]);
        assert!(worst <= FILTERED, "{set}: {worst}");
        let (_, deviation) = card.prior(wanted("mel"));
        let found = deviation.squeeze_dim(1);
        assert_close(set, &found, wanted("target_std_frames"), TOLERANCE);
    }
}
