//! The server as its clients meet it, over sockets.

mod http1;
mod streams;
mod tls;
