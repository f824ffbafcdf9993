//! What users call: audio in, results out.

pub mod chunked;
pub mod enhance;
pub mod generate;
mod intake;
mod outlet;
mod rolling;
pub mod separate;
pub mod speaker;
pub mod spot;
pub mod stems;
pub mod superres;
mod task;
pub mod transcribe;
pub mod vocode;

pub use self::task::{Heard, Part, Pieces, Report, Task, TaskSession};
pub use crate::task_info::{Metric, TASKS, TaskInfo, runs, task};

#[cfg(test)]
mod tests {
    use super::*;

    /// Loaded models go to other threads with their sessions, which own what they need, and their
    /// names have rows.
    #[test]
    fn tasks_and_sessions_can_be_sent_and_have_a_row() {
        fn check<T: Task>() -> &'static str {
            fn owned<S: Send + 'static>() {}
            owned::<T::Session>();
            T::info().name
        }
        let names = [
            check::<enhance::Enhancer>(),
            check::<generate::Generator>(),
            check::<separate::Separator>(),
            check::<speaker::SpeakerEmbedder>(),
            check::<spot::Spotter>(),
            check::<stems::StemSeparator>(),
            check::<superres::SuperResolver>(),
            check::<transcribe::Transcriber>(),
            check::<vocode::Vocoder>(),
        ];
        assert!(TASKS.iter().map(|row| row.name).eq(names), "each row has its type");
        fn live<S: TaskSession>() {}
        live::<enhance::LiveEnhancement>();
        live::<superres::LiveSuperRes>();
    }
}
