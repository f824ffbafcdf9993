//! Where a model comes from and how it is run.

use std::path::PathBuf;
use std::str::FromStr;

use formant_kernels::cuda::{self, CudaLibraries};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelSource {
    /// Weights that are part of the program, by name.
    Bundled(String),
    /// A published checkpoint in the cache, by the registry's name.
    Published(String),
    /// A file or folder.
    Path(PathBuf),
}

/// Where the computing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceChoice {
    /// CUDA when it is there, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this index.
    Cuda(usize),
}

impl DeviceChoice {
    /// The libtorch device.
    ///
    /// # Errors
    /// [`Error::Device`] when a CUDA device is asked for that libtorch cannot see.
    pub fn resolve(self) -> Result<tch::Device> {
        if self == Self::Cpu {
            return Ok(tch::Device::Cpu);
        }
        let libraries = cuda_libraries();
        let count = tch::Cuda::device_count().max(0) as usize;
        match self {
            Self::Cuda(index) if index < count => Ok(tch::Device::Cuda(index)),
            Self::Cuda(index) => {
                let found = match count {
                    0 => libraries.to_string(),
                    n => format!("the last CUDA device is cuda:{}", n - 1),
                };
                let advice = "use --device cpu, or see `formant doctor`";
                Err(Error::Device(format!("cuda:{index} cannot be used: {found}; {advice}")))
            }
            Self::Auto | Self::Cpu => Ok(tch::Device::cuda_if_available()),
        }
    }
}

/// Opens the CUDA half of libtorch, if it is there and there is a driver, and says what was found.
pub fn cuda_libraries() -> CudaLibraries {
    match cuda::libtorch_folder() {
        Some(folder) => cuda::open_libraries(&folder).clone(),
        None => CudaLibraries::Broken { reason: "the place of libtorch is unknown".to_owned() },
    }
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => other
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| {
                    let reason = format!("`{other}` is not one of auto, cpu, cuda, cuda:N");
                    Error::config("device", reason)
                }),
        }
    }
}

/// Numbers in which the matrix products of a network are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    F32,
    /// 16 bits with the range of f32, where a network can: faster on processors and graphics cards
    /// that have instructions for it, with outputs that differ by about a hundredth.
    Bf16,
}

impl Precision {
    /// The libtorch kind.
    #[must_use]
    pub fn kind(self) -> tch::Kind {
        match self {
            Self::F32 => tch::Kind::Float,
            Self::Bf16 => tch::Kind::BFloat16,
        }
    }

    /// Whether this machine's processor has instructions for matrix products of such numbers; without
    /// them f32 is faster.
    #[must_use]
    pub fn is_native(self) -> bool {
        match self {
            Self::F32 => true,
            #[cfg(target_arch = "x86_64")]
            Self::Bf16 => is_x86_feature_detected!("avx512bf16"),
            #[cfg(target_arch = "aarch64")]
            Self::Bf16 => std::arch::is_aarch64_feature_detected!("bf16"),
            #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
            Self::Bf16 => false,
        }
    }
}

/// How a model is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// Where.
    pub device: DeviceChoice,
    /// In which numbers; networks that have not what is asked for use f32.
    pub precision: Precision,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_parse() {
        assert_eq!("cuda:3".parse::<DeviceChoice>().expect("valid"), DeviceChoice::Cuda(3));
        assert_eq!("cuda".parse::<DeviceChoice>().expect("valid"), DeviceChoice::Cuda(0));
        assert!("gpu".parse::<DeviceChoice>().is_err());
        assert!(
            DeviceChoice::Cuda(999).resolve().expect_err("none").to_string().contains("doctor")
        );
    }
}
