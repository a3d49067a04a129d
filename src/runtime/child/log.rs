//! What a program says on its standard error becomes lines of our log: short ones, and not too
//! many.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    time::Instant,
};

/// Bytes of a line that are logged; the rest is left out.
pub(super) const LINE_BYTES_MAX: usize = 1_024;
/// Lines that are logged in one [`WINDOW`]; the rest is counted.
pub(super) const LINES_MAX: usize = 20;
/// The time over which lines are counted.
pub(super) const WINDOW: Duration = Duration::from_secs(1);

/// What a program said that may tell why it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The first line that speaks of an error, if it is not the last: below it many a program says
    /// where it was, and which version it is.
    pub error: Option<String>,
    /// The last line that says something.
    pub last: Option<String>,
}

impl Said {
    fn hear(&mut self, line: String) {
        // What is indented belongs to a line above.
        let is_error =
            !line.starts_with(char::is_whitespace) && line.to_ascii_lowercase().contains("error");
        if is_error && self.error.is_none() {
            self.error = Some(line.clone());
        }
        if !line.trim().is_empty() {
            self.last = Some(line);
        }
    }

    fn each_line_once(mut self) -> Self {
        self.error = self.error.filter(|error| self.last.as_ref() != Some(error));
        self
    }
}

/// Reads `stderr` to its end, and returns what stands out. It is always read, so that a program
/// never waits for us.
pub(super) async fn follow(name: String, stderr: impl AsyncRead + Unpin) -> Said {
    let mut lines = Lines::new(BufReader::new(stderr));
    let mut rate = Rate::new();
    let mut said = Said::default();
    while let Some(line) = lines.next().await {
        let left_out = rate.left_out_before();
        if left_out > 0 {
            tracing::warn!(upstream = name, left_out, "a program says too much");
        }
        if rate.allows() {
            tracing::info!(upstream = name, "{line}");
        }
        said.hear(line);
    }
    said.each_line_once()
}

/// The lines of a stream, each cut to what is logged.
pub(super) struct Lines<R> {
    stream: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(stream: BufReader<R>) -> Self {
        let line = Vec::new();
        Self { stream, line }
    }

    /// The next line as text that no terminal obeys; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<String> {
        self.line.clear();
        let mut is_begun = false;
        loop {
            let read = match self.stream.fill_buf().await {
                Ok(read) if !read.is_empty() => read,
                // A stream that cannot be read has ended for us.
                _ => return is_begun.then(|| self.text()),
            };
            is_begun = true;
            let end = read.iter().position(|byte| *byte == b'\n');
            let (taken, used) = end.map_or((read.len(), read.len()), |end| (end, end + 1));
            let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
            self.line.extend_from_slice(&read[..taken.min(room)]);
            self.stream.consume(used);
            if end.is_some() {
                return Some(self.text());
            }
        }
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.line);
        let shown = text.trim_end().chars();
        shown
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    }
}

/// How many lines were logged of late.
pub(super) struct Rate {
    since: Instant,
    logged: usize,
    left_out: usize,
}

impl Rate {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            logged: 0,
            left_out: 0,
        }
    }

    /// Lines that were left out before this window began; told once.
    pub(super) fn left_out_before(&mut self) -> usize {
        if self.since.elapsed() < WINDOW {
            return 0;
        }
        self.since = Instant::now();
        self.logged = 0;
        std::mem::take(&mut self.left_out)
    }

    /// Whether one more line may be logged.
    pub(super) fn allows(&mut self) -> bool {
        if self.logged < LINES_MAX {
            self.logged += 1;
            return true;
        }
        self.left_out += 1;
        false
    }
}
