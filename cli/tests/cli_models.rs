//! `formant models`: descriptions, conversion, fetching, refusals.

#[path = "../../models/tests/hub_support/mod.rs"]
mod hub_support;
mod support;

use std::ops::ControlFlow;

use formant_models::registry::{self, Cache, HubOptions, Published, Want, published};
use hub_support::{Fault, Hub, Site};
use support::{Place, Ran};

fn checkpoint(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tests/checkpoints/");
    format!("{folder}{name}")
}

#[test]
fn files_are_described() {
    let place = Place::new();
    let text = place.run(&["models", "info", &checkpoint("s13_plain.safetensors")]).code(0).text();
    assert!(text.contains("parameters") && text.contains("tensor bytes"), "{text}");
    let line = &place.run(&["models", "info", "--json", &checkpoint("s13_module.pth")]).json()[0];
    assert_eq!(line["type"], "model_file");
    assert!(line["parts"][0]["tensors"].as_array().is_some_and(|tensors| !tensors.is_empty()));
}

#[test]
fn tasks_are_listed() {
    let place = Place::new();
    let rows = place.run(&["models", "list", "--tasks", "--json"]).code(0).json();
    let names: Vec<_> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    let wanted: Vec<_> = formant_models::tasks::TASKS.iter().map(|task| task.name).collect();
    assert_eq!(names, wanted);
    for row in &rows {
        assert_eq!(row["type"], "task");
        // What `generate` makes is not measured on recordings.
        let metrics = row["metrics"].as_array().expect("a list");
        assert_eq!(metrics.is_empty(), row["name"] == "generate", "{row}");
    }
    let text = place.run(&["models", "list", "--tasks"]).code(0).text();
    assert!(wanted.iter().all(|name| text.contains(name)), "{text}");
    place.run(&["models", "list", "--tasks", "--task", "spot"]).code(2);
}

#[test]
fn the_rest_is_described_when_one_is_not() {
    let place = Place::new();
    place.file("bad.pth", b"rubbish");
    let plain = checkpoint("s13_plain.safetensors");
    let ran = place.run(&["models", "info", "bad.pth", "no-such-model", &plain]).code(1);
    assert!(ran.text().contains("s13_plain"));
    ran.says("bad.pth").says("no-such-model");
    place.run(&["models", "info", "bad.pth"]).code(4);
    place.run(&["models", "info", "no-such-model"]).code(4).says("models list");
    place.run(&["models", "info"]).code(2);
    place.run(&["models", "list"]).code(0);
}

/// S13: checkpoints in disguise become the same plain file.
#[test]
fn s13_conversion_takes_disguises_off() {
    let place = Place::new();
    let convert = |name: &str| {
        let output = format!("{name}.safetensors");
        place.run(&["models", "convert", &checkpoint(name), &output]).code(0);
        let line = place.run(&["models", "info", "--json", &output]).code(0).json().remove(0);
        line["parts"][0]["tensors"].clone()
    };
    let plain = convert("s13_module.pth");
    assert_eq!(convert("s13_lightning.ckpt"), plain);
    assert_eq!(convert("s13_weight_norm_old.pth"), convert("s13_weight_norm_new.pth"));
}

#[test]
fn cards_are_completed() {
    let place = Place::new();
    let card = br#"{"quality": {"mine": {"wer": 0.25}}, "recipe": null}"#;
    place.file("card.json", card);
    let weights = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/src/weights/");
    let weights = format!("{weights}spot-commands.safetensors");
    let convert = |input: &str| {
        let options = ["--precision", "f16", "--provenance", "card.json"];
        place.run(&[&["models", "convert", input, "out.st"][..], &options].concat())
    };
    convert(&weights).code(0);
    let line = place.run(&["models", "info", "--json", "out.st"]).code(0).json().remove(0);
    let metadata = line["parts"][0]["metadata"].as_object().expect("metadata");
    let cards = metadata.values().filter_map(|text| serde_json::from_str(text.as_str()?).ok());
    let mut cards = cards.filter(|card: &serde_json::Value| card.get("provenance").is_some());
    let provenance = cards.next().expect("a card")["provenance"].clone();
    assert_eq!(provenance["quality"]["mine"]["wer"], 0.25);
    assert!(provenance.get("recipe").is_none() && provenance.get("data").is_some());
    place.run(&["spot", "--model", "out.st", "--list-words"]).code(0);

    // The mean of a model and itself is the model; of another network there is none.
    let with = |file: &str, output: &str| {
        place.run(&["models", "convert", &weights, output, "--average", file])
    };
    with(&format!("{weights}=0.25"), "mean.st").code(0);
    place.run(&["models", "convert", &weights, "same.st"]).code(0);
    assert!(place.read("mean.st") == place.read("same.st"), "other weights");
    with("out.st", "d.st").code(2).says("FILE=SHARE");
    with("out.st=1.5", "d.st").code(2).says("between 0 and 1");
    with("nope.st=0.5", "d.st").code(4).says("nope.st");
    let plain = checkpoint("s13_plain.safetensors");
    with(&format!("{plain}=0.5"), "d.st").code(4).says("one network");
    assert!(!place.exists("d.st"));

    place.run(&["models", "convert", &weights, "b.st", "--provenance", "no.json"]).code(3);
    place
        .run(&["models", "convert", &plain, "c.st", "--provenance", "card.json"])
        .code(2)
        .says("no model of formant's own");
    assert!(!place.exists("c.st"));
}

