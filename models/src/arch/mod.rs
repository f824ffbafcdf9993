//! The networks, one folder each: tensors in, tensors out. A folder has the network and its parts,
//! its config, its card, and `adopt.rs`: how checkpoints of other toolkits become a card.

mod bounds;
pub mod clap;
pub mod ecapa;
mod front_end;
pub mod gan_vocoder;
mod generator;
pub mod hifi_sr;
pub mod lmuformer;
pub mod mel_roformer;
pub mod mossformer;
pub mod periodwave;
pub mod specmaskgit;
pub mod specvqgan;
pub mod squeezeformer;
mod stated;
