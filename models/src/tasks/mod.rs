//! What users call: audio in, results out.

pub mod chunked;
pub mod enhance;
mod info;
mod mono_stream;
pub mod separate;
pub mod speaker;
pub mod spot;
pub mod stems;
pub mod transcribe;

pub use info::{Metric, TASKS, TaskInfo, runs, task};
