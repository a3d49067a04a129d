//! One keep-alive connection of HTTP/1.1, as cheap as a client can be: the request is written as it
//! was made, the answer is read up to its length.

use std::{net::SocketAddr, ops::Range};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Headers that an answer may have.
const HEADERS_MAX: usize = 32;
/// How a body in chunks ends.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// What is read at once.
const READ_BYTES: usize = 16 * 1024;

/// Why a request has no answer that counts. It ends the run.
pub(crate) type Fault = Box<dyn std::error::Error>;

/// A request's answer, in the connection's buffer.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) location: Option<&'a str>,
    pub(crate) cookies: Vec<&'a str>,
    /// Of the MCP protocol, in its older revisions.
    pub(crate) session: Option<&'a str>,
    pub(crate) body: &'a str,
}

impl Answer<'_> {
    /// A fault that shows what came.
    pub(crate) fn unexpected(&self, expected: &str) -> Fault {
        let (status, body) = (self.status, self.body);
        let location = self.location.unwrap_or("none");
        format!("expected {expected}, found {status}, location {location}:\n{body}").into()
    }

    /// The text member `name` of a flat JSON object, found without parsing the rest.
    pub(crate) fn member(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!("\"{name}\":"))?;
        let (value, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
        Some(value)
    }
}

/// A connection and its buffer.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(READ_BYTES),
        })
    }

    /// Sends a request and reads its whole answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<Answer<'_>, Fault> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        let head = loop {
            self.buffer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("expected an answer, found the end of the connection".into());
            }
            if let Some(head) = Head::parse(&self.buffer)?
                && self.buffer.len() >= head.body.end
            {
                break head;
            }
        };
        head.answer(&self.buffer)
    }
}

/// Where things stand in a buffer.
struct Head {
    status: u16,
    location: Option<Range<usize>>,
    cookies: Vec<Range<usize>>,
    session: Option<Range<usize>>,
    body: Range<usize>,
}

impl Head {
    /// The head of the answer that `buffer` begins with, once all of it is there.
    fn parse(buffer: &[u8]) -> Result<Option<Self>, Fault> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head_len) = response.parse(buffer)? else {
            return Ok(None);
        };
        let place = |value: &[u8]| {
            let start = value.as_ptr() as usize - buffer.as_ptr() as usize;
            start..start + value.len()
        };
        let status = response.code.ok_or("expected a status, found none")?;
        let mut length = (status == 204).then_some(0);
        let (mut location, mut cookies, mut session) = (None, Vec::new(), None);
        let mut is_chunked = false;
        for header in &*response.headers {
            if header.name.eq_ignore_ascii_case("content-length") {
                length = Some(str::from_utf8(header.value)?.parse()?);
            } else if header.name.eq_ignore_ascii_case("location") {
                location = Some(place(header.value));
            } else if header.name.eq_ignore_ascii_case("set-cookie") {
                cookies.push(place(header.value));
            } else if header.name.eq_ignore_ascii_case("mcp-session-id") {
                session = Some(place(header.value));
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                is_chunked = true;
            }
        }
        if is_chunked {
            // Its chunks are taken as they are: what has to be in a body is in one of them.
            if !buffer.ends_with(LAST_CHUNK) {
                return Ok(None);
            }
            length = Some(buffer.len() - head_len);
        }
        let length: usize = length.ok_or("expected an answer with Content-Length, found none")?;
        Ok(Some(Self {
            status,
            location,
            cookies,
            session,
            body: head_len..head_len + length,
        }))
    }

    fn answer(self, buffer: &[u8]) -> Result<Answer<'_>, Fault> {
        let text = |place: Range<usize>| str::from_utf8(&buffer[place]);
        Ok(Answer {
            status: self.status,
            location: self.location.map(text).transpose()?,
            cookies: self
                .cookies
                .into_iter()
                .map(text)
                .collect::<Result<_, _>>()?,
            session: self.session.map(text).transpose()?,
            body: text(self.body)?,
        })
    }
}

/// Writes requests for one host.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) host: String,
}

impl Writer {
    /// A request without a body; `headers` end in CRLF each.
    pub(crate) fn get(&self, path: &str, headers: &str) -> Vec<u8> {
        let host = &self.host;
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n{headers}\r\n").into_bytes()
    }

    /// A request with a form.
    pub(crate) fn form(&self, path: &str, headers: &str, body: &str) -> Vec<u8> {
        self.post(path, "application/x-www-form-urlencoded", headers, body)
    }

    /// A message of the MCP protocol.
    pub(crate) fn mcp(&self, path: &str, headers: &str, body: &str) -> Vec<u8> {
        let (host, length) = (&self.host, body.len());
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json, text/event-stream\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        )
        .into_bytes()
    }

    /// A request with that body.
    pub(crate) fn post(&self, path: &str, media: &str, headers: &str, body: &str) -> Vec<u8> {
        let (host, length) = (&self.host, body.len());
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nContent-Type: {media}\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        )
        .into_bytes()
    }
}

/// Pairs as a form or a query.
pub(crate) fn encoded(pairs: &[(&str, &str)]) -> String {
    let mut encoder = url::form_urlencoded::Serializer::new(String::new());
    encoder.extend_pairs(pairs).finish()
}
