//! Small text files, read whole and within a limit: tables, lists, configs, transcripts.
//!
//! Text is UTF-8, with or without a byte order mark; LF, CRLF and CR end a line. What is read has
//! neither byte order marks nor carriage returns. Devices and named pipes are refused, because
//! reading them may never end.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};

/// Largest config, phrase list or transcript, in bytes.
pub const MAX_TEXT: u64 = 64 << 20;

/// Largest table or list of files, in bytes.
pub const MAX_TABLE: u64 = 4 << 30;

/// Reads a text file of at most `limit` bytes.
///
/// # Errors
/// As [`read_bytes`] and [`decode`].
pub fn read(path: &Path, limit: u64) -> Result<String> {
    Ok(unix_lines(decode(read_bytes(path, limit)?, path)?))
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// As [`open`] and [`read_stream`].
pub fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>> {
    read_stream(open(path)?, path, limit)
}

/// Reads a stream of at most `limit` bytes to its end; `name` stands for it in messages.
///
/// # Errors
/// [`Error::Io`]; [`Error::Limit`] when there is more.
pub fn read_stream(source: impl Read, name: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| Error::io(name, error))?;
    let found = bytes.len() as u64;
    if found > limit {
        return Err(Error::Limit { path: name.into(), what: "size in bytes", found, limit });
    }
    Ok(bytes)
}

/// Opens a regular file, or a pipe that this process was given, as in `--align <(command)`.
///
/// # Errors
/// [`Error::Io`]; [`Error::Unreadable`] for a folder, a device or a named pipe.
pub fn open(path: &Path) -> Result<File> {
    let kind = std::fs::metadata(path).map_err(|error| Error::io(path, error))?.file_type();
    // To open a named pipe waits for somebody who writes; a given one is open already.
    let given = ["/dev/fd/", "/proc/self/fd/", "/dev/stdin"];
    let given = path.to_str().is_some_and(|name| given.iter().any(|way| name.starts_with(way)));
    if kind.is_dir() {
        return Err(Error::unreadable(path, "a folder, where a file is needed"));
    }
    if !kind.is_file() && !given {
        let reason = "a device or pipe, where a regular file is needed; write its content to a \
                      file and name that";
        return Err(Error::unreadable(path, reason));
    }
    File::open(path).map_err(|error| Error::io(path, error))
}

/// Decodes UTF-8 without its byte order mark; `name` is for messages.
///
/// # Errors
/// [`Error::Unreadable`] for UTF-16, UTF-32 and anything else that is not UTF-8, with a remedy.
pub fn decode(bytes: Vec<u8>, name: &Path) -> Result<String> {
    let wide = match bytes.as_slice() {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        _ => None,
    };
    if let Some(wide) = wide {
        let reason = format!(
            "{wide} text, where UTF-8 is needed; save it as UTF-8 (`CSV UTF-8` in spreadsheets), or \
             convert it with `iconv -f {wide} -t UTF-8`"
        );
        return Err(Error::unreadable(name, reason));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let reason = format!(
            "line {line} is not UTF-8; save the file as UTF-8, or convert it with \
             `iconv -f ISO-8859-1 -t UTF-8` if it is Latin-1"
        );
        Error::unreadable(name, reason)
    })?;
    let marks = text.len() - text.trim_start_matches('\u{feff}').len();
    text.drain(..marks);
    Ok(text)
}

/// Ends every line with LF.
#[must_use]
pub fn unix_lines(text: String) -> String {
    match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list.txt");
        std::fs::write(&path, bytes).expect("written");
        (folder, path)
    }

    #[test]
    fn f7_byte_order_marks_and_line_ends_are_no_text() {
        for bytes in ["\u{feff}a\r\nb\n", "a\rb\r", "\u{feff}\u{feff}a\nb\n"] {
            let (_folder, path) = file(bytes.as_bytes());
            assert_eq!(read(&path, 99).expect("text"), "a\nb\n", "{bytes:?}");
        }
        let (_folder, path) = file(b"");
        assert_eq!(read(&path, 0).expect("no text"), "");
    }

    #[test]
    fn f2_other_encodings_are_refused_with_a_remedy() {
        let utf16: Vec<u8> = "\u{feff}path\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "\u{feff}path\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (bytes, says) in [
            (utf16.as_slice(), "iconv -f UTF-16"),
            (&big, "iconv -f UTF-16"),
            (b"\xff\xfe\0\0p\0\0\0", "iconv -f UTF-32"),
            (b"path\ncaf\xe9\n", "line 2 is not UTF-8"),
        ] {
            let (_folder, path) = file(bytes);
            let error = read(&path, 99).expect_err("not UTF-8").to_string();
            assert!(error.contains("list.txt") && error.contains(says), "{error}");
        }
    }

    #[test]
    fn u3_reading_is_bounded() {
        let (folder, path) = file(b"1234");
        assert_eq!(read(&path, 4).expect("small enough"), "1234");
        assert!(matches!(read(&path, 3), Err(Error::Limit { found: 4, limit: 3, .. })));
        let endless = read_stream(std::io::repeat(b'x'), Path::new("-"), 1 << 20);
        assert!(matches!(endless, Err(Error::Limit { .. })));
        let error = read(folder.path(), 9).expect_err("a folder").to_string();
        assert!(error.contains("a folder"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn u3_devices_and_named_pipes_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        for path in [Path::new("/dev/zero"), &pipe] {
            let error = read(path, 9).expect_err("not a regular file").to_string();
            assert!(error.contains("regular file"), "{error}");
        }
    }
}
