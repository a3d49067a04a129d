//! The `keystead` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    keystead::cli::run()
}
