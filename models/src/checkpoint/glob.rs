//! Patterns for tensor names: `*` stands for any text, dots included.

/// Whether `name` fits `pattern`.
#[must_use]
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_match_any_text() {
        assert!(matches("*.fft_H", "block.0.attn.lmu.fft_H"));
        assert!(matches("a.*.weight", "a.b.c.weight"));
        assert!(matches("exact", "exact"));
        assert!(!matches("exact", "exactly"));
        assert!(!matches("*.fft_H", "fft_H"));
        assert!(!matches("ab*ba", "aba"));
        assert!(matches("*a*b*", "xaxbx"));
        assert!(!matches("*a*b*", "xbxax"));
    }
}
