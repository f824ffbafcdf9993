//! The format that `torch.save` wrote before 1.6: five pickles in a row, then the storages, each
//! with its length in front.

use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use super::dtype::DType;
use super::fault::{Fault, Outcome};
use super::pickle::{Node, Pickle, parse};
use super::source::ByteSource;
use super::storage::StorageReader;
use super::torch_file::{TorchFile, bytes_of};

const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// Largest part that the pickles may take; the storages behind are not read here.
const MAX_PICKLES: u64 = 256 << 20;

/// The same number as protocols 0 and 1 write it.
const MAGIC_TEXT: &[u8] = b"L119547037146038801333356L\n";

/// Whether the file starts like one of this format: a pickle of the magic number.
pub(crate) fn matches(head: &[u8]) -> bool {
    let rest = match head {
        [0x80, _, rest @ ..] => rest,
        _ => return head.starts_with(MAGIC_TEXT),
    };
    // Protocol 4 has frames.
    let rest = match rest {
        [0x95, rest @ ..] => rest.get(8..).unwrap_or_default(),
        _ => rest,
    };
    rest.strip_prefix(&[0x8a, 10]).is_some_and(|rest| rest.starts_with(&MAGIC))
}

/// Opens a file of this format.
pub(crate) fn open(source: &ByteSource) -> Outcome<TorchFile> {
    let head = source.read_at(0, source.len().min(MAX_PICKLES) as usize)?;
    let mut at = 0;
    let mut next = || -> Outcome<Pickle> {
        let (pickle, size) = parse(&head[at..])?;
        at += size;
        Ok(pickle)
    };
    next()?; // magic number
    let version = next()?;
    if !matches!(version.node(version.root), Node::Int(1001)) {
        return Err(Fault::Unsupported("an unknown version of the old torch format".into()));
    }
    let system = next()?;
    let pickle = next()?;
    let keys = next()?;
    let mut places = vec![None; pickle.storage_keys.len()];
    let dtypes = storage_types(&pickle);
    let mut offset = at as u64;
    let mut reader = source.open()?;
    for key in keys.items(keys.root)? {
        let key = keys.str(*key)?;
        let mut numel = [0; 8];
        reader.seek(SeekFrom::Start(offset))?;
        reader.read_exact(&mut numel)?;
        let numel = i64::from_le_bytes(numel);
        let numel = u64::try_from(numel)
            .map_err(|_| Fault::damaged("a tensor storage has a negative length"))?;
        // A storage that no tensor uses has no known type; torch writes none.
        let index = pickle.find_storage(key);
        let index = index.ok_or_else(|| Fault::damaged("a tensor storage belongs to no tensor"))?;
        let size = bytes_of(numel, dtypes[index]).unwrap_or(u64::MAX);
        offset += 8;
        if size > source.len().saturating_sub(offset) {
            let reason = format!("it is cut off in a tensor storage of {size} bytes");
            return Err(Fault::Damaged(reason));
        }
        places[index] = Some((offset, size));
        offset += size;
    }
    let places: Option<Vec<_>> = places.into_iter().collect();
    let places = places.ok_or_else(|| Fault::damaged("the data of a tensor is missing"))?;
    let sizes: Vec<u64> = places.iter().map(|(_, size)| *size).collect();
    let reader = Places { source: source.clone(), places };
    let swap = is_big_endian(&system);
    TorchFile::new(pickle, Box::new(reader), sizes, swap, source.len())
}

fn storage_types(pickle: &Pickle) -> Vec<DType> {
    let mut dtypes = vec![DType::U8; pickle.storage_keys.len()];
    for node in &pickle.nodes {
        if let Node::Storage(slot) = node {
            dtypes[slot.index as usize] = slot.dtype;
        }
    }
    dtypes
}

fn is_big_endian(system: &Pickle) -> bool {
    system.entries(system.root).any(|(key, value)| {
        system.key(key) == "little_endian" && matches!(system.node(value), Node::Bool(false))
    })
}

#[derive(Debug)]
struct Places {
    source: ByteSource,
    places: Vec<(u64, u64)>,
}

impl StorageReader for Places {
    fn read(&self, index: usize) -> Outcome<Arc<[u8]>> {
        let (offset, size) = self.places[index];
        Ok(self.source.read_at(offset, usize::try_from(size).unwrap_or(usize::MAX))?.into())
    }
}
