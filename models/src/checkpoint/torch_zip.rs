//! `.pth`, `.pt`, `.ckpt`, `.bin` as torch writes them since 1.6: a zip archive with a pickle and
//! one member for every storage.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use zip::ZipArchive;
use zip::result::ZipError;

use super::fault::{Fault, Outcome, within};
use super::pickle::parse;
use super::source::{ReadSeek, Source};
use super::storage::StorageReader;
use super::torch_file::TorchFile;

/// Largest pickle; those of real checkpoints have a few megabytes.
const MAX_PICKLE: u64 = 256 << 20;
/// Most members of the archive.
const MAX_MEMBERS: u64 = 1 << 20;

type Archive = ZipArchive<Box<dyn ReadSeek>>;

/// Opens a torch zip archive.
pub(crate) fn open(source: &Source) -> Outcome<TorchFile> {
    let mut archive = ZipArchive::new(source.open()?).map_err(zip_fault)?;
    within("number of archive members", archive.len() as u64, MAX_MEMBERS)?;
    let Some(name) = find_pickle(&archive) else {
        return Err(Fault::Unsupported(
            "a zip archive, but not one that torch.save wrote: it has no data.pkl".into(),
        ));
    };
    let folder = name.strip_suffix("data.pkl").unwrap_or_default().to_owned();
    // torch does not compress, and what others compress of a pickle shrinks to a tenth.
    let limit = source.len().saturating_mul(16).saturating_add(1 << 20).min(MAX_PICKLE);
    let data = read_member(&mut archive, &name, limit)?;
    let (pickle, _) = parse(&data)?;
    let order = format!("{folder}byteorder");
    let swap = archive.index_for_name(&order).is_some()
        && read_member(&mut archive, &order, 64)?.starts_with(b"big");
    let mut members = Vec::with_capacity(pickle.storage_keys.len());
    let mut sizes = Vec::with_capacity(pickle.storage_keys.len());
    let mut total = 0u64;
    for key in &pickle.storage_keys {
        let member = format!("{folder}data/{key}");
        let index = archive
            .index_for_name(&member)
            .ok_or_else(|| Fault::Damaged(format!("the archive lacks the tensor data {member}")))?;
        let size = archive.by_index_raw(index).map_err(zip_fault)?.size();
        total = total.saturating_add(size);
        members.push(index);
        sizes.push(size);
    }
    // torch does not compress, others hardly can: random weights do not shrink.
    let limit = source.len().saturating_mul(16).saturating_add(64 << 20);
    within("size of the unpacked tensors", total, limit)?;
    let reader = Members { archive: Mutex::new(archive), members, sizes: sizes.clone() };
    TorchFile::new(pickle, Box::new(reader), sizes, swap, source.len())
}

fn find_pickle(archive: &Archive) -> Option<String> {
    let names = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned()));
    names.filter(|name| name == "data.pkl" || name.ends_with("/data.pkl")).min_by_key(String::len)
}

fn read_member(archive: &mut Archive, name: &str, limit: u64) -> Outcome<Vec<u8>> {
    let index = archive.index_for_name(name).ok_or_else(|| {
        Fault::Damaged(format!("the archive's directory lists {name}, but it is not there"))
    })?;
    let size = archive.by_index_raw(index).map_err(zip_fault)?.size();
    within("size of the pickle", size, limit)?;
    read_index(archive, index, size)
}

fn read_index(archive: &mut Archive, index: usize, size: u64) -> Outcome<Vec<u8>> {
    let member = archive.by_index(index).map_err(zip_fault)?;
    let mut data = Vec::new();
    // One byte more than declared shows data that goes on.
    member.take(size.saturating_add(1)).read_to_end(&mut data)?;
    if data.len() as u64 != size {
        return Err(Fault::Damaged(format!(
            "a member of the archive has {} bytes where {size} are declared",
            data.len()
        )));
    }
    Ok(data)
}

fn zip_fault(error: ZipError) -> Fault {
    match error {
        ZipError::Io(error) => error.into(),
        ZipError::InvalidArchive(reason) => {
            Fault::Damaged(format!("the zip archive is broken or cut off ({reason})"))
        }
        ZipError::FileNotFound => Fault::damaged("the zip archive lacks a member"),
        other => Fault::Unsupported(format!("the zip archive can't be read: {other}")),
    }
}

#[derive(Debug)]
struct Members {
    archive: Mutex<Archive>,
    members: Vec<usize>,
    sizes: Vec<u64>,
}

impl StorageReader for Members {
    fn read(&self, index: usize) -> Outcome<Arc<[u8]>> {
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(read_index(&mut archive, self.members[index], self.sizes[index])?.into())
    }
}
