//! The checkpoint readers without the part that needs libtorch, and one entry point a target.
#![allow(missing_docs, dead_code, unused_imports, reason = "a part of the crate, compiled alone")]

/// Networks, of which the detection table holds the names alone.
pub mod arch {
    macro_rules! networks {
        ($($module:ident::$name:ident),*) => { $(
            pub mod $module {
                #[derive(Debug)]
                pub enum $name {}
            }
        )* };
    }
    networks!(
        clap::ClapText,
        ecapa::Ecapa,
        gan_vocoder::GanVocoder,
        hifi_sr::HifiSr,
        lmuformer::LmuFormer,
        mel_roformer::MelRoformer,
        mossformer::MossFormer,
        periodwave::PeriodWave,
        specmaskgit::SpecMaskGit,
        specvqgan::SpecVqgan,
        squeezeformer::Squeezeformer
    );
}

/// How checkpoints become models, which needs libtorch.
pub mod model {
    pub type AnyCard = Box<dyn std::any::Any>;

    #[derive(Debug)]
    pub struct Foreign<'a>(pub &'a super::checkpoint::state_dict::StateDict);

    pub fn adopt<A>(_: &mut Foreign<'_>) -> super::error::Result<AnyCard> {
        Err(super::error::Error::config("model", "not part of this crate"))
    }
}

#[path = "../../src/error/mod.rs"]
pub mod error;

// Paths below are relative to this folder.
#[path = "."]
pub mod checkpoint {
    #[path = "../../src/checkpoint/architecture.rs"]
    pub(crate) mod architecture;
    #[path = "../../src/checkpoint/atomic.rs"]
    pub(crate) mod atomic;
    #[path = "../../src/checkpoint/average.rs"]
    pub(crate) mod average;
    #[path = "../../src/checkpoint/clean.rs"]
    pub(crate) mod clean;
    #[path = "../../src/checkpoint/config.rs"]
    pub(crate) mod config;
    #[path = "../../src/checkpoint/container/mod.rs"]
    pub(crate) mod container;
    #[path = "../../src/checkpoint/convert.rs"]
    pub(crate) mod convert;
    #[path = "../../src/checkpoint/describe.rs"]
    pub(crate) mod describe;
    #[path = "../../src/checkpoint/detect.rs"]
    pub(crate) mod detect;
    #[path = "../../src/checkpoint/dtype.rs"]
    pub(crate) mod dtype;
    #[path = "../../src/checkpoint/fault.rs"]
    pub(crate) mod fault;
    #[path = "../../src/checkpoint/glob.rs"]
    pub(crate) mod glob;
    #[path = "../../src/checkpoint/npy.rs"]
    pub(crate) mod npy;
    #[path = "../../src/checkpoint/open.rs"]
    pub(crate) mod open;
    #[path = "../../src/checkpoint/pickle/mod.rs"]
    pub(crate) mod pickle;
    #[path = "../../src/checkpoint/report.rs"]
    pub(crate) mod report;
    #[path = "../../src/checkpoint/safetensors.rs"]
    pub(crate) mod safetensors;
    #[path = "../../src/checkpoint/select.rs"]
    pub(crate) mod select;
    #[path = "../../src/checkpoint/source.rs"]
    pub(crate) mod source;
    #[path = "../../src/checkpoint/state_dict.rs"]
    pub(crate) mod state_dict;
    #[path = "../../src/checkpoint/steps.rs"]
    pub(crate) mod steps;
    #[path = "../../src/checkpoint/storage.rs"]
    pub(crate) mod storage;
    #[path = "../../src/checkpoint/table.rs"]
    pub(crate) mod table;
    #[path = "../../src/checkpoint/tar.rs"]
    pub(crate) mod tar;
    #[path = "../../src/checkpoint/tensor.rs"]
    pub(crate) mod tensor;
    #[path = "../../src/checkpoint/torch_file.rs"]
    pub(crate) mod torch_file;
    #[path = "../../src/checkpoint/torch_legacy.rs"]
    pub(crate) mod torch_legacy;
    #[path = "../../src/checkpoint/torch_zip.rs"]
    pub(crate) mod torch_zip;
    #[path = "../../src/checkpoint/value.rs"]
    pub(crate) mod value;
    #[path = "../../src/checkpoint/weight_norm.rs"]
    pub(crate) mod weight_norm;

    pub use clean::{WeightNorm, clean};
    pub use report::LoadReport;
}

use std::path::Path;

use checkpoint::fault::Outcome;
use checkpoint::open::read_source;
use checkpoint::source::ByteSource;
use checkpoint::state_dict::StateDict;

/// One pickle stream, in an archive around it, so that tensors and values are followed too.
pub fn pickle(data: &[u8]) {
    let _ = checkpoint::pickle::parse(data);
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("a/data.pkl", data), ("a/data/0", &[1; 64])] {
        zip.start_file(name, stored).expect("in memory");
        std::io::Write::write_all(&mut zip, bytes).expect("in memory");
    }
    let bytes = zip.finish().expect("in memory").into_inner();
    use_all(read_source(&ByteSource::Bytes(bytes.into())));
}

/// A torch file of either format.
pub fn torch_zip(data: &[u8]) {
    use_all(read_source(&ByteSource::Bytes(data.into())));
}

/// A safetensors file.
pub fn safetensors(data: &[u8]) {
    use_all(checkpoint::safetensors::open(&ByteSource::Bytes(data.into())));
}

/// A `.nemo` archive: as it is, with the checksum of its first header mended, and around the input.
pub fn nemo(data: &[u8]) {
    read_nemo(data.to_vec());
    if let Some((header, rest)) = data.split_first_chunk::<512>() {
        read_nemo([sum(*header).as_slice(), rest].concat());
    }
    let config = &data[..data.len().min(4096)];
    let members = [("model_config.yaml", config), ("model_weights.ckpt", data)];
    read_nemo(members.iter().flat_map(|(name, content)| member(name, content)).collect());
}

fn read_nemo(archive: Vec<u8>) {
    let source = ByteSource::Bytes(archive.into());
    if let Ok(container) = checkpoint::container::files::nemo(Path::new("fuzz"), &source) {
        for part in container.parts {
            use_all(Ok(part.state));
        }
    }
}

/// A file of a tar archive.
fn member(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[156] = b'0';
    header[257..263].copy_from_slice(b"ustar\0");
    let padding = vec![0; content.len().next_multiple_of(512) - content.len()];
    [&sum(header), content, &padding].concat()
}

/// A header with the checksum that it needs.
fn sum(mut header: [u8; 512]) -> [u8; 512] {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// A NumPy array.
pub fn npy(data: &[u8]) {
    if let Ok(tensor) = checkpoint::npy::open(&ByteSource::Bytes(data.into())) {
        let bytes = tensor.bytes().expect("checked to be there");
        assert_eq!(bytes.len(), tensor.byte_len());
    }
}

/// A config, as YAML and as JSON.
pub fn config(data: &[u8]) {
    let source = ByteSource::Bytes(data.into());
    for name in ["a.yaml", "a.json"] {
        let _ = checkpoint::config::read(name, &source);
    }
}

/// Reads every tensor, then cleans and recognises.
fn use_all(state: Outcome<StateDict>) {
    let Ok(mut state) = state else { return };
    for (_, tensor) in state.iter() {
        if let Ok(bytes) = tensor.bytes() {
            assert_eq!(bytes.len(), tensor.byte_len());
        }
    }
    let _ = state.extra.to_json();
    let _ = checkpoint::clean(&mut state, checkpoint::WeightNorm::Fold);
    let _ = checkpoint::detect::detect(&state);
}
