//! An error of the management API: `{message, detail?, validations?}`.

use std::borrow::Cow;

use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};

use crate::{
    experiments::ExperimentsOff,
    http::{
        params::{ParamsError, Repeated},
        response::{Response, json},
    },
    store::StoreError,
    web::refusals::{ApiError, Validation},
};

/// What a caller is answered instead of what it wanted.
#[derive(Debug)]
pub struct ApiRefusal {
    status: StatusCode,
    message: Cow<'static, str>,
    detail: Option<String>,
    validations: Vec<Validation>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiRefusal {
    /// An error that its message says all of.
    pub const fn new(status: StatusCode, message: &'static str) -> Self {
        Self {
            status,
            message: Cow::Borrowed(message),
            detail: None,
            validations: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// The same with what was expected and what was found.
    #[must_use]
    pub fn because(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }

    /// The same with what a client needs to know to get another token (RFC 6750 §3).
    #[must_use]
    pub fn challenged(self, challenge: HeaderValue) -> Self {
        self.with(WWW_AUTHENTICATE, challenge)
    }

    /// The same with another header, which its status asks for.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with when to try again.
    #[must_use]
    pub fn retried_after(self, seconds: u64) -> Self {
        self.with(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// 403: the feature is off here; the words name what has to be on.
    pub fn off(off: &ExperimentsOff) -> Self {
        Self {
            message: Cow::Owned(off.to_string()),
            ..Self::new(StatusCode::FORBIDDEN, "")
        }
    }

    /// 403: who calls is known, and may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden.").because(detail)
    }

    /// 404: nothing has that id, or nothing of the caller's.
    pub const fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Resource not found.")
    }

    /// 409: it could be done if something else were not as it is.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "Conflict.").because(detail)
    }

    /// 429: it is to be asked again after so many seconds.
    pub fn too_often(seconds: u64, detail: impl Into<String>) -> Self {
        let message = "Too many requests; try again later.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, message)
            .because(detail)
            .with(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// 400 for one field.
    pub fn invalid(field: &str, detail: impl Into<String>) -> Self {
        Self::invalid_fields(vec![Validation {
            field: field.to_owned(),
            detail: detail.into(),
        }])
    }

    /// 400 for each of these fields.
    pub fn invalid_fields(validations: Vec<Validation>) -> Self {
        Self {
            validations,
            ..Self::new(StatusCode::BAD_REQUEST, "Validation failed.")
        }
    }

    /// The error as an answer.
    pub fn into_response(self) -> Response {
        let body = ApiError {
            message: &self.message,
            detail: self.detail,
            validations: &self.validations,
        };
        let mut response = json(self.status, &body);
        response.headers_mut().extend(self.headers);
        response
    }
}

impl From<StoreError> for ApiRefusal {
    /// Nothing was changed, and nothing internal is said.
    fn from(fault: StoreError) -> Self {
        tracing::error!(%fault, "the store failed a request");
        if !fault.is_busy() {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return Self::new(status, "Something failed here; nothing was changed.");
        }
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "The server is busy; try again in a moment.").retried_after(1)
    }
}

impl From<ParamsError> for ApiRefusal {
    fn from(error: ParamsError) -> Self {
        let malformed = Self::new(StatusCode::BAD_REQUEST, "The query cannot be read.");
        malformed.because(error.to_string())
    }
}

impl From<Repeated> for ApiRefusal {
    fn from(error: Repeated) -> Self {
        Self::invalid(&error.name, error.to_string())
    }
}
