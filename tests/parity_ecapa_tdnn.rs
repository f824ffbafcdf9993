//! ECAPA-TDNN against the references' activations, in SpeechBrain's and WeSpeaker's forms: front
//! ends, whole networks, padded batches, classifier, published container, scoring.

mod support;

use formant::audio::features::{FeaturePlan, presets};
use formant::audio::metrics::detection::DetCurve;
use formant::models::arch::ecapa::{Classifier, Ecapa, EcapaConfig, IGNORED_KEYS, Layout};
use formant::models::checkpoint::{self, Container, StateDict};
use formant::models::params::{Params, Stored};
use formant::models::tasks::speaker::{Cohort, Scorer};
use serde_json::Value;
use support::{
    GoldenSet, assert_all_compared, assert_close, compute, golden_sets, on_one_and_two_threads,
    read_tensors,
};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

/// Design tolerance, relative to the largest reference value.
const TOLERANCE: f64 = 2e-5;

struct Loaded {
    network: Ecapa,
    _vs: VarStore,
}

fn is_speechbrain(set: &GoldenSet) -> bool {
    match set.config["reference"].as_str() {
        Some(name) if name.contains("speechbrain") => true,
        Some(name) if name.contains("wespeaker") => false,
        other => panic!("{}: no known reference: {other:?}", set.folder.display()),
    }
}

/// The sizes that the arguments of WeSpeaker's class stand for, its defaults where one is missing.
fn wespeaker(arguments: &Value) -> EcapaConfig {
    let number = |name: &str, usual: i64| arguments[name].as_i64().unwrap_or(usual);
    let flag = |name: &str, usual: bool| arguments[name].as_bool().unwrap_or(usual);
    let c = number("channels", 512);
    EcapaConfig {
        layout: Layout::Wespeaker,
        input_size: number("feat_dim", 80),
        channels: vec![c, c, c, c, number("mfa_channels", 1536)],
        lin_neurons: number("embed_dim", 192),
        global_context: flag("global_context_att", true),
        embedding_norm: flag("emb_bn", false),
        ..EcapaConfig::default()
    }
}

fn config(set: &GoldenSet) -> EcapaConfig {
    let model = set.config["model"].clone();
    match is_speechbrain(set) {
        true => serde_json::from_value(model).expect("the set's model config"),
        false => wespeaker(&model),
    }
}

fn load(set: &GoldenSet, weights: &StateDict) -> Loaded {
    let config = config(set);
    assert_eq!(EcapaConfig::of_weights(weights).expect("an ECAPA-TDNN"), config);
    let options = checkpoint::FitOptions::default().ignoring(IGNORED_KEYS);
    let stored = Stored::new(weights, &options).expect("readable");
    let vs = VarStore::new(Device::Cpu);
    let network = Ecapa::new(&Params::stored(&vs.root(), &stored), &config)
        .expect("the set's sizes are valid");
    stored.finish().expect("weights fit");
    Loaded { network, _vs: vs }
}

fn load_set(set: &GoldenSet) -> Loaded {
    let weights = checkpoint::read_state_dict(set.folder.join("weights.safetensors"));
    load(set, &weights.expect("weights are readable"))
}

fn lengths(set: &GoldenSet) -> Option<Tensor> {
    set.io.contains_key("wav_lens").then(|| set.get("wav_lens"))
}

/// The features that the network takes.
fn features(set: &GoldenSet) -> Tensor {
    let name = if is_speechbrain(set) { "features_norm" } else { "features" };
    set.get(name)
}

/// Names of stored tensors that are no activations of the network.
const OUTSIDE: &[&str] = &[
    "waveform",
    "wav_lens",
    "features",
    "fbank",
    "embedding",
    "single.",
    "classifier",
    "cosine",
    "glob_mean",
];

#[test]
fn activations_equal_the_reference() {
    for set in golden_sets("ecapa-tdnn") {
        let Loaded { network, _vs } = load_set(&set);
        let label = set.folder.display();
        let relative = lengths(&set);
        on_one_and_two_threads(|| {
            let mut trace: Vec<(String, Tensor)> = Vec::new();
            let embedding = tch::no_grad(|| {
                network.forward_t(&features(&set), relative.as_ref(), false, &mut trace)
            });
            let mut compared = Vec::new();
            for (name, activation) in &trace {
                let Some(wanted) = set.io.get(name.as_str()) else { continue };
                let found = activation.view_as(wanted);
                assert_close(&format!("{label}: {name}"), &found, wanted, TOLERANCE);
                compared.push(name.clone());
            }
            assert_all_compared(&set, &compared, OUTSIDE);
            let wanted = set.get("embedding");
            let found = embedding.view_as(&wanted);
            assert_close(&format!("{label}: embedding"), &found, &wanted, TOLERANCE);
        });
    }
}

/// The front end of the set, with as many bands as its network takes.
fn front_end(set: &GoldenSet) -> FeaturePlan {
    let name = if is_speechbrain(set) { "speechbrain" } else { "wespeaker" };
    let preset = presets::by_name(name).expect("a preset");
    let config = set.front_end(preset, "fbank", config(set).input_size);
    FeaturePlan::new(&config).expect("a sound front end")
}