#[test]
fn outputs_are_never_replaced_unasked() {
    let place = Place::new();
    place.file("out.safetensors", b"precious");
    let input = checkpoint("s13_plain.safetensors");
    let convert = ["models", "convert", &input, "out.safetensors"];
    place.run(&convert).code(2).says("exists already");
    assert_eq!(place.read("out.safetensors"), b"precious");
    let more: Vec<&str> =
        convert.iter().chain(&["--overwrite", "--precision", "f16"]).copied().collect();
    let line = &place.run(&[&more[..], &["--json"]].concat()).code(0).json()[0];
    assert_eq!(line["type"], "model_conversion");
    assert!(line["rounded"].as_u64().is_some_and(|count| count > 0));
    place.run(&["models", "convert", "nope.pth", "x.safetensors"]).code(4).says("nope.pth");
    assert_eq!(place.files(), ["out.safetensors"]);
}

fn golden(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens/");
    std::fs::read(format!("{folder}{name}")).unwrap_or_else(|error| panic!("{name}: {error}"))
}

const AST: &str = "ast-speech-commands";

/// A hub with one published model, whose content is a small one of the same kind.
fn site() -> Site {
    Site::new("MIT/ast-finetuned-speech-commands-v2")
        .small("config.json", &golden("ast/containers/hf/config.json"))
        .small("preprocessor_config.json", &golden("ast/containers/hf/preprocessor_config.json"))
        .large("model.safetensors", &golden("ast/containers/hf/model.safetensors"))
}

fn models(place: &Place, hub: &Hub, arguments: &[&str]) -> Ran {
    let variables = [("HF_ENDPOINT", hub.address.as_str()), ("FORMANT_CACHE", "cache")];
    place.run_with(&[&["models"], arguments].concat(), &variables)
}

fn row(ran: &Ran, name: &str) -> serde_json::Value {
    ran.json().into_iter().find(|row| row["name"] == name).expect("a row")
}

#[test]
fn bundled_and_published_models_are_listed_together() {
    let (place, hub) = (Place::new(), site().start());
    let list = models(&place, &hub, &["list", "--json"]).code(0);
    let all = list.json();
    assert!(all.iter().all(|row| row["state"] != "bundled" || row["runs"] == true), "not yet");
    let counted = |row: &serde_json::Value| row["state"] != "bundled" || row["parameters"].is_u64();
    assert!(all.iter().all(counted));
    let bundled = row(&list, "spot-commands");
    assert_eq!((&bundled["state"], &bundled["runs"]), (&"bundled".into(), &true.into()));
    assert_eq!(bundled["architecture"], "lmuformer");
    let published = row(&list, "mossformer2-sr-48k");
    assert_eq!(published["state"], "hub");
    assert_eq!(published["revision"], "39eb1f25ea84f5e0315ade9ac0070fff216fc690");
    assert_eq!((&published["rate"], &published["licence"]), (&48_000.into(), &"Apache-2.0".into()));
    assert_eq!(row(&list, "lmuformer-speech-commands")["state"], "by_hand");
    let spot = models(&place, &hub, &["list", "--task", "spot", "--json"]).code(0);
    assert!(spot.json().iter().all(|row| row["task"] == "spot"));
    let text = models(&place, &hub, &["list", "--task", "tag"]).code(0).text();
    assert!(text.contains(AST) && !text.contains("spot-commands"), "{text}");
    models(&place, &hub, &["list", "--task", "cook"]).code(2).says("separate");
    let card = models(&place, &hub, &["info", "mossformer2-ss-16k"]).code(0).text();
    for part in ["alibabasglab/MossFormer2_SS_16K", "arXiv 2312.11825", "models pull"] {
        assert!(card.contains(part), "{part} is not in\n{card}");
    }
    let card = models(&place, &hub, &["info", "asr-an4"]).code(0).text();
    assert!(!card.contains(['{', '}', '[']), "JSON in\n{card}");
    assert!(card.contains("parameters    2.7 M") && card.contains("LibriSpeech"), "{card}");
    assert!(hub.requests().is_empty(), "no network for a list");
    assert!(place.files().is_empty());
}

