//! The binary with the tools that the conformance suite calls; see `src/mcp/fixtures.rs`. It is
//! built by `tests/run`, and by no release.

use std::process::ExitCode;

fn main() -> ExitCode {
    keystead::cli::run()
}
