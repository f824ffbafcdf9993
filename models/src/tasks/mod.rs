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

#[cfg(test)]
mod tests {
    /// Loaded models go to other threads, and clones of them share their weights.
    #[test]
    fn loaded_models_can_be_cloned_and_sent() {
        fn shares<T: Clone + Send + 'static>() {}
        shares::<super::enhance::Enhancer>();
        shares::<super::separate::Separator>();
        shares::<super::speaker::SpeakerEmbedder>();
        shares::<super::spot::Spotter>();
        shares::<super::stems::StemSeparator>();
        shares::<super::transcribe::Transcriber>();
    }
}
