//! A workload to a server that answers already, without a test around it.

use super::client::Effort;
use super::lane::{self, Ends, Lane};
use super::memory;
use super::workload::WorkloadConfig;
use super::{EngineSeen, Live, Row, Seen, Server};
use crate::driver::http::{Exchange, Shards};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A load to one server.
pub struct Load<'a> {
    /// The workload.
    pub config: &'a WorkloadConfig,
    /// Where it goes.
    pub server: Server,
    /// Starts every `x-request-id`.
    pub run_id: String,
    /// How late requests may be sent before the numbers are invalid, seconds.
    pub max_send_lag_s: f64,
}

/// What happens to a load.
pub enum Told<'a> {
    /// Its requests are sent from now on.
    Began(Live),
    /// A request has ended: its row, and the moments in which it came.
    Ended(Box<Row>, &'a Exchange),
}

/// Sends `load` from `shards`, and tells what happens. `give_up` is told the reason when `cancel`
/// ends it.
pub async fn run(
    load: Load<'_>,
    shards: &Shards,
    cancel: &CancellationToken,
    give_up: impl FnOnce(&str),
    mut tell: impl FnMut(Told<'_>),
) -> Seen {
    let Load { config, server, run_id, max_send_lag_s } = load;
    let (name, simulated) = (server.name.clone(), server.simulated);
    let lexicon = &config.lexicon;
    let requests = Arc::new(config.generate(lexicon));
    let mut lanes = [Lane::new(0, 0, run_id, server, config, requests, lexicon)];
    let effort = Effort::since_now(shards);
    let requests = lane::send(&mut lanes, shards);
    tell(Told::Began(live(config.title(), &lanes[0])));
    let mut ends = Ends::of(requests, cancel, give_up);
    let mut rows = Vec::with_capacity(lanes[0].requests.len());
    while let Some(request) = ends.next().await {
        let row = lanes[0].row(&request.job, memory::NONE.into(), &request.exchange);
        tell(Told::Ended(Box::new(row.clone()), &request.exchange));
        rows.push(row);
    }
    let spent = effort.spent();
    let engines = vec![EngineSeen::new(name, simulated, rows)];
    Seen::new(0, config.title(), engines, &spent, max_send_lag_s)
}

/// Nobody has said which GPUs the server uses.
fn live(title: String, lane: &Lane) -> Live {
    Live {
        title,
        start: lane.context.start,
        planned_s: lane.planned_s(),
        lanes: vec![lane.live(Vec::new())],
        memory: Arc::default(),
    }
}
