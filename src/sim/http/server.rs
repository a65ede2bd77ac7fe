//! The life of a simulated server: bind, start, serve, shut down.

use super::handlers::{AppState, router};
use super::socket::SharedSocket;
use crate::sim::build::{EngineParts, build};
use crate::sim::cache::Tiers;
use crate::sim::config::SimConfig;
use crate::sim::error::SimError;
use crate::sim::fault::{self, Fault};
use crate::sim::ground_truth::StampRecorder;
use crate::sim::log;
use crate::sim::metrics::EngineInfo;
use crate::sim::pacer::SimEngine;
use crate::sim::scheduler::Scheduler;
use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The maximum number of connections that wait to be accepted.
const BACKLOG: u32 = 4_096;

/// The pause after a connection could not be accepted, for example without free descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Runs one simulated engine until `shutdown` completes.
///
/// # Errors
/// Fails if the configuration is inconsistent or the address cannot be listened on.
pub(crate) async fn serve(
    config: SimConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<(), SimError> {
    Simulator::bind(config).await?.serve(shutdown).await
}

/// A simulated engine that has its port, but does not answer yet.
pub(crate) struct Simulator {
    config: SimConfig,
    socket: TcpSocket,
    address: SocketAddr,
    parts: EngineParts,
}

impl Simulator {
    /// Checks the configuration and binds the port. Connections are refused until the engine is
    /// ready.
    ///
    /// # Errors
    /// Fails if the configuration is inconsistent or the address cannot be used.
    pub(crate) async fn bind(config: SimConfig) -> Result<Self, SimError> {
        config.validate()?;
        let parts = build(&config)?;
        let wanted = resolve(&config.host, config.port).await?;
        let (socket, address) = bind(wanted).map_err(|source| SimError::Listen {
            address: wanted,
            source,
        })?;
        Ok(Self {
            config,
            socket,
            address,
            parts,
        })
    }

    /// The address, with the bound port.
    #[cfg(test)]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the engine and serves until `shutdown` completes. Then streams in flight have
    /// `shutdown_grace_s` to end.
    ///
    /// # Errors
    /// Fails if another process listens on the port, or if the system does not start a thread.
    pub(crate) async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), SimError> {
        let faults = self.config.faults.clone();
        let mut shutdown = pin!(fault::outlast(shutdown, &faults));
        self.log_configuration();
        fault::start(&faults, self.address.port()).map_err(SimError::Fault)?;
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            () = sleep(Duration::from_secs_f64(self.config.startup_s)) => {}
        }
        let engine = SimEngine::start(Scheduler::new(self.parts.setup));
        let engine = Arc::new(engine.map_err(SimError::Thread)?);
        let address = self.address;
        let listener = self
            .socket
            .listen(BACKLOG)
            .map_err(|source| SimError::Listen { address, source })?;
        let stamps_path = self.config.stamps.clone();
        let stamps = stamps_path
            .as_ref()
            .map(|_| StampRecorder::new(engine.now()));
        let connections = Connections {
            engine: Arc::clone(&engine),
            grace: Duration::from_secs_f64(self.config.shutdown_grace_s),
            closes_after_stream: faults.has(Fault::CloseBehindAnswer),
            router: router(Arc::new(AppState {
                stamps: stamps.clone(),
                info: EngineInfo::new(&self.config),
                engine,
                storage: self.parts.storage,
                answers: AtomicU64::new(0),
                requests: AtomicU64::new(0),
                ignored: Mutex::default(),
                config: self.config,
            })),
        };
        log_start(address);
        connections.accept_until(listener, shutdown).await;
        log::server_line("Application shutdown complete.");
        if let (Some(stamps), Some(path)) = (stamps, stamps_path) {
            stamps
                .write(&path)
                .map_err(|source| SimError::Stamps { path, source })?;
        }
        Ok(())
    }

    /// Logs the sizes of the caches and the warnings about the configuration.
    fn log_configuration(&self) {
        let config = &self.config;
        for warning in &self.parts.warnings {
            eprintln!("warning: {warning}");
        }
        log::pool_size(config.kv_pool_tokens(), config.max_model_len);
        for (name, tokens) in self.parts.setup.tiers.iter().flat_map(Tiers::capacities) {
            log::tier_line(name, tokens);
        }
    }
}

fn log_start(address: SocketAddr) {
    let pid = std::process::id();
    log::server_line(format_args!("Started server process [{pid}]"));
    log::server_line("Waiting for application startup.");
    log::server_line("Application startup complete.");
    log::server_line(format_args!(
        "Uvicorn running on http://{address} (simulated by lmrun)"
    ));
}

async fn resolve(host: &str, port: u16) -> Result<SocketAddr, SimError> {
    let resolved = lookup_host((host, port)).await;
    let first = resolved.and_then(|mut addresses| {
        addresses
            .next()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    });
    first.map_err(|source| SimError::Host {
        host: host.to_owned(),
        source,
    })
}

fn bind(address: SocketAddr) -> io::Result<(TcpSocket, SocketAddr)> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let bound = socket.local_addr()?;
    Ok((socket, bound))
}

/// Serves all connections of a server.
struct Connections {
    router: Router,
    engine: Arc<SimEngine>,
    /// The time that streams in flight have to end after a shutdown.
    grace: Duration,
    closes_after_stream: bool,
}

impl Connections {
    async fn accept_until(
        self,
        listener: TcpListener,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) {
        let (closing, _) = watch::channel(());
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((socket, _)) => {
                        connections.spawn(self.connection(socket, closing.subscribe()));
                    }
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                },
            }
        }
        drop(listener);
        drop(closing);
        let all_closed = async { while connections.join_next().await.is_some() {} };
        if timeout(self.grace, all_closed).await.is_err() {
            self.engine.stop();
            connections.shutdown().await;
        }
    }

    /// Serves one connection. When `closing` ends, closes it after the current answer.
    fn connection(
        &self,
        socket: TcpStream,
        mut closing: watch::Receiver<()>,
    ) -> impl Future<Output = ()> + use<> {
        // Without this, chunks would wait for acknowledgements. It fails only on closed sockets.
        let _ = socket.set_nodelay(true);
        let socket = Arc::new(socket);
        let for_streams = Arc::clone(&socket);
        let routes = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Arc::clone(&for_streams));
            routes.call(request)
        });
        let io = TokioIo::new(SharedSocket {
            socket,
            closes_after_stream: self.closes_after_stream,
        });
        let serving = http1::Builder::new().serve_connection(io, service);
        async move {
            let mut serving = pin!(serving);
            // An error means that the client left, which aborts its request.
            tokio::select! {
                _ = serving.as_mut() => {}
                _ = closing.changed() => {
                    serving.as_mut().graceful_shutdown();
                    let _ = serving.await;
                }
            }
        }
    }
}
