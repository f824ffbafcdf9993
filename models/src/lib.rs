//! Networks, checkpoints and tasks.
