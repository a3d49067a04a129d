//! What a command reads and writes: data on standard output, everything else on standard error.

use std::io::{self, BufRead, Read, Write};

use crate::cli::failure::Failure;

/// Bytes of a typed confirmation.
const CONFIRMATION_BYTES_MAX: u64 = 1024;

/// The three streams of a command, and the keyboard when a person is there.
pub(super) struct Console<'a> {
    pub(super) input: &'a mut dyn BufRead,
    pub(super) output: &'a mut dyn Write,
    pub(super) notes: &'a mut dyn Write,
    /// Shows a prompt and reads a line without showing it; `None` without a terminal.
    pub(super) keyboard: Option<fn(&str) -> io::Result<String>>,
}

impl Console<'_> {
    /// Writes data.
    pub(super) fn print(&mut self, data: &str) -> Result<(), Failure> {
        self.output
            .write_all(data.as_bytes())
            .and_then(|()| self.output.flush())
            .map_err(Failure::Output)
    }

    /// Writes a line for the person who looks on.
    pub(super) fn note(&mut self, words: &str) -> Result<(), Failure> {
        writeln!(self.notes, "{words}").map_err(Failure::Output)
    }

    /// Has the person type `name`, to be sure of what `question` says.
    pub(super) fn confirm(&mut self, question: &str, name: &str) -> Result<(), Failure> {
        if self.keyboard.is_none() {
            return Err(Failure::NeedsYes);
        }
        write!(self.notes, "{question} Type {name} to confirm: ")
            .and_then(|()| self.notes.flush())
            .map_err(Failure::Output)?;
        let mut typed = String::new();
        (&mut *self.input)
            .take(CONFIRMATION_BYTES_MAX)
            .read_line(&mut typed)
            .map_err(Failure::Input)?;
        if typed.trim() == name {
            Ok(())
        } else {
            Err(Failure::NotConfirmed)
        }
    }
}
