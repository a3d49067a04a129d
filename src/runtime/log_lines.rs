//! A line of the log where it is not shown in a terminal: the library's own, without its styles.
//!
//! Every request writes one, and to leave out the colours of each name and of each equals sign is
//! most of what the library does for it.

use std::fmt::{self, Debug};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::{LookupSpan, Scope},
};

/// Writes `time LEVEL span{field=value}: target: message field=value`.
pub(super) struct PlainLines;

impl<S, N> FormatEvent<S, N> for PlainLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        SystemTime.format_time(&mut line)?;
        write!(line, " {:>5} ", metadata.level().as_str())?;
        let mut is_in_span = false;
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            line.write_str(span.name())?;
            let extensions = span.extensions();
            if let Some(fields) = extensions.get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                line.write_char('{')?;
                line.write_str(fields)?;
                line.write_char('}')?;
            }
            line.write_char(':')?;
            is_in_span = true;
        }
        if is_in_span {
            line.write_char(' ')?;
        }
        line.write_str(metadata.target())?;
        line.write_str(": ")?;
        PlainLines.format_fields(line.by_ref(), event)?;
        line.write_char('\n')
    }
}

impl<'writer> FormatFields<'writer> for PlainLines {
    fn format_fields<R: RecordFields>(&self, line: Writer<'writer>, fields: R) -> fmt::Result {
        let mut pairs = Pairs {
            line,
            is_first: true,
            written: Ok(()),
        };
        fields.record(&mut pairs);
        pairs.written
    }
}

/// What an event or a span has, one behind the other.
struct Pairs<'writer> {
    line: Writer<'writer>,
    is_first: bool,
    written: fmt::Result,
}

impl Pairs<'_> {
    fn begin(&mut self, field: &Field) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.line.write_char(' ')?;
        }
        match field.name() {
            "message" => Ok(()),
            name => {
                // A keyword that is a field's name is written without what makes it one.
                self.line
                    .write_str(name.strip_prefix("r#").unwrap_or(name))?;
                self.line.write_char('=')
            }
        }
    }
}

impl Visit for Pairs<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.written.is_ok() {
            self.written = self
                .begin(field)
                .and_then(|()| write!(self.line, "{value:?}"));
        }
    }
}

/// For tests: what was logged.
#[cfg(test)]
pub(crate) mod testing {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing::{Subscriber, level_filters::LevelFilter};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Lines {
        /// All of it.
        pub(crate) fn text(&self) -> String {
            let bytes = self.0.lock().expect("not poisoned").clone();
            String::from_utf8(bytes).expect("text")
        }

        /// What writes here, in the library's own words.
        pub(crate) fn subscriber(&self) -> impl Subscriber + Send + Sync {
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(LevelFilter::INFO)
                .with_writer(self.clone())
                .finish()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::Lines, *};

    /// Without the time that each line begins with.
    fn without_times(lines: &Lines) -> Vec<String> {
        let text = lines.text();
        let lines = text.lines().map(|line| {
            let (time, rest) = line.split_once(' ').expect("a time");
            assert!(time.ends_with('Z') && time.contains('T'), "{line}");
            rest.to_owned()
        });
        lines.collect()
    }

    fn write_some() {
        tracing::info!("alone");
        tracing::warn!(number = 7, text = "a \"b\"\n\u{1b}[31m", shown = %"x", r#type = ?Some(1), "with fields");
        tracing::error!(only = true);
        let outer = tracing::info_span!("outer", id = %"abc");
        let _outer = outer.enter();
        tracing::info!(target: "elsewhere", "inside");
        let inner = tracing::info_span!("inner");
        let _inner = inner.enter();
        tracing::info!(status = 200_u16, "further {}", "in");
    }

    #[test]
    fn a_line_is_the_librarys_own_without_its_colours() {
        let (ours, theirs) = (Lines::default(), Lines::default());
        let subscriber = tracing_subscriber::fmt()
            .event_format(PlainLines)
            .fmt_fields(PlainLines)
            .with_writer(ours.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, write_some);
        tracing::subscriber::with_default(theirs.subscriber(), write_some);
        assert_eq!(without_times(&ours).len(), 5);
        assert_eq!(without_times(&ours), without_times(&theirs));
    }
}
