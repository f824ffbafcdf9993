//! A tiny writer of pickles and torch archives for tests.

#[allow(dead_code, reason = "each test file uses some of it")]
pub(crate) mod tar;

use std::cell::RefCell;
use std::io::Write;
use std::path::Path;

use formant_models::checkpoint::{DType, RawTensor};

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

    /// A contiguous tensor in a storage of its own, whose name is the number of those before it.
    pub(crate) fn stored(self, tensor: &RawTensor, storages: &RefCell<Vec<Vec<u8>>>) -> Self {
        let class = match tensor.dtype() {
            DType::F32 => "FloatStorage",
            DType::U8 => "ByteStorage",
            DType::Complex64 => "ComplexFloatStorage",
            other => panic!("no storage of {other}"),
        };
        let shape: Vec<i64> = tensor.shape().iter().map(|size| *size as i64).collect();
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        let mut storages = storages.borrow_mut();
        let key = storages.len().to_string();
        storages.push(tensor.bytes().expect("reads").to_vec());
        self.tensor(class, &key, tensor.numel() as i64, (0, &shape, &strides))
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
#[allow(dead_code, reason = "each test file uses some of it")]
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

/// A torch archive of a pickle and its storages.
#[allow(dead_code, reason = "each test file uses some of it")]
pub(crate) fn torch_file(pickle: &Pickle, storages: &[Vec<u8>]) -> Vec<u8> {
    let names: Vec<String> = (0..storages.len()).map(|index| format!("data/{index}")).collect();
    let mut members = vec![("data.pkl", pickle.0.as_slice())];
    members.extend(names.iter().map(String::as_str).zip(storages.iter().map(Vec::as_slice)));
    archive(&members)
}

/// Writes `bytes` to a file in `folder`.
#[allow(dead_code, reason = "each test file uses some of it")]
pub(crate) fn file(folder: &Path, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("writes");
    path
}
