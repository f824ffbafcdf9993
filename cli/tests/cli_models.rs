//! `formant models`: descriptions, conversion, refusals.

mod support;

use support::Place;

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
