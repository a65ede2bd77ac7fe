//! The life of a simulated server: bind, start up, serve, close.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use axum::Router;
use hyper::{Request, body::Incoming, server::conn::http1, service::Service, service::service_fn};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, lookup_host},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    super::{
        build::{Built, build},
        cache::Tiers,
        config::SimConfig,
        error::SimError,
        fault::{self, Fault},
        log::Log,
        metrics::Identity,
        pacer::Engine,
        scheduler::Scheduler,
        truth::Truth,
    },
    handlers::{App, router},
    wire::Wire,
};

/// Connections the kernel keeps while they wait to be accepted.
const BACKLOG: u32 = 4_096;

/// Pause after the system refused a connection, for want of descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Runs one simulated engine until `shutdown` is done.
///
/// # Errors
/// The configuration does not fit together, or the address cannot be listened on.
pub async fn serve(config: SimConfig, shutdown: impl Future<Output = ()>) -> Result<(), SimError> {
    Simulator::bind(config).await?.serve(shutdown).await
}

/// A simulated engine that has its port, and does not answer yet.
pub struct Simulator {
    config: SimConfig,
    socket: TcpSocket,
    address: SocketAddr,
    built: Built,
}

impl Simulator {
    /// Checks the configuration and takes the port. Connections are refused until the engine has started up.
    ///
    /// # Errors
    /// The configuration does not fit together, or the address cannot be had.
    pub async fn bind(config: SimConfig) -> Result<Self, SimError> {
        config.validate()?;
        let built = build(&config)?;
        let wanted = resolve(&config.host, config.port).await?;
        let listen = |source| SimError::Listen {
            address: wanted,
            source,
        };
        let socket = open(wanted).map_err(listen)?;
        let address = socket.local_addr().map_err(listen)?;
        Ok(Self {
            config,
            socket,
            address,
            built,
        })
    }

    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts up and serves until `shutdown` is done; then streams in flight have `shutdown_grace_s` to end.
    ///
    /// # Errors
    /// The port was taken by somebody else meanwhile, or the system gives no thread.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), SimError> {
        let faults = self.config.faults.clone();
        let mut shutdown = std::pin::pin!(fault::outlast(shutdown, &faults));
        let log = Log::new(self.config.log, self.config.kv_gib_per_token());
        self.built
            .warnings
            .iter()
            .for_each(|warning| eprintln!("warning: {warning}"));
        log.pool(self.config.kv_pool_tokens(), self.config.max_model_len);
        for (name, tokens) in self.built.setup.tiers.iter().flat_map(Tiers::capacities) {
            log.tier(name, tokens);
        }
        fault::begin(&faults, self.address.port()).map_err(SimError::Fault)?;
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            () = sleep(Duration::from_secs_f64(self.config.startup_s)) => {}
        }
        let engine =
            Engine::start(Scheduler::new(self.built.setup), log).map_err(SimError::Thread)?;
        let engine = Arc::new(engine);
        let grace = Duration::from_secs_f64(self.config.shutdown_grace_s);
        let address = self.address;
        let listener = self
            .socket
            .listen(BACKLOG)
            .map_err(|source| SimError::Listen { address, source })?;
        let truth = self
            .config
            .stamps
            .as_ref()
            .map(|path| (Truth::new(engine.now()), path.clone()));
        let app = App {
            truth: truth.as_ref().map(|(truth, _)| Arc::clone(truth)),
            identity: Identity::new(&self.config),
            engine: Arc::clone(&engine),
            storing: self.built.storing,
            answers: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            ignored: Mutex::default(),
            config: self.config,
        };
        announce(log, address);
        let closes = faults.has(Fault::CloseBehindAnswer);
        accept_until(
            listener,
            &router(Arc::new(app)),
            closes,
            shutdown,
            &engine,
            grace,
        )
        .await;
        log.server("Application shutdown complete.");
        truth.map_or(Ok(()), |(truth, path)| {
            truth
                .write(&path)
                .map_err(|source| SimError::Stamps { path, source })
        })
    }
}

fn announce(log: Log, address: SocketAddr) {
    log.server(format_args!(
        "Started server process [{}]",
        std::process::id()
    ));
    log.server("Waiting for application startup.");
    log.server("Application startup complete.");
    log.server(format_args!(
        "Uvicorn running on http://{address} (simulated by lmrun)"
    ));
}

async fn resolve(host: &str, port: u16) -> Result<SocketAddr, SimError> {
    let host_error = |source| SimError::Host {
        host: host.to_owned(),
        source,
    };
    let mut addresses = lookup_host((host, port)).await.map_err(host_error)?;
    addresses
        .next()
        .ok_or_else(|| host_error(io::ErrorKind::NotFound.into()))
}

fn open(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept_until(
    listener: TcpListener,
    router: &Router,
    closes_behind: bool,
    mut shutdown: std::pin::Pin<&mut impl Future<Output = ()>>,
    engine: &Engine,
    grace: Duration,
) {
    let (closing, _) = watch::channel(());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    drop(connections.spawn(connection(socket, router.clone(), closes_behind, closing.subscribe())));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    drop(closing);
    let all_closed = async { while connections.join_next().await.is_some() {} };
    if timeout(grace, all_closed).await.is_err() {
        engine.stop();
        connections.shutdown().await;
    }
}

/// Serves one connection; when `closing` ends, it closes after the answer it is at.
async fn connection(
    socket: TcpStream,
    router: Router,
    closes_behind: bool,
    mut closing: watch::Receiver<()>,
) {
    // Without it chunks would wait for each other's acknowledgement; a socket that refuses is closed already.
    let _ = socket.set_nodelay(true);
    let socket = Arc::new(socket);
    let twin = Arc::clone(&socket);
    let answering = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&twin));
        answering.call(request)
    });
    let serving = http1::Builder::new().serve_connection(
        TokioIo::new(Wire {
            socket,
            closes_behind,
        }),
        service,
    );
    let mut serving = std::pin::pin!(serving);
    // An error here is a client that went away: its request has been aborted with it.
    tokio::select! {
        _ = serving.as_mut() => {}
        _ = closing.changed() => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
        }
    }
}
