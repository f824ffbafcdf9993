//! A tiny writer of pickles and torch archives for tests.

use std::io::Write;
use std::path::Path;

/// Bytes of a pickle, opcode by opcode.
#[derive(Default, Clone)]
pub(crate) struct Pickle(pub(crate) Vec<u8>);

#[allow(dead_code, reason = "each test file uses some of it")]
impl Pickle {
    pub(crate) fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    pub(crate) fn int(self, value: i64) -> Self {
        self.raw(&[0x8a, 8]).raw(&value.to_le_bytes())
    }

    pub(crate) fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub(crate) fn ints(self, values: &[i64]) -> Self {
        values.iter().fold(self.raw(b"("), |pickle, value| pickle.int(*value)).raw(b"t")
    }

    /// A tensor as `torch.save` writes it.
    pub(crate) fn tensor(
        self,
        class: &str,
        key: &str,
        numel: i64,
        view: (i64, &[i64], &[i64]),
    ) -> Self {
        let (offset, shape, strides) = view;
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"((")
            .text("storage")
            .global("torch", class)
            .text(key)
            .text("cpu")
            .int(numel)
            .raw(b"tQ")
            .int(offset)
            .ints(shape)
            .ints(strides)
            .raw(b"\x89}tR")
    }

    /// `{name: value}` around what `value` writes, then the end.
    pub(crate) fn dict(entries: &[(&str, &dyn Fn(Self) -> Self)]) -> Self {
        let mut pickle = Self::new().raw(b"}(");
        for (name, value) in entries {
            pickle = value(pickle.text(name));
        }
        pickle.raw(b"u.")
    }
}

/// A torch archive with these members, uncompressed.
pub(crate) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, data) in members {
        zip.start_file(format!("archive/{name}"), stored).expect("starts");
        zip.write_all(data).expect("writes");
    }
    zip.finish().expect("finishes").into_inner()
}

/// Writes `bytes` to a file in `folder`.
#[allow(dead_code, reason = "each test file uses some of it")]
pub(crate) fn file(folder: &Path, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("writes");
    path
}
