//! What users call: audio in, results out.

pub mod speaker;
pub mod spot;
pub mod transcribe;
