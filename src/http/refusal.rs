//! Why a request gets no answer of a handler's.

use http::StatusCode;

/// Why a request does not reach a handler, or its handler gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No route has that path.
    #[error("expected a path that is served here, found another")]
    RouteUnknown,
    /// The path is served, but not by that method.
    #[error("expected the method {allow}, found another")]
    MethodNotAllowed {
        /// The methods of the path, as the `Allow` header lists them.
        allow: String,
    },
    /// The body is longer than the route reads.
    #[error("expected a body of at most {bytes_max} bytes, found a longer one")]
    BodyTooLarge {
        /// The longest it reads.
        bytes_max: usize,
    },
    /// The body did not arrive in time.
    #[error("expected the whole body in time, found it still on its way")]
    BodyTooSlow,
    /// The body ended before its end, or its chunks cannot be read.
    #[error("expected a body as its headers announce it, found it broken")]
    BodyBroken,
    /// The head cannot be understood, though HTTP's syntax allows it.
    #[error("{0}")]
    HeadMalformed(&'static str),
    /// The request is for another host.
    #[error("expected a Host of this deployment, found {found:?}")]
    HostForeign {
        /// What it names.
        found: String,
    },
    /// A page of another origin sent it.
    #[error("expected an Origin of this deployment, found {found:?}")]
    OriginForeign {
        /// What it names.
        found: String,
    },
    /// More is being done than there is room for.
    #[error("expected room for one more request, found none: try again in a moment")]
    Busy,
    /// A mistake of ours; the log has it under the request's name.
    #[error("something failed here; the log has more under the request's id")]
    Fault,
}

impl Refusal {
    /// The status that says so.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::RouteUnknown => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyBroken | Self::HeadMalformed(_) => StatusCode::BAD_REQUEST,
            Self::HostForeign { .. } | Self::OriginForeign { .. } => StatusCode::FORBIDDEN,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Fault => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
