//! What we are to an upstream: a client that calls tools, and of which nothing can be asked.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rmcp::{
    ErrorData, RoleClient,
    model::{
        ClientCapabilities, ClientConfig, ClientResult, ErrorCode, Implementation, ProtocolVersion,
        ServerNotification, ServerRequest,
    },
    service::{NotificationContext, RequestContext, Service},
};

/// Whether an upstream has said that its list changed, since it was last read.
#[derive(Clone, Debug, Default)]
pub struct ListChanged(Arc<AtomicBool>);

impl ListChanged {
    /// It has, or may have.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it has; from now on it has not.
    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }

    /// Whether it has.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Answers what an upstream asks: with "method not found", except for a ping.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) list_changed: ListChanged,
}

impl Service<RoleClient> for Client {
    async fn handle_request(
        &self,
        request: ServerRequest,
        _: RequestContext<RoleClient>,
    ) -> Result<ClientResult, ErrorData> {
        if let ServerRequest::PingRequest(_) = request {
            return Ok(ClientResult::empty(()));
        }
        // Sampling, elicitation, roots: nobody sits at this client.
        let words = "this client answers nothing but a ping";
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, words, None))
    }

    async fn handle_notification(
        &self,
        notification: ServerNotification,
        _: NotificationContext<RoleClient>,
    ) -> Result<(), ErrorData> {
        if let ServerNotification::ToolListChangedNotification(_) = notification {
            self.list_changed.set();
        }
        Ok(())
    }

    fn get_info(&self) -> ClientConfig {
        let implementation = Implementation::new("keystead", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), implementation)
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }
}
