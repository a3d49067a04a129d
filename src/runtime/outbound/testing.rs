//! A network that is made up: names that resolve to what a test says, and a TLS server on this
//! machine behind whatever address is called.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::sleep,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{Answer, DEADLINE, Dial, Outbound, Resolve};

/// The host of the made-up server.
pub(crate) const HOST: &str = "app.example";
/// An address on the public internet.
pub(crate) const GLOBAL: &str = "8.8.8.8";

/// What the made-up network was asked.
#[derive(Clone, Default)]
pub(crate) struct Asked {
    names: Arc<Mutex<Vec<String>>>,
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
    requests: Arc<Mutex<Vec<String>>>,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Asked {
    /// The names that were resolved.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.lock().expect("a list").clone()
    }

    /// The addresses that were called.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.lock().expect("a list").clone()
    }

    /// The heads of the requests that the server got.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("a list").clone()
    }

    /// The bodies of those requests.
    pub(crate) fn bodies(&self) -> Vec<Vec<u8>> {
        self.bodies.lock().expect("a list").clone()
    }
}

/// Gives one list of addresses after the other, and the last one from then on.
struct Names {
    asked: Asked,
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> Answer<'a, Vec<IpAddr>> {
        self.asked
            .names
            .lock()
            .expect("a list")
            .push(host.to_owned());
        let mut answers = self.answers.lock().expect("a list");
        let answer = match answers.len() {
            0 | 1 => answers.front().cloned(),
            _ => answers.pop_front(),
        };
        Box::pin(async move { answer.ok_or_else(|| io::ErrorKind::NotFound.into()) })
    }
}

/// Connects to the test's server whatever the address, unless there is none.
struct Wire {
    asked: Asked,
    server: Option<SocketAddr>,
}

impl Dial for Wire {
    fn dial(&self, address: SocketAddr) -> Answer<'_, TcpStream> {
        self.asked.addresses.lock().expect("a list").push(address);
        Box::pin(async move {
            let server = self.server.ok_or(io::ErrorKind::ConnectionRefused)?;
            TcpStream::connect(server).await
        })
    }
}

/// What the server does with a connection once it has read the request.
#[derive(Clone)]
pub(crate) enum Says {
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// These bytes again and again.
    WithoutEnd(&'static [u8]),
    /// These bytes, then nothing.
    ThenSilence(Vec<u8>),
    /// These bytes, once it is told to.
    Once(Arc<Notify>, Vec<u8>),
}

/// What the server says next: at some paths something of their own.
#[derive(Clone)]
pub(crate) struct Script(Arc<Mutex<(Says, BTreeMap<String, Says>)>>);

impl Script {
    /// From the next request on, the server says this.
    pub(crate) fn set(&self, says: Says) {
        self.0.lock().expect("an answer").0 = says;
    }

    /// From the next request on, the server says this at `path`.
    pub(crate) fn set_at(&self, path: &str, says: Says) {
        let mut script = self.0.lock().expect("an answer");
        script.1.insert(path.to_owned(), says);
    }

    fn answer_to(&self, head: &str) -> Says {
        let script = self.0.lock().expect("an answer");
        let path = head.split(' ').nth(1).unwrap_or_default();
        script.1.get(path).unwrap_or(&script.0).clone()
    }
}

/// The made-up network, and the way out into it.
pub(crate) struct World {
    pub(crate) asked: Asked,
    pub(crate) outbound: Outbound,
    pub(crate) script: Script,
}

pub(crate) fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().expect(text)).collect()
}

/// A network in which names resolve to `answers` in turn, with that server behind every address.
pub(crate) fn world(
    answers: &[&[&str]],
    server: Option<SocketAddr>,
    roots: RootCertStore,
) -> World {
    let asked = Asked::default();
    let names = Names {
        asked: asked.clone(),
        answers: Mutex::new(answers.iter().map(|texts| addresses(texts)).collect()),
    };
    let wire = Wire {
        asked: asked.clone(),
        server,
    };
    World {
        asked,
        outbound: Outbound::new(names, wire, roots, Vec::new()),
        script: Script(Arc::new(Mutex::new((
            Says::Bytes(Vec::new()),
            BTreeMap::new(),
        )))),
    }
}

/// A network without any server: what must never be called.
pub(crate) fn empty_world(answers: &[&[&str]]) -> World {
    world(answers, None, RootCertStore::empty())
}

/// A network with one TLS server, which has a certificate for [`HOST`] that is trusted.
pub(crate) async fn served(answers: &[&[&str]], says: Says) -> World {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([HOST.to_owned()]).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a root");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a certificate and its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let world = world(answers, Some(address), roots);
    world.script.set(says);
    let (asked, script) = (world.asked.clone(), world.script.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, asked) = (acceptor.clone(), asked.clone());
            let script = script.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let head = read_head(&mut stream).await?;
                let body = read_body(&mut stream, &head).await?;
                let says = script.answer_to(&head);
                asked.requests.lock().expect("a list").push(head);
                asked.bodies.lock().expect("a list").push(body);
                say(stream, says).await
            });
        }
    });
    world
}

async fn read_head(stream: &mut TlsStream<TcpStream>) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    String::from_utf8(head).map_err(io::Error::other)
}

async fn read_body(stream: &mut TlsStream<TcpStream>, head: &str) -> io::Result<Vec<u8>> {
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a length"))];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

async fn say(mut stream: TlsStream<TcpStream>, says: Says) -> io::Result<()> {
    match says {
        Says::Bytes(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        }
        Says::Once(told, bytes) => {
            told.notified().await;
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        }
        Says::WithoutEnd(bytes) => loop {
            stream.write_all(bytes).await?;
        },
        Says::ThenSilence(bytes) => {
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            sleep(DEADLINE * 10).await;
            Ok(())
        }
    }
}

/// An HTTP answer in full.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// An answer of JSON.
pub(crate) fn json_answer(body: &str) -> Says {
    Says::Bytes(answer("200 OK", "content-type: application/json\r\n", body))
}
