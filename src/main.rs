//! The `keystead` command.

fn main() {}
