//! What the file of a bundled model says of its making, for people: data, notes and measured quality.
//! The whole of it, with the recipe, is in `formant models info --json`.

use serde_json::{Map, Value};

/// The entries that are shown, with their labels.
const SHOWN: [(&str, &str); 5] = [
    ("data", "data"),
    ("speech", "speech"),
    ("noise", "noise"),
    ("note", "note"),
    ("quality", "quality"),
];

/// Lines for the provenance that one of the cards in a file's metadata holds.
pub(super) fn lines(metadata: &Map<String, Value>) -> Vec<(&'static str, String)> {
    let provenance = metadata.values().find_map(|card| card.get("provenance"));
    let Some(provenance) = provenance else { return Vec::new() };
    let mut lines = Vec::new();
    for (key, label) in SHOWN {
        let texts = match provenance.get(key) {
            None | Some(Value::Null) => continue,
            Some(Value::Array(items)) => items.iter().map(plain).collect(),
            // Qualities are listed by what was measured on.
            Some(Value::Object(sets)) if sets.values().all(Value::is_object) => {
                sets.iter().map(|(set, values)| format!("{set}: {}", plain(values))).collect()
            }
            Some(value) => vec![plain(value)],
        };
        for (index, text) in texts.into_iter().enumerate() {
            lines.push((if index == 0 { label } else { "" }, text));
        }
    }
    lines
}

/// A value without the signs of JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(object) => {
            let source = object.get("source").and_then(Value::as_str);
            let rest = object.iter().filter(|(key, _)| *key != "source");
            let rest = rest.map(|(key, value)| match value {
                Value::Object(_) => format!("{} ({})", spaced(key), plain(value)),
                _ => format!("{} {}", spaced(key), plain(value)),
            });
            let rest = rest.collect::<Vec<_>>().join(", ");
            match source {
                Some(source) if rest.is_empty() => source.to_owned(),
                Some(source) => format!("{source} ({rest})"),
                None => rest,
            }
        }
        other => other.to_string(),
    }
}

fn spaced(key: &str) -> String {
    key.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_signs_of_json_are_left() {
        let card = json!({"provenance": {
            "data": [{"source": "AN4", "licence": "BSD", "utterances": 5}, "rooms"],
            "quality": {"test set": {"wer": 0.25, "at": {"miss": 0.5}}},
            "recipe": {"epochs": 3},
        }});
        let metadata = Map::from_iter([("formant.ctc".to_owned(), card)]);
        let expected = [
            ("data", "AN4 (licence BSD, utterances 5)"),
            ("", "rooms"),
            ("quality", "test set: at (miss 0.5), wer 0.25"),
        ];
        let expected = expected.map(|(label, text)| (label, text.to_owned()));
        assert_eq!(lines(&metadata), expected);
        assert!(lines(&Map::new()).is_empty());
    }
}
