//! The generator of vocoders by adversarial training: stages of upsampling and residual blocks. Networks
//! differ in what is between their convolutions ([`Style`]) and in how they end ([`Ending`]).
//!
//! Source: Kong et al., "HiFi-GAN" (NeurIPS 2020, arXiv 2010.05646), and Lee et al., "BigVGAN" (ICLR
//! 2023, arXiv 2206.04658).

mod activation;
mod config;
mod frozen;

mod layers;
mod network;

pub(super) use activation::{Periodic, Style};
pub use config::{GeneratorConfig, ResBlockKind};
pub(super) use frozen::FrozenGenerator;
pub(super) use network::Ending;
pub use network::Generator;