#[test]
fn signals_alone_equal_the_reference() {
    for set in golden_sets("ecapa-tdnn") {
        let Loaded { network, _vs } = load_set(&set);
        let label = set.folder.display();
        let plan = front_end(&set);
        let longest = set.get("waveform").size()[1];
        let mut compared = 0;
        for (row, length) in (0..).zip(set.valid_samples()) {
            let found = compute(&plan, &set.clip(row, length)).unsqueeze(0);
            if length == longest {
                let wanted = features(&set).narrow(0, row, 1);
                assert_eq!(found.size(), wanted.size(), "{label}: shape of features {row}");
                let worst = (&found - wanted).abs().max().double_value(&[]);
                assert!(worst <= 2e-3, "{label}: features {row} differ by {worst}");
            }
            let key = format!("single.{row}.embedding");
            let wanted = match set.io.contains_key(key.as_str()) {
                true => set.get(&key).view([-1]),
                // Padding changes an embedding, so what a batch gives holds for full rows alone.
                false if length == longest => set.get("embedding").get(row).view([-1]),
                false => continue,
            };
            let embedding = tch::no_grad(|| network.forward(&found)).view([-1]);
            // The front end's own rounding comes in addition: the goldens allow 1e-4.
            assert_close(&format!("{label}: signal {row}"), &embedding, &wanted, 1e-4);
            compared += 1;
        }
        assert!(compared > 0, "{label}: no signal was compared");
    }
}

#[test]
fn classifier_and_container_equal_the_reference() {
    for set in golden_sets("ecapa-tdnn") {
        let head = set.folder.join("classifier.safetensors");
        if head.is_file() {
            let head = checkpoint::read_state_dict(&head).expect("readable");
            let head = Classifier::of_weights(&head).expect("a head");
            let wanted = set.get("classifier");
            let found = head.forward(&set.get("embedding")).view_as(&wanted);
            assert_close("classifier", &found, &wanted, TOLERANCE);
        }
        let folder = set.folder.join("containers");
        if folder.is_dir() {
            let container = Container::open(&folder).expect("a SpeechBrain folder");
            let Loaded { network, _vs } = load(&set, container.state_dict().expect("weights"));
            let relative = lengths(&set);
            let found = tch::no_grad(|| {
                network.forward_t(
                    &features(&set),
                    relative.as_ref(),
                    false,
                    &mut formant::models::network::NoTrace,
                )
            });
            let wanted = set.get("embedding");
            assert_close("container", &found.view_as(&wanted), &wanted, TOLERANCE);
        }
    }
}

#[test]
fn scores_equal_the_reference() {
    for set in golden_sets("ecapa-tdnn") {
        let file = set.folder.join("scoring.safetensors");
        if !file.is_file() {
            continue;
        }
        let tensors = read_tensors(&file);
        let rows = |name: &str| -> Vec<Vec<f32>> {
            let tensor = tensors[name].to_kind(Kind::Float);
            (0..tensor.size()[0]).map(|i| Vec::try_from(tensor.get(i)).expect("a row")).collect()
        };
        let (enrol, test, cohort) = (rows("enrol"), rows("test"), rows("cohort"));
        let width = cohort[0].len();
        let top = usize::try_from(tensors["cohort_size"].int64_value(&[])).expect("a count");
        let cohort = Cohort::new(cohort.concat(), width).expect("a cohort");
        let plain = Scorer::cosine(0.25);
        let normalised = plain.clone().with_cohort(cohort, top, 0.0);
        let (cosines, scores) = (rows("score.cosine"), rows("score.s"));
        for (i, a) in enrol.iter().enumerate() {
            for (j, b) in test.iter().enumerate() {
                let (found, wanted) = (plain.score(a, b), f64::from(cosines[i][j]));
                assert!((found - wanted).abs() < 1e-5, "cosine {i} {j}: {found} {wanted}");
                let (found, wanted) = (normalised.score(a, b), f64::from(scores[i][j]));
                assert!((found - wanted).abs() < 1e-4, "s-norm {i} {j}: {found} {wanted}");
            }
        }
    }
}

#[test]
fn equal_error_rates_equal_the_reference() {
    for set in golden_sets("ecapa-tdnn") {
        let file = set.folder.join("scoring.safetensors");
        if !file.is_file() {
            continue;
        }
        let tensors = read_tensors(&file);
        let list = |name: &str| -> Vec<f64> {
            let tensor = tensors[name].to_kind(Kind::Double).view([-1]);
            Vec::try_from(tensor).expect("one row")
        };
        let (targets, others) = (list("eer.pos"), list("eer.neg"));
        let curve = DetCurve::new(&targets, &others).expect("finite scores");
        let found = curve.equal_error().miss_rate;
        let wanted = list("eer.value")[0];
        // The reference averages both rates at one threshold; here they are interpolated between
        // two, which is less than one trial apart.
        let step = 1.0 / targets.len() as f64;
        assert!((found - wanted).abs() <= step, "{found} against {wanted}");
    }
}
