//! What ends a stream, and when.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinHandle};

use super::*;

/// Tells what the test says.
struct Said {
    messages: mpsc::UnboundedReceiver<Result<&'static str, Ended>>,
    is_refused: Arc<AtomicBool>,
}

impl Source for Said {
    async fn next(&mut self) -> Result<String, Ended> {
        match self.messages.recv().await {
            Some(message) => message.map(str::to_owned),
            None => std::future::pending().await,
        }
    }

    fn check(&mut self) -> Result<(), Ended> {
        if self.is_refused.load(Ordering::SeqCst) {
            Err(Ended::Unauthorized)
        } else {
            Ok(())
        }
    }
}

/// What a reader does with what it is told.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Reads,
    Stalls,
}

/// Notes when it was told what.
struct Noting {
    notes: Arc<Mutex<Vec<(u64, String)>>>,
    begun: Instant,
    manner: Manner,
    speech: mpsc::UnboundedReceiver<Result<(), Gone>>,
}

impl Noting {
    fn note(&self, text: String) {
        let seconds = self.begun.elapsed().as_secs();
        self.notes.lock().expect("no panic").push((seconds, text));
    }

    async fn take(&self, text: String) -> Result<(), Gone> {
        if self.manner == Manner::Stalls {
            return std::future::pending().await;
        }
        self.note(text);
        Ok(())
    }
}

impl Reader for Noting {
    async fn speech(&mut self) -> Result<(), Gone> {
        match self.speech.recv().await {
            Some(speech) => speech,
            None => std::future::pending().await,
        }
    }

    async fn tell(&mut self, text: String) -> Result<(), Gone> {
        self.take(text).await
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        self.take("ping".to_owned()).await
    }

    async fn end(self, ended: Ended) {
        self.note(format!("{ended:?}"));
    }
}

struct Running {
    begun: Instant,
    notes: Arc<Mutex<Vec<(u64, String)>>>,
    messages: mpsc::UnboundedSender<Result<&'static str, Ended>>,
    is_refused: Arc<AtomicBool>,
    speech: mpsc::UnboundedSender<Result<(), Gone>>,
    phase: watch::Sender<Phase>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(manner: Manner) -> Self {
        let (messages, said) = mpsc::unbounded_channel();
        let (speech, heard) = mpsc::unbounded_channel();
        let (notes, is_refused) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (phase, begun) = (watch::Sender::new(Phase::Serving), Instant::now());
        let source = Said {
            messages: said,
            is_refused: Arc::clone(&is_refused),
        };
        let reader = Noting {
            notes: Arc::clone(&notes),
            begun,
            manner,
            speech: heard,
        };
        let task = tokio::spawn(run(source, reader, phase.subscribe()));
        Self {
            begun,
            notes,
            messages,
            is_refused,
            speech,
            phase,
            task,
        }
    }

    fn say(&self, message: Result<&'static str, Ended>) {
        self.messages.send(message).expect("it runs");
    }

    /// After how many seconds it ended, and what was noted until then.
    async fn ended(self) -> (u64, Vec<(u64, String)>) {
        self.task.await.expect("no panic");
        let notes = std::mem::take(&mut *self.notes.lock().expect("no panic"));
        (self.begun.elapsed().as_secs(), notes)
    }
}

fn noted(notes: &[(u64, &str)]) -> Vec<(u64, String)> {
    notes
        .iter()
        .map(|(at, text)| (*at, (*text).to_owned()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn messages_are_told_in_order_and_silence_is_pinged() {
    let stream = Running::start(Manner::Reads);
    stream.say(Ok("one"));
    stream.say(Ok("two"));
    tokio::time::sleep(Duration::from_secs(31)).await;
    stream.say(Err(Ended::Slow));
    let expected = [
        (0, "one"),
        (0, "two"),
        (15, "ping"),
        (30, "ping"),
        (31, "Slow"),
    ];
    assert_eq!(stream.ended().await, (31, noted(&expected)));
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_has_ended_ends_the_stream_in_time() {
    let stream = Running::start(Manner::Reads);
    tokio::time::sleep(Duration::from_secs(1)).await;
    stream.is_refused.store(true, Ordering::SeqCst);
    let (after, notes) = stream.ended().await;
    assert_eq!((after, notes), (15, noted(&[(15, "Unauthorized")])));
    assert!(after <= CHECKED_WITHIN.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_is_given_up() {
    let stream = Running::start(Manner::Stalls);
    stream.say(Ok("one"));
    assert_eq!(stream.ended().await, (10, Vec::new()));
    // A ping that is not taken is as much of a sign.
    let stream = Running::start(Manner::Stalls);
    assert_eq!(stream.ended().await, (25, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_speaks_or_goes_ends_it() {
    let stream = Running::start(Manner::Reads);
    stream.speech.send(Ok(())).expect("it runs");
    assert_eq!(stream.ended().await, (0, noted(&[(0, "Spoken")])));
    let stream = Running::start(Manner::Reads);
    stream.speech.send(Err(Gone)).expect("it runs");
    assert_eq!(stream.ended().await, (0, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_ends_it_and_waits_until_it_has() {
    let stream = Running::start(Manner::Reads);
    stream.phase.send_replace(Phase::Stopping);
    stream.phase.closed().await;
    assert_eq!(stream.ended().await, (0, noted(&[(0, "Stopping")])));
}

/// RFC 6455 §5.5: a control frame has 125 bytes at the most, two of them are the code.
#[test]
fn every_reason_fits_into_a_frame() {
    for ended in [
        Ended::Stopping,
        Ended::Spoken,
        Ended::Unauthorized,
        Ended::Fault,
        Ended::Slow,
    ] {
        assert!(ended.reason().len() <= 123, "{ended:?}");
        assert!(!ended.reason().contains(['"', '\\', '\n']), "{ended:?}");
    }
}
