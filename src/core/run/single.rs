//! Requests that are not measured, sent in the same way as measured requests: for the warm-up, and
//! to find out which fields a server accepts.

use crate::core::Server;
use crate::core::workload::{Request, RequestOptions};
use crate::driver::clock::Stamp;
use crate::driver::http::{
    Exchange, Failure, RequestLimits, RequestSource, SendJob, Shards, Target,
};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// One request that is not measured.
pub(crate) struct SingleRequest {
    /// The server.
    pub(crate) server: Arc<Server>,
    /// The time limits.
    pub(crate) limits: RequestLimits,
    /// The `x-request-id`.
    pub(crate) request_id: String,
    /// The prompt.
    pub(crate) prompt: String,
    /// The options.
    pub(crate) options: RequestOptions,
}

impl SingleRequest {
    /// Sends the request and returns the reason if it has no complete answer.
    pub(crate) async fn send(self, shards: &Shards) -> Option<Failure> {
        let (sender, mut completed) = unbounded_channel();
        let body = self.options.body(
            &self.server.spec.model,
            &Request::default(),
            &[("user".into(), self.prompt)],
            self.server.extra_body(),
        );
        let source: Arc<dyn RequestSource> = Arc::new(SingleSource {
            target: self.server.target(&self.options, self.limits),
            request_id: self.request_id,
            body,
            completed: sender,
        });
        let job = SendJob {
            index: 0,
            due: Stamp::now().plus_s(Shards::LEAD_S),
            intended: None,
            unsent: None,
        };
        shards.send(&source, vec![job]);
        completed.recv().await?.failure
    }

    /// Sends the request with `ignore_eos`. Returns the server's message if it refuses that field.
    pub(crate) async fn ignore_eos_refusal(mut self, shards: &Shards) -> Option<String> {
        self.options.max_tokens = 1;
        self.options.min_tokens = None;
        self.options.ignore_eos = true;
        match self.send(shards).await? {
            Failure::Status {
                status: 400..500,
                message,
            } if message.contains("ignore_eos") => Some(message),
            _ => None,
        }
    }
}

struct SingleSource {
    target: Target,
    request_id: String,
    body: Bytes,
    completed: UnboundedSender<Exchange>,
}

impl RequestSource for SingleSource {
    fn target(&self) -> &Target {
        &self.target
    }

    fn request_id(&self, _: usize) -> String {
        self.request_id.clone()
    }

    fn body(&self, _: usize) -> Bytes {
        self.body.clone()
    }

    fn completed(&self, _: SendJob, exchange: Exchange) -> Vec<SendJob> {
        let _ = self.completed.send(exchange); // The receiver is gone after an interrupt.
        Vec::new()
    }
}
