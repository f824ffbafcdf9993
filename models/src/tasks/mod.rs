//! What users call: audio in, results out.

pub mod spot;
