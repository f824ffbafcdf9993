//! Values that protocols 0 and 1 write as lines of text.

use super::machine::integer;
use super::node::Node;
use crate::checkpoint::fault::{Fault, Outcome};

/// Most decimal digits of an integer: the time to read them grows with their square.
const MAX_DIGITS: usize = 100;

/// The value in the line behind the opcode `op`.
pub(super) fn value(op: u8, line: &str) -> Outcome<Node> {
    let odd = || Fault::damaged("a pickle has a number that is none");
    match op {
        b'I' if line == "00" => Ok(Node::Bool(false)),
        b'I' if line == "01" => Ok(Node::Bool(true)),
        b'I' => line.trim().parse().map(Node::Int).map_err(|_| odd()),
        b'L' => long(line.trim_end_matches('L')).ok_or_else(odd),
        b'F' => line.trim().parse().map(Node::Float).map_err(|_| odd()),
        b'S' => {
            let quoted = line.trim();
            let inside = ['\'', '"']
                .iter()
                .find_map(|quote| quoted.strip_prefix(*quote)?.strip_suffix(*quote));
            let inside =
                inside.ok_or_else(|| Fault::damaged("a text in a pickle lacks its quotes"))?;
            Ok(Node::Str(unescaped(inside, true).into()))
        }
        _ => Ok(Node::Str(unescaped(line, false).into())),
    }
}

/// The number of a memo entry.
pub(super) fn slot(line: &str) -> Outcome<u32> {
    line.parse().map_err(|_| Fault::damaged("a pickle has a memo entry without a number"))
}

/// Decimal digits of any length, as little-endian two's complement.
fn long(text: &str) -> Option<Node> {
    if let Ok(value) = text.parse::<i64>() {
        return Some(Node::Int(value));
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() || digits.len() > MAX_DIGITS {
        return None;
    }
    let mut bytes: Vec<u8> = Vec::new();
    for digit in digits.chars() {
        let mut carry = digit.to_digit(10)?;
        for byte in &mut bytes {
            let sum = u32::from(*byte) * 10 + carry;
            *byte = (sum & 0xff) as u8;
            carry = sum >> 8;
        }
        if carry > 0 {
            bytes.push(carry as u8); // below 10
        }
    }
    bytes.push(0);
    if negative {
        let mut carry = true;
        for byte in &mut bytes {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    // The number has one form: the shortest that keeps the sign.
    while let [.., before, last] = bytes.as_slice()
        && ((*last == 0 && before & 0x80 == 0) || (*last == 0xff && before & 0x80 != 0))
    {
        bytes.pop();
    }
    Some(integer(&bytes))
}

/// Text with Python's escapes; of the raw form only `\u` and `\U` are escapes.
fn unescaped(text: &str, all: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(kind) = rest.chars().next() else {
            out.push('\\');
            return out;
        };
        let digits = match kind {
            'u' => 4,
            'U' => 8,
            'x' if all => 2,
            _ => 0,
        };
        let code = rest.get(1..=digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        match (digits, code) {
            (1.., Some(code)) => {
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = &rest[1 + digits..];
            }
            _ if all => {
                match kind {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    'r' => out.push('\r'),
                    '\\' | '\'' | '"' => out.push(kind),
                    _ => out.extend(['\\', kind]),
                }
                rest = &rest[kind.len_utf8()..];
            }
            _ => out.push('\\'),
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_any_length_have_the_bytes_of_the_binary_form() {
        // What Python writes for the same numbers with protocol 2.
        let of = |text: &str| match long(text) {
            Some(Node::Int(value)) => value.to_le_bytes().to_vec(),
            Some(Node::Big(bytes)) => bytes.to_vec(),
            _ => Vec::new(),
        };
        assert_eq!(of("-3"), (-3i64).to_le_bytes());
        assert_eq!(
            of("119547037146038801333356"),
            [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]
        );
        assert_eq!(of("9223372036854775808"), [0, 0, 0, 0, 0, 0, 0, 0x80, 0]);
        assert_eq!(
            of("-9223372036854775809"),
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff]
        );
        assert!(long("1x").is_none() && long("").is_none());
        assert!(long(&"9".repeat(MAX_DIGITS + 1)).is_none());
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescaped(r"a\u00e9\n", false), "aé\\n");
        assert_eq!(unescaped(r"a\x41\n\'", true), "aA\n'");
        assert_eq!(unescaped(r"\u12", false), r"\u12");
        assert_eq!(unescaped("\\", true), "\\");
        assert_eq!(unescaped("\\ué", false), "\\ué");
    }
}