#[test]
fn a_published_model_is_fetched_used_and_removed() {
    let (place, hub) = (Place::new(), site().fault(Fault::Cut(9)).start());
    let pulled = models(&place, &hub, &["pull", AST]).code(0).says("3 files").says("again in");
    let path = pulled.text().trim().to_owned();
    let described = &place.run(&["models", "info", "--json", &path]).code(0).json()[0];
    assert_eq!(described["detection"]["architecture"], "ast");
    let listed = row(&models(&place, &hub, &["list", "--json"]).code(0), AST);
    assert_eq!((&listed["state"], &listed["path"]), (&"cached".into(), &path.as_str().into()));
    let doctor = place.run_with(&["doctor", "--json"], &[("FORMANT_CACHE", "cache")]).code(0);
    assert_eq!(doctor.json()[0]["cached_models"], serde_json::json!([AST]));

    let asked = hub.requests().len();
    let again = models(&place, &hub, &["pull", AST, "--json"]).code(0).says("there already");
    let line = &again.json()[0];
    assert_eq!((&line["type"], &line["fetched"]), (&"model_pulled".into(), &false.into()));
    assert_eq!((&line["path"], hub.requests().len()), (&path.as_str().into(), asked));
    assert!(models(&place, &hub, &["verify"]).code(0).text().contains("3 files are whole"));

    place.file(&format!("{path}/config.json"), b"{}");
    models(&place, &hub, &["verify", AST]).code(4).says("config.json").says("models remove");
    assert_eq!(row(&models(&place, &hub, &["list", "--json"]), AST)["state"], "damaged");
    models(&place, &hub, &["remove", AST]).code(0);
    models(&place, &hub, &["remove", AST]).code(4).says("not in the cache");
    assert_eq!(place.files(), [format!("cache/locks/{AST}.lock")]);
}

/// A newcomer's way to a transcript: the command that the default model's note names, against a
/// stand-in of the site that has the file.
#[test]
fn a_model_at_a_direct_address_is_fetched_and_compared_ever_after() {
    const NAME: &str = "squeezeformer-medium-en";
    const FILE: &str = "api.ngc.nvidia.com/v2/models/nvidia/nemo/stt_en_squeezeformer_ctc_medium_ls/versions/1.13.0/files/stt_en_squeezeformer_ctc_medium_ls.nemo";
    let place = Place::new();
    let hub = Site::new("none/none").direct(FILE, b"a model").start();
    let models = |arguments: &[&str]| {
        let variables = [("FORMANT_MIRROR", hub.address.as_str()), ("FORMANT_CACHE", "cache")];
        place.run_with(&[&["models"], arguments].concat(), &variables)
    };
    let listed = row(&models(&["list", "--json"]).code(0), NAME);
    assert_eq!((&listed["state"], &listed["runs"]), (&"direct".into(), &true.into()));
    assert_eq!(listed["parameters"], 55_600_000);
    let text = models(&["list", "--task", "transcribe"]).code(0).text();
    let line = text.lines().find(|line| line.starts_with(NAME)).expect("a line");
    assert!(line.contains("55.6 M") && line.contains("WER 2.6 / 6.3 %"), "{line}");
    let pulled = models(&["pull", NAME]).code(0).says("1 file, ");
    let path = pulled.text().trim().to_owned();
    assert!(path.ends_with("stt_en_squeezeformer_ctc_medium_ls.nemo"), "{path}");
    assert_eq!(place.read(&path), b"a model");
    models(&["verify", NAME]).code(0);
    models(&["remove", NAME]).code(0);
    hub.change(|site| *site = site.clone().direct(FILE, b"another"));
    models(&["pull", NAME]).code(4).says("the first download");
    assert!(!place.exists(&path));
    models(&["info", NAME]).code(0);
}

