//! How a mix is cut into chunks, as the reference's configuration files say it.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Whose rule at the ends of a mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndRule {
    /// The training kit's: the whole batch that holds an end goes without a fade there.
    #[default]
    TrainingKit,
    /// The vocal model's: each chunk that holds an end does; chunks are never batched.
    VocalModel,
}

/// How a mix is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DemixConfig {
    /// Samples of a chunk.
    pub chunk_size: usize,
    /// How many chunks see each sample; with 1 there are clicks at the cuts.
    pub num_overlap: usize,
    /// Chunks that are computed at a time. It changes the ends of the result a little.
    pub batch_size: usize,
    /// Whose rule at the ends.
    pub ends: EndRule,
}

impl Default for DemixConfig {
    /// 8 s at 44.1 kHz, as the published vocal model was trained, half of it shared.
    fn default() -> Self {
        Self { chunk_size: 352_800, num_overlap: 2, batch_size: 1, ends: EndRule::TrainingKit }
    }
}

impl DemixConfig {
    /// Refuses what no mix can be cut by.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        if !(2..=1 << 26).contains(&self.chunk_size) {
            let reason = format!("{} samples; 2 to {} are accepted", self.chunk_size, 1 << 26);
            return Err(Error::config("chunk_size", reason));
        }
        if !(1..=64).contains(&self.num_overlap) || self.num_overlap > self.chunk_size {
            let reason = format!("{}; 1 to 64 are accepted", self.num_overlap);
            return Err(Error::config("num_overlap", reason));
        }
        if !(1..=256).contains(&self.batch_size) {
            let reason = format!("{}; 1 to 256 are accepted", self.batch_size);
            return Err(Error::config("batch_size", reason));
        }
        Ok(())
    }

    /// Samples from one chunk to the next.
    #[must_use]
    pub fn step(&self) -> usize {
        self.chunk_size / self.num_overlap
    }

    /// Samples that a chunk shares with its neighbours.
    pub(crate) fn border(&self) -> usize {
        self.chunk_size - self.step()
    }
}
