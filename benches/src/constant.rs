//! A bare hyper server that answers a constant: what HTTP alone costs on the same core.

use std::{convert::Infallible, io::Write as _};

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::wire::Fault;

/// As long as an answer to an introspection.
const BODY: &str = r#"{"active":true,"scope":"user:read","client_id":"0000000000000000000000","username":"ada","token_type":"Bearer","exp":1790003600,"iat":1790000000,"sub":"0000000000000000000000","aud":"http://localhost:8420/mcp","iss":"http://localhost:8420"}"#;

/// Serves until it is killed.
pub(crate) fn serve() -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("ready at http://{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let connection = http1::Builder::new()
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                // A load that hangs up is the end of a run.
                connection.await.ok();
            });
        }
    })
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(BODY.as_bytes())));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}
