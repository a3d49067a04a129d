//! The server's end of the socket.

use std::{
    fmt,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt as _,
    net::UnixStream,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};

use crate::appliance::{
    administration::{Answer, Command, Refused, Reply},
    socket::{
        ADMIN_BYTES_MAX, ANSWER_BYTES_MAX, CONNECTIONS_MAX, Listener, PEER_DEADLINE,
        STREAM_DEADLINE, TALKS_MAX, read_line, write_last_line, write_line,
    },
};

/// The user that may do everything.
const ROOT: u32 = 0;
/// How long to wait after a failure to accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves commands on `listener` until `stop`, then ends what has begun and removes the socket.
///
/// A command that has begun is not cancelled when its sender hangs up.
pub async fn serve<H, F>(listener: Listener, handler: H, stop: impl Future<Output = ()>)
where
    H: Fn(Command) -> F + Send + Sync + 'static,
    F: Future<Output: Into<Response>> + Send + 'static,
{
    serve_within(PEER_DEADLINE, listener, handler, stop).await;
}

pub(super) async fn serve_within<H, F>(
    deadline: Duration,
    listener: Listener,
    handler: H,
    stop: impl Future<Output = ()>,
) where
    H: Fn(Command) -> F + Send + Sync + 'static,
    F: Future<Output: Into<Response>> + Send + 'static,
{
    let handler = Arc::new(handler);
    let owner = listener.owner();
    // Nothing is ever sent: the end of the sender is the news.
    let (running, stopping) = watch::channel(());
    let mut stop = pin!(stop);
    let mut conversations = JoinSet::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let talks = Arc::new(Semaphore::new(TALKS_MAX));
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(ended) = conversations.join_next() => log_failure(ended),
            (place, accepted) = accept(&listener, &places) => match accepted {
                Ok(stream) => {
                    let talks = Arc::clone(&talks);
                    let door = Door { deadline, owner, stopping: stopping.clone(), place, talks };
                    let handler = Arc::clone(&handler);
                    conversations.spawn(async move { converse(door, stream, &*handler).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection on the administration socket");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    drop(running);
    while let Some(ended) = conversations.join_next().await {
        log_failure(ended);
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &Listener,
    places: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, io::Result<UnixStream>) {
    let place = Arc::clone(places).acquire_owned().await;
    (place.ok(), listener.accept().await)
}

/// Who may give a command, and for how long.
struct Door {
    deadline: Duration,
    owner: u32,
    /// Closed when no more commands are taken.
    stopping: watch::Receiver<()>,
    /// Its place among those that are served.
    place: Option<OwnedSemaphorePermit>,
    /// The places of talks.
    talks: Arc<Semaphore>,
}

async fn converse<F: Future<Output: Into<Response>>>(
    mut door: Door,
    mut stream: UnixStream,
    handler: &impl Fn(Command) -> F,
) -> io::Result<()> {
    let response = match door.receive(&mut stream).await {
        Ok(command) => handler(command).await.into(),
        Err(refused) => Answer::Err(refused).into(),
    };
    match response {
        Response::Answer(answer) => door.answer(stream, &answer).await,
        Response::Stream(pieces) => door.pass_on(stream, pieces).await,
        Response::Talk(talk) => door.talk(stream, talk).await,
    }
}

impl Door {
    /// The command that the peer sends, if it is one that may.
    async fn receive(&mut self, stream: &mut UnixStream) -> Result<Command, Refused> {
        let peer = stream.peer_cred().map_err(Refused::because)?.uid();
        admit(peer, self.owner)?;
        let line = tokio::select! {
            line = timeout(self.deadline, read_line(stream, ADMIN_BYTES_MAX)) => line,
            // A peer that has not said anything yet must not keep the server from stopping.
            _ = self.stopping.changed() => {
                return Err(Refused::because("the server is stopping"));
            }
        };
        let line = line
            .map_err(|_| {
                Refused::because(format!("expected a command within {:?}", self.deadline))
            })?
            .map_err(Refused::because)?;
        serde_json::from_slice(&line)
            .map_err(|error| Refused::because(format!("expected a command as JSON, found {error}")))
    }

    async fn answer(self, stream: UnixStream, answer: &Answer) -> io::Result<()> {
        let line = encode(answer)?;
        timeout(self.deadline, write_last_line(stream, line)).await?
    }

    /// Hands the connection over. It leaves its place to others, because a talk may take a day.
    async fn talk(mut self, mut stream: UnixStream, talk: Talk) -> io::Result<()> {
        let Ok(seat) = Arc::clone(&self.talks).try_acquire_owned() else {
            let message = format!("expected fewer than {TALKS_MAX} programs at once: close one");
            return self.answer(stream, &Err(Refused { message })).await;
        };
        let line = encode(&Ok(*talk.reply))?;
        timeout(self.deadline, write_line(&mut stream, line)).await??;
        drop(self.place.take());
        let mut stopping = self.stopping;
        // Nothing is ever sent, so that any outcome is the end of the sender.
        let stop = async move { drop(stopping.changed().await) };
        (talk.begin)(stream, Box::pin(stop)).await;
        drop(seat);
        Ok(())
    }

    /// Hands a stream on, each piece within the deadline and all of them within another.
    async fn pass_on(
        mut self,
        mut stream: UnixStream,
        mut pieces: mpsc::Receiver<Vec<u8>>,
    ) -> io::Result<()> {
        let deadline = self.deadline;
        let all = async {
            while let Some(piece) = pieces.recv().await {
                timeout(deadline, stream.write_all(&piece)).await??;
            }
            stream.shutdown().await
        };
        tokio::select! {
            passed = timeout(STREAM_DEADLINE, all) => passed?,
            // Its maker can take long, and its peer as well.
            _ = self.stopping.changed() => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

/// What a handler gives back.
#[derive(Debug)]
pub enum Response {
    /// An answer, as one line.
    Answer(Box<Answer>),
    /// Bytes as they come, an answer's line first. Whoever makes them is told to stop by the end of
    /// the receiver: when the peer does not take them, when they take too long, when the server
    /// stops.
    Stream(mpsc::Receiver<Vec<u8>>),
    /// An answer's line, and then whatever the talk says and hears.
    Talk(Talk),
}

/// Done at the end of something: of the server, or of a talk.
pub type Ending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What goes both ways upon an answer.
pub struct Talk {
    reply: Box<Reply>,
    begin: Box<dyn FnOnce(UnixStream, Ending) -> Ending + Send>,
}

impl Talk {
    /// `begin` gets the connection once `reply` is written, and ends soon after the server has to
    /// stop.
    pub fn new<F>(
        reply: Reply,
        begin: impl FnOnce(UnixStream, Ending) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let begin = |stream, stop| -> Ending { Box::pin(begin(stream, stop)) };
        Self {
            reply: Box::new(reply),
            begin: Box::new(begin),
        }
    }
}

impl fmt::Debug for Talk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Talk")
            .field("reply", &self.reply)
            .finish_non_exhaustive()
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        Self::Answer(Box::new(answer))
    }
}

/// The socket's mode says the same; a mode can be changed.
fn admit(peer: u32, owner: u32) -> Result<(), Refused> {
    if peer == owner || peer == ROOT {
        return Ok(());
    }
    let message = format!("expected the user {owner} or root, found the user {peer}");
    Err(Refused { message })
}

fn encode(answer: &Answer) -> io::Result<Vec<u8>> {
    let line = serde_json::to_vec(answer)?;
    if line.len() <= ANSWER_BYTES_MAX {
        return Ok(line);
    }
    let message = format!(
        "the answer has {} bytes, which is more than {ANSWER_BYTES_MAX}",
        line.len()
    );
    Ok(serde_json::to_vec(&Answer::Err(Refused { message }))?)
}

fn log_failure(ended: Result<io::Result<()>, JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an administrator did not take the answer"),
        Err(error) => tracing::error!(%error, "an administration command failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_and_root_may_command() {
        for (peer, owner, admitted) in [
            (1000, 1000, true),
            (ROOT, 1000, true),
            (ROOT, ROOT, true),
            (1000, ROOT, false),
            (1001, 1000, false),
        ] {
            assert_eq!(admit(peer, owner).is_ok(), admitted, "{peer} to {owner}");
        }
    }

    #[test]
    fn an_answer_has_a_greatest_length() {
        let refused = |message| encode(&Err(Refused { message })).expect("JSON");
        let longest = refused("x".repeat(ANSWER_BYTES_MAX / 2));
        assert!(longest.len() > ANSWER_BYTES_MAX / 2);
        let instead = refused("x".repeat(ANSWER_BYTES_MAX));
        let text = String::from_utf8(instead).expect("text");
        assert!(text.contains("which is more than 16777216"), "{text}");
    }
}
