//! One request beside those of a workload, sent in the same way as measured requests: to warm an engine up,
//! or to find out which fields it takes.

use crate::core::Server;
use crate::core::workload::{Request, RequestOptions, Said};
use crate::driver::clock::Stamp;
use crate::driver::http::{Exchange, Failure, RequestSource, SendJob, Shards, Target};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// One request that is not measured.
pub struct Single {
    /// The server that it is sent to.
    pub server: Server,
    /// Its `x-request-id`.
    pub request_id: String,
    /// Its prompt.
    pub text: String,
    /// The options of the request.
    pub options: RequestOptions,
}

impl Single {
    /// Sends it from `shards`; returns the reason if it has no complete answer.
    pub async fn send(self, shards: &Shards) -> Option<Failure> {
        let (sender, mut ended) = unbounded_channel();
        let target = self.server.target(&self.options);
        let Self {
            server,
            request_id,
            text,
            options,
        } = self;
        let sending = Sending {
            target,
            server,
            request_id,
            said: ("user".into(), text),
            options,
            ended: sender,
        };
        let plan: Arc<dyn RequestSource> = Arc::new(sending);
        let due = Stamp::now().plus_s(Shards::LEAD_S);
        shards.send(
            &plan,
            vec![SendJob {
                index: 0,
                due,
                intended: None,
                unsent: None,
            }],
        );
        ended.recv().await?.failure
    }
}

/// Asks for one token with `ignore_eos`; returns the server's words if it refuses that field.
pub async fn refusal_of_ignore_eos(
    server: Server,
    options: &RequestOptions,
    shards: &Shards,
    run_id: &str,
) -> Option<String> {
    let options = RequestOptions {
        max_tokens: 1,
        min_tokens: None,
        ignore_eos: true,
        ..options.clone()
    };
    let request_id = format!("{run_id}-ignore-eos");
    match (Single {
        server,
        request_id,
        text: "Hello".into(),
        options,
    })
    .send(shards)
    .await
    {
        Some(Failure::Status {
            status: 400..500,
            message,
        }) if message.contains("ignore_eos") => Some(message),
        _ => None,
    }
}

struct Sending {
    target: Target,
    server: Server,
    request_id: String,
    said: Said,
    options: RequestOptions,
    ended: UnboundedSender<Exchange>,
}

impl RequestSource for Sending {
    fn target(&self) -> &Target {
        &self.target
    }

    fn request_id(&self, _: usize) -> String {
        self.request_id.clone()
    }

    fn body(&self, _: usize) -> Bytes {
        let said = std::slice::from_ref(&self.said);
        self.options.body(
            &self.server.model,
            &Request::default(),
            said,
            &self.server.extra_body,
        )
    }

    fn completed(&self, _: SendJob, exchange: Exchange) -> Vec<SendJob> {
        let _ = self.ended.send(exchange); // the wait for it may have been interrupted
        Vec::new()
    }
}
