//! One error for applications that use several parts of formant.

/// Result of a program that uses formant.
pub type Result<T> = std::result::Result<T, Error>;

/// Whatever a part of formant can say. Each message names the input, what is wrong with it, and,
/// where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Sound: files, buffers, features.
    #[error(transparent)]
    Audio(#[from] crate::audio::Error),
    /// Networks, checkpoints, tasks.
    #[error(transparent)]
    Models(#[from] crate::models::Error),
    /// Live audio.
    #[error(transparent)]
    Streaming(#[from] crate::streaming::Error),
    /// Training.
    #[cfg(feature = "training")]
    #[error(transparent)]
    Training(#[from] crate::training::Error),
    /// A recording that a speaker cannot be recognised by.
    #[error("{0}")]
    Unusable(crate::models::tasks::speaker::Unusable),
}

impl From<crate::models::tasks::speaker::Unusable> for Error {
    fn from(why: crate::models::tasks::speaker::Unusable) -> Self {
        Self::Unusable(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_part() {
        let part = crate::models::Error::config("model", "there is none");
        let text = part.to_string();
        assert_eq!(Error::from(part).to_string(), text);
        let why = crate::models::tasks::speaker::Unusable::NoSpeech;
        assert_eq!(Error::from(why).to_string(), "no speech in it");
    }
}
