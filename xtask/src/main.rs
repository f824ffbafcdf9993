//! Set-up, demo, tests and checks of the workspace.

fn main() {}
