//! safetensors: a JSON header with names, types and places, then the bytes. Tensors are read when
//! they are used; files are written through a temporary name, always with the same bytes.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde_json::json;

use super::atomic::write_atomically;
use super::dtype::DType;
use super::fault::{Budget, Fault, Outcome, within};
use super::source::ByteSource;
use super::state_dict::StateDict;
use super::steps::Step;
use super::tensor::RawTensor;
use crate::error::Result;

/// Largest header, as in the format's own library.
const MAX_HEADER: u64 = 100_000_000;
/// Longest name.
const MAX_NAME: u64 = 4096;

/// Reads names, types and metadata; the tensors follow on demand.
pub(crate) fn open(source: &ByteSource) -> Outcome<StateDict> {
    let mut size = [0; 8];
    size.copy_from_slice(&source.read_at(0, 8)?);
    let size = u64::from_le_bytes(size);
    within("size of the safetensors header", size, MAX_HEADER)?;
    let header = source.read_at(8, size as usize)?;
    let header: Metadata = serde_json::from_slice(&header)
        .map_err(|error| Fault::Damaged(format!("broken safetensors header: {error}")))?;
    let start = 8 + size;
    let found = source.len() - start;
    if header.data_len() as u64 != found {
        return Err(Fault::Damaged(format!(
            "the tensors need {} bytes, {found} are there",
            header.data_len()
        )));
    }
    let mut state = StateDict::default();
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else { continue };
        within("length of a tensor's name", name.len() as u64, MAX_NAME)?;
        let (first, end) = info.data_offsets;
        let part = source.slice(start + first as u64, (end - first) as u64);
        let part = part.ok_or_else(|| Fault::damaged("a tensor lies outside the file"))?;
        let dtype = from_safetensors(info.dtype).ok_or_else(|| {
            Fault::Unsupported(format!(
                "tensor {name} has type {:?}, which is not read",
                info.dtype
            ))
        })?;
        state.insert(name, RawTensor::in_file(dtype, info.shape.clone(), part)?);
    }
    state.metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    restore_shared(&mut state, source.len())?;
    Ok(state)
}

/// Torch stores a shared tensor once and notes its other names as metadata. All tensors together
/// have a size relative to that of the file.
fn restore_shared(state: &mut StateDict, file_size: u64) -> Outcome<()> {
    let mut size = Budget::new("size of all tensors together", file_size, 16, 64 << 20);
    size.spend(state.byte_count())?;
    let is_alias =
        |name: &String, kept: &String| state.get(name).is_none() && state.get(kept).is_some();
    let aliases: Vec<(String, String)> = state
        .metadata
        .iter()
        .filter(|(name, kept)| is_alias(name, kept))
        .map(|(name, kept)| (name.clone(), kept.clone()))
        .collect();
    for (name, kept) in &aliases {
        if let Some(tensor) = state.get(kept).cloned() {
            size.spend(tensor.byte_len() as u64)?;
            state.insert(name.clone(), tensor);
            state.metadata.remove(name);
        }
    }
    if !aliases.is_empty() {
        state.steps.push(Step::Shared { count: aliases.len() });
    }
    Ok(())
}

fn from_safetensors(dtype: Dtype) -> Option<DType> {
    DType::all().into_iter().find(|own| to_safetensors(*own) == dtype)
}

fn to_safetensors(dtype: DType) -> Dtype {
    match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I16 => Dtype::I16,
        DType::I8 => Dtype::I8,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
        DType::Complex64 => Dtype::C64,
    }
}

/// Writes `state` with `metadata`. The file appears under its name only when it is complete.
///
/// # Errors
/// When a tensor can't be read or the file can't be written.
pub fn write_safetensors(
    path: &Path,
    state: &StateDict,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    // Wider types first keeps every tensor aligned; names decide the rest.
    let mut order: Vec<_> = state.iter().collect();
    order.sort_by(|a, b| (b.1.dtype().size(), a.0).cmp(&(a.1.dtype().size(), b.0)));
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    let mut end = 0;
    for (name, tensor) in &order {
        let start = end;
        end += tensor.byte_len();
        let entry = json!({
            "dtype": to_safetensors(tensor.dtype()).to_string(),
            "shape": tensor.shape(),
            "data_offsets": [start, end],
        });
        header.insert((*name).to_owned(), entry);
    }
    let mut header = serde_json::Value::Object(header).to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    write_atomically(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        for (_, tensor) in &order {
            file.write_all(&tensor.bytes().map_err(std::io::Error::other)?)?;
        }
        Ok(())
    })
}
