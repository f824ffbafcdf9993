//! Reading the answers of programs: the fields of a JSON object on one line.

/// The text after `"key":`.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    Some(line.split_once(&format!("\"{key}\""))?.1.trim_start().strip_prefix(':')?.trim_start())
}

/// The number that belongs to `key`.
pub(crate) fn number(line: &str, key: &str) -> Option<f64> {
    let value = value(line, key)?;
    value[..value.find([',', '}']).unwrap_or(value.len())].trim().parse().ok()
}

/// The list of numbers that belongs to `key`.
pub(crate) fn numbers(line: &str, key: &str) -> Option<Vec<f64>> {
    let (list, _) = value(line, key)?.strip_prefix('[')?.split_once(']')?;
    list.split(',').map(|number| number.trim().parse().ok()).collect()
}

/// The text that belongs to `key`, with its escapes as they are.
pub(crate) fn text<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let text = value(line, key)?.strip_prefix('"')?;
    let quote = text.match_indices('"').find(|(at, _)| !text[..*at].ends_with('\\'))?.0;
    Some(&text[..quote])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found() {
        let line = r#"{"milliseconds": [1.5, 2e1], "rms": 0.25, "error": "no \"job\" there"}"#;
        assert_eq!(numbers(line, "milliseconds"), Some(vec![1.5, 20.0]));
        assert_eq!(number(line, "rms"), Some(0.25));
        assert_eq!(text(line, "error"), Some(r#"no \"job\" there"#));
        assert_eq!(number(line, "values"), None);
        assert_eq!(numbers(line, "rms"), None);
    }
}
