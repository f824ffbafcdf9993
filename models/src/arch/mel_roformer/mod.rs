//! Mel-RoFormer: separation of music into stems by rotary attention over time and over mel bands.
//!
//! Source: Wang, Lu, Won, "Mel-Band RoFormer for Music Source Separation" (arXiv 2310.01809), in
//! the forms that published weights have: the vocal model's and the training kit's, which share
//! their keys, and version 1.1 of the package that both come from. Parameter paths equal the
//! reference's keys.

mod adopt;
mod attention;
mod bands;
mod card;
mod config;
mod demix_config;
mod masks;
mod network;
mod spectrum;
mod transformer;
mod trunk;

pub use card::StemsCard;
pub use config::{Layout, MelRoformerConfig};
pub use demix_config::{DemixConfig, EndRule};
pub use network::MelRoformer;
