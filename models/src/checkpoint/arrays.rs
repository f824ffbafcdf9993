//! Arrays of NumPy: one in a `.npy` file, several with names in a `.npz` archive.

use std::io::Read;
use std::path::Path;

use zip::ZipArchive;

use super::fault::{Fault, Outcome, within};
use super::npy;
use super::source::ByteSource;
use super::tensor::RawTensor;
use crate::error::{Error, Result};

/// Most bytes of all arrays: four hours of 100 bands at 94 frames a second.
const MAX_BYTES: u64 = 1 << 29;
/// Most members of an archive.
const MAX_MEMBERS: u64 = 1 << 16;

/// The arrays of a `.npy` or `.npz` file, told by its first bytes, with their names; the array of a
/// `.npy` file has none.
///
/// # Errors
/// When the file can't be read, is damaged, is of another kind, or has too much in it.
pub fn read_arrays(path: &Path) -> Result<Vec<(String, RawTensor)>> {
    let source = ByteSource::file(path).map_err(|error| Error::io(path, error))?;
    read(&source).map_err(|fault| fault.at(path))
}

fn read(source: &ByteSource) -> Outcome<Vec<(String, RawTensor)>> {
    let head = source.read_at(0, source.len().min(8) as usize)?;
    if npy::matches(&head) {
        within("size of the array", source.len(), MAX_BYTES)?;
        return Ok(vec![(String::new(), npy::open(source)?)]);
    }
    if !head.starts_with(b"PK") {
        return Err(Fault::Unsupported("no NumPy file; save it with numpy.save or savez".into()));
    }
    let broken = |error: zip::result::ZipError| Fault::Damaged(format!("the archive: {error}"));
    let mut archive = ZipArchive::new(source.open()?).map_err(broken)?;
    within("number of archive members", archive.len() as u64, MAX_MEMBERS)?;
    let (mut arrays, mut total) = (Vec::new(), 0u64);
    for index in 0..archive.len() {
        let member = archive.by_index(index).map_err(broken)?;
        let name = String::from_utf8_lossy(member.name_raw()).into_owned();
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else { continue };
        let size = member.size();
        total = total.saturating_add(size);
        within("size of the arrays", total, MAX_BYTES)?;
        let mut bytes = Vec::new();
        // What an archive declares, and what is in it, may differ.
        member.take(size.saturating_add(1)).read_to_end(&mut bytes)?;
        let array = ByteSource::Bytes(bytes.into());
        match npy::open(&array) {
            Ok(array) => arrays.push((name, array)),
            // Such as texts.
            Err(Fault::Unsupported(_)) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(arrays)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn npy(code: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{code}', 'fortran_order': False, 'shape': {shape}, }}");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn one_array_or_several_with_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let values: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let half = [0x00, 0x3c, 0x00, 0xc0]; // 1 and -2
        std::fs::write(&path, npy("<f4", "(2,)", &values)).expect("written");
        let arrays = read_arrays(&path).expect("an array");
        assert_eq!(arrays[0].0, "");
        assert_eq!(arrays[0].1.to_f32_vec().expect("floats"), [1.5, -2.0]);

        let mut zip = ZipWriter::new(std::fs::File::create(&path).expect("made"));
        for (name, bytes) in [
            ("mel.npy", npy("<f4", "(1, 2)", &values)),
            ("half.npy", npy("<f2", "(2,)", &half)),
            ("text.npy", npy("<U1", "(1,)", &[65, 0, 0, 0])),
            ("notes.txt", b"notes".to_vec()),
        ] {
            zip.start_file(name, SimpleFileOptions::default()).expect("begun");
            zip.write_all(&bytes).expect("written");
        }
        zip.finish().expect("ended");
        let arrays = read_arrays(&path).expect("arrays");
        let names: Vec<&str> = arrays.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["mel", "half"]);
        assert_eq!(arrays[0].1.shape(), [1, 2]);
        assert_eq!(arrays[1].1.to_f32_vec().expect("floats"), [1.0, -2.0]);

        let whole = std::fs::read(&path).expect("there");
        std::fs::write(&path, &whole[..whole.len() / 2]).expect("written");
        assert!(matches!(read_arrays(&path), Err(Error::Damaged { .. } | Error::Io { .. })));
        std::fs::write(&path, b"RIFF").expect("written");
        assert!(matches!(read_arrays(&path), Err(Error::Unsupported { .. })));
        assert!(read_arrays(&folder.path().join("none")).is_err());
    }
}
