//! The `formant` command.

fn main() {}
