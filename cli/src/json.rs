//! Machine-readable lines: one JSON object a line, each with a `type`. docs/cli.md lists them.

use formant_audio_core::text;
use std::path::Path;

use formant_audio_core::Warning;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::failure::Failure;

/// One line from an object and its type.
pub(crate) fn line(kind: &str, value: &impl Serialize) -> String {
    let mut object = serde_json::Map::new();
    object.insert("type".to_owned(), kind.into());
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => object.extend(fields),
        Ok(Value::Null) => {}
        Ok(other) => {
            object.insert("value".to_owned(), other);
        }
        Err(error) => {
            object.insert("error".to_owned(), error.to_string().into());
        }
    }
    format!("{}\n", Value::Object(object))
}

/// Warnings as objects: what the library says, and the same as text in `message`.
pub(crate) fn warnings(warnings: &[Warning]) -> Vec<Value> {
    let object = |warning: &Warning| {
        let mut value = serde_json::to_value(warning).unwrap_or(Value::Null);
        if let Value::Object(fields) = &mut value {
            fields.insert("message".to_owned(), warning.to_string().into());
        }
        value
    };
    warnings.iter().map(object).collect()
}

/// The line of an input that failed.
pub(crate) fn failure(input: &str, failure: &Failure) -> String {
    let error = json!({
        "input": input,
        "kind": failure.kind,
        "message": failure.message(),
        "remedy": (!failure.remedy.is_empty()).then_some(&failure.remedy),
        "warnings": [],
    });
    line("error", &error)
}

/// Parses a JSON file that an option names.
pub(crate) fn read_file<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = text::read(path, text::MAX_TEXT)?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::usage(path.display().to_string(), format!("not the JSON that is needed: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_a_type_and_warnings_a_text() {
        let line = line("info", &json!({"rate": 8000}));
        let parsed: Value = serde_json::from_str(&line).expect("a JSON line");
        assert_eq!(parsed, json!({"type": "info", "rate": 8000}));
        assert!(line.ends_with("}\n"));
        let list = warnings(&[Warning::FrameCount { declared: 5, found: 3 }]);
        assert_eq!(list[0]["kind"], "frame_count");
        assert_eq!((&list[0]["declared"], &list[0]["found"]), (&json!(5), &json!(3)));
        assert!(list[0]["message"].as_str().is_some_and(|text| text.contains('5')));
    }
}
