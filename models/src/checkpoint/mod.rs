//! Weights from files: containers, a pickle reader that executes nothing, names without training
//! wrappers, strict loading. Only [`load_into`] and its neighbours touch libtorch; networks live
//! elsewhere.
//!
//! ```no_run
//! use formant_models::checkpoint::{Container, FitOptions, load_into};
//!
//! # fn main() -> Result<(), formant_models::Error> {
//! let container = Container::open("MossFormer2_SS_16K")?;
//! let mut store = tch::nn::VarStore::new(tch::Device::Cpu);
//! // ... build the network on `store.root()`, then:
//! let report = load_into(&mut store, container.state_dict()?, &FitOptions::default())?;
//! assert!(report.is_clean());
//! # Ok(())
//! # }
//! ```

mod architecture;
mod arrays;
mod atomic;
mod average;
mod clean;
mod config;
mod container;
mod convert;
mod describe;
mod detect;
mod dtype;
mod fault;
pub(crate) mod glob;
mod load;
mod npy;
mod open;
mod pickle;
mod report;
mod safetensors;
mod select;
mod source;
mod state_dict;
mod steps;
mod storage;
mod table;
mod tar;
mod tensor;
mod torch_file;
mod torch_legacy;
mod torch_zip;
mod value;
pub(crate) mod weight_norm;

pub use architecture::{Architecture, Recognition};
pub use arrays::read_arrays;
pub(crate) use atomic::write_atomically;
pub use average::Share;
pub(crate) use clean::clean_names;
pub use clean::{WeightNorm, clean};
pub use container::{Container, ContainerKind, Member, Part};
pub use convert::{
    ARCHITECTURE_KEY, CONFIGS_KEY, ConvertOptions, ConvertReport, VALUES_KEY, convert,
};
pub use describe::{Description, PartDescription, TensorDescription, describe};
pub use detect::detect;
pub(crate) use detect::detection_row;
pub use dtype::DType;
pub use fault::{Fault, Outcome};
pub use load::load_into;
pub use open::{Format, read_bytes, read_source, read_state_dict};
pub use report::{FitOptions, LoadReport, WrongShape};
pub use safetensors::write_safetensors;
pub use source::ByteSource;
pub use state_dict::StateDict;
pub use steps::Step;
pub(crate) use table::Row;
pub use tensor::RawTensor;
pub use value::Value;