#[test]
fn a_cache_folder_of_ones_own() {
    let (place, hub) = (Place::new(), site().start());
    let here = ["pull", AST, "--cache-dir", "here"];
    models(&place, &hub, &here).code(0).says("FORMANT_CACHE=here");
    models(&place, &hub, &["verify", AST]).code(4).says("models pull");
    models(&place, &hub, &["verify", AST, "--cache-dir", "here"]).code(0);
    place.file("blocked", b"a file");
    let blocked = ["pull", AST, "--cache-dir", "blocked"];
    models(&place, &hub, &blocked).code(4).says("blocked").says("--cache-dir");
}

#[test]
fn failures_to_fetch_say_what_to_do() {
    let (place, hub) = (Place::new(), site().start());
    let refuse =
        |fault| hub.change(|site| site.metadata_faults.push_back(Fault::Status(fault, None)));
    refuse(401);
    models(&place, &hub, &["pull", AST]).code(4).says("status 401").says("HF_TOKEN");
    refuse(404);
    models(&place, &hub, &["pull", AST]).code(4).says("not on the hub").says("HF_ENDPOINT");
    hub.change(|site| site.file_faults.push_back(Fault::Corrupt));
    models(&place, &hub, &["pull", AST]).code(4).says("git-sha1").says("try again");
    assert_eq!(row(&models(&place, &hub, &["list", "--json"]), AST)["state"], "hub");
    models(&place, &hub, &["pull", AST, "--offline"]).code(4).says("--offline");
    models(&place, &hub, &["pull", "nobody"]).code(4).says("models list");
    models(&place, &hub, &["pull", "spot-commands"]).code(4).says("comes with the program");
    let by_hand = models(&place, &hub, &["pull", "lmuformer-speech-commands"]).code(4);
    by_hand.says("https://").says("--model");
    models(&place, &hub, &["pull"]).code(2);
    // One that fails does not stop the rest.
    let both = models(&place, &hub, &["pull", "nobody", AST, "--json"]).code(1);
    let types: Vec<_> = both.json().iter().map(|line| line["type"].clone()).collect();
    assert_eq!(types, ["error", "model_pulled"]);

    for (name, value) in [("HF_ENDPOINT", "nonsense"), ("HTTPS_PROXY", "odd://x")] {
        place.run_with(&["models", "pull", AST], &[(name, value)]).code(2).says(name);
    }
    for name in ["FORMANT_OFFLINE", "HF_HUB_OFFLINE"] {
        let variables = [(name, "1"), ("FORMANT_CACHE", "empty")];
        place.run_with(&["models", "pull", AST], &variables).code(4).says(name);
    }
}

/// The hub's name can't be resolved here; only the proxy knows the way to it.
#[test]
fn proxies_are_used_except_where_not() {
    let (place, hub) = (Place::new(), site().start());
    let variables = [
        ("HF_ENDPOINT", "http://hub.invalid"),
        ("HTTP_PROXY", hub.address.as_str()),
        ("NO_PROXY", "127.0.0.1"),
        ("FORMANT_CACHE", "cache"),
    ];
    place.run_with(&["models", "pull", AST], &variables).code(0);
    let connects: Vec<String> = hub
        .requests()
        .into_iter()
        .filter(|request| request.method == "CONNECT")
        .map(|request| request.target)
        .collect();
    assert!(!connects.is_empty() && connects.iter().all(|to| to == "hub.invalid:80"));
}

#[test]
fn names_of_published_models_are_taken_by_commands() {
    let place = Place::new();
    let cache = [("FORMANT_CACHE", "cache")];
    let spot = |model: &str| place.run_with(&["spot", "--list-words", "--model", model], &cache);
    spot("ecapa-voxceleb").code(4).says("formant models pull ecapa-voxceleb");
    spot("lmuformer-speech-commands").code(4).says("github.com");

    // As if it were on a hub.
    let weights = golden("lmuformer/containers/best_model.pth");
    let hub = Site::new("owner/words").large("best_model.pth", &weights).start();
    let model = Published {
        place: registry::Place::HuggingFace { id: "owner/words", revision: None },
        files: &[Want::File("best_model.pth")],
        ..*published("lmuformer-speech-commands").expect("a row")
    };
    let options = HubOptions { endpoint: hub.address.clone(), ..HubOptions::default() };
    let cache = Cache::at(place.path("cache"));
    registry::pull(&model, &cache, &options, &mut |_| ControlFlow::Continue(())).expect("fetched");
    assert!(spot("lmuformer-speech-commands").code(0).text().lines().count() > 1);
}
