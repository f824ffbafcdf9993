//! The networks, one folder each: tensors in, tensors out, no files and no audio types.

pub mod ecapa;
pub mod lmuformer;
pub mod mel_roformer;
pub mod mossformer;
pub mod squeezeformer;
