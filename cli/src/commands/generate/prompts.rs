//! Lists of sounds to make: JSON lines.

use std::collections::HashSet;
use std::path::Path;

use formant_audio_core::text;
use formant_models::tasks::generate::GenerateOptions;
use serde::Deserialize;
use serde_json::Value;

use crate::failure::Failure;

/// Letters of a file's name that a text becomes.
const LONGEST_NAME: usize = 60;

/// One line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    text: String,
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    seconds: Option<f64>,
    #[serde(default)]
    seed: Option<u64>,
    #[serde(default)]
    negative: Option<String>,
}

/// A sound to make.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Prompt {
    /// How it is called.
    pub(super) id: String,
    pub(super) options: GenerateOptions,
    /// Whether another one before it has the same text.
    pub(super) is_repeated: bool,
}

/// The sounds of a list; what a line does not say is as in `usual`.
pub(super) fn read(path: &Path, usual: &GenerateOptions) -> Result<Vec<Prompt>, Failure> {
    let name = path.display().to_string();
    let refuse = |number: usize, why: String| {
        Failure::usage(format!("{name}, line {}", number + 1), why)
            .help(r#"give lines such as {"id": "a", "text": "rain", "seconds": 5, "seed": 1}"#)
    };
    let list = text::read(path, text::MAX_TEXT)?;
    let mut prompts: Vec<Prompt> = Vec::new();
    let mut ids = HashSet::new();
    for (number, line) in list.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line: Line =
            serde_json::from_str(line).map_err(|error| refuse(number, error.to_string()))?;
        let id = match &line.id {
            None => format!("sound_{}", prompts.len() + 1),
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            Some(_) => return Err(refuse(number, "`id` is no text and no number".to_owned())),
        };
        if id.is_empty() || file_name(&id) != id || !ids.insert(id.to_lowercase()) {
            let why =
                format!("the id `{}` is no name of a file, or not the only one", id.escape_debug());
            return Err(refuse(number, why));
        }
        let options = GenerateOptions {
            text: line.text,
            seconds: line.seconds.unwrap_or(usual.seconds),
            seed: line.seed.unwrap_or(usual.seed),
            negative: line.negative.unwrap_or_else(|| usual.negative.clone()),
            ..usual.clone()
        };
        let is_repeated = prompts.iter().any(|other| other.options.text == options.text);
        prompts.push(Prompt { id, options, is_repeated });
    }
    if prompts.is_empty() {
        return Err(Failure::usage(name, "has no lines"));
    }
    Ok(prompts)
}

/// The same sound `count` times, with seeds of their own.
pub(super) fn several(options: &GenerateOptions, count: u32) -> Vec<Prompt> {
    let name = file_name(&options.text);
    let name = if name.is_empty() { "sound" } else { &name };
    (0..count)
        .map(|index| Prompt {
            id: if count == 1 { name.to_owned() } else { format!("{name}_{}", index + 1) },
            options: GenerateOptions {
                seed: options.seed.wrapping_add(index.into()),
                ..options.clone()
            },
            is_repeated: index > 0,
        })
        .collect()
}

/// A text as the name of a file: letters, digits, `-`, `_`, and dots within.
fn file_name(text: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = text.trim().chars().take(LONGEST_NAME).map(plain).collect();
    name.trim_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Prompt>, Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list.jsonl");
        std::fs::write(&path, text).expect("written");
        read(&path, &GenerateOptions { seed: 7, ..GenerateOptions::default() })
    }

    #[test]
    fn lines_say_what_is_made() {
        let list = "{\"text\": \"rain\"}\n\n{\"id\": 5, \"text\": \"rain\", \"seconds\": 2.5, \"seed\": 1}\n";
        let prompts = read_text(list).expect("two lines");
        let facts: Vec<_> = prompts
            .iter()
            .map(|p| (p.id.as_str(), p.options.seconds, p.options.seed, p.is_repeated))
            .collect();
        assert_eq!(facts, [("sound_1", 10.0, 7, false), ("5", 2.5, 1, true)]);
        for (broken, wanted) in [
            ("", "no lines"),
            ("rain", "line 1"),
            ("{\"text\": \"rain\"}\n{\"words\": \"rain\"}", "line 2"),
            ("{\"text\": \"rain\", \"seconds\": NaN}", "line 1"),
            ("{\"text\": \"rain\", \"seed\": -1}", "line 1"),
            ("{\"text\": \"a\", \"id\": \"../x\"}", "../x"),
            ("{\"text\": \"a\", \"id\": \"\"}", "id"),
            ("{\"text\": \"a\", \"id\": \"x\"}\n{\"text\": \"b\", \"id\": \"X\"}", "line 2"),
        ] {
            let error = read_text(broken).expect_err(broken).message();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn several_sounds_have_seeds_and_names_of_their_own() {
        let options = GenerateOptions {
            text: "rain on/a roof!".to_owned(),
            seed: u64::MAX,
            ..GenerateOptions::default()
        };
        let prompts = several(&options, 2);
        assert_eq!([&prompts[0].id, &prompts[1].id], ["rain_on_a_roof__1", "rain_on_a_roof__2"]);
        assert_eq!([prompts[0].options.seed, prompts[1].options.seed], [u64::MAX, 0]);
        let any = several(&GenerateOptions::default(), 1);
        assert_eq!(any[0].id, "sound");
        let long = GenerateOptions { text: "x".repeat(10_000), ..options };
        assert_eq!(several(&long, 1)[0].id.len(), LONGEST_NAME);
    }
}
