//! The server's end of the socket.

use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};

use tokio::{
    net::UnixStream,
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};

use crate::appliance::{
    administration::{Answer, Command, Refused},
    socket::{
        ADMIN_BYTES_MAX, ANSWER_BYTES_MAX, CONNECTIONS_MAX, Listener, PEER_DEADLINE, read_line,
        write_line,
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
    F: Future<Output = Answer> + Send + 'static,
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
    F: Future<Output = Answer> + Send + 'static,
{
    let handler = Arc::new(handler);
    let owner = listener.owner();
    let mut stop = pin!(stop);
    let mut conversations = JoinSet::new();
    loop {
        let has_room = conversations.len() < CONNECTIONS_MAX;
        tokio::select! {
            () = &mut stop => break,
            Some(ended) = conversations.join_next() => log_failure(ended),
            accepted = listener.accept(), if has_room => match accepted {
                Ok(stream) => {
                    let handler = Arc::clone(&handler);
                    conversations.spawn(async move {
                        converse(deadline, stream, owner, &*handler).await
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection on the administration socket");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while let Some(ended) = conversations.join_next().await {
        log_failure(ended);
    }
}

async fn converse<F: Future<Output = Answer>>(
    deadline: Duration,
    mut stream: UnixStream,
    owner: u32,
    handler: &impl Fn(Command) -> F,
) -> io::Result<()> {
    let answer = match receive(deadline, &mut stream, owner).await {
        Ok(command) => handler(command).await,
        Err(refused) => Err(refused),
    };
    let line = encode(&answer)?;
    timeout(deadline, write_line(stream, line)).await?
}

/// The command that the peer sends, if it is one that may.
async fn receive(
    deadline: Duration,
    stream: &mut UnixStream,
    owner: u32,
) -> Result<Command, Refused> {
    // The socket's mode says the same; a mode can be changed.
    let peer = stream.peer_cred().map_err(Refused::because)?.uid();
    if peer != owner && peer != ROOT {
        let message = format!("expected the user {owner} or root, found the user {peer}");
        return Err(Refused { message });
    }
    let line = timeout(deadline, read_line(stream, ADMIN_BYTES_MAX))
        .await
        .map_err(|_| Refused::because(format!("expected a command within {deadline:?}")))?
        .map_err(Refused::because)?;
    serde_json::from_slice(&line)
        .map_err(|error| Refused::because(format!("expected a command as JSON, found {error}")))
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
