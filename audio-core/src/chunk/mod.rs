//! Positions: which samples a frame covers, and how long audio is cut and joined again.

mod grid;
mod history;
mod overlap_add;

pub use grid::{Edges, FrameGrid, Padding};
pub use history::{History, Known};
pub use overlap_add::{Chunk, ChunkConfig, Chunker, OverlapAdd};
