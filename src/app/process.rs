//! The process: start, run, and shutdown in order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use futures::{FutureExt, TryFutureExt};
use prometheus::Registry;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    accounts::upstreams,
    background::{background, start, start_background},
    grpc_server::serve_grpc,
    health::report_health,
    listeners::Listeners,
};
use crate::{
    accounts::Upstreams,
    admin::{self, Readiness},
    ambient::Ambient,
    callbacks::{
        CallbackSettings,
        listener::{self as callback, CallbackListener},
    },
    config::{Fault, Settings},
    failover::operator,
    gateway::{Gateway, GatewaySettings},
    grpc::GrpcServices,
    http,
    notices::keeper as notices,
    store::{self, OpenMode, RecordLoss, Store},
    telemetry::{MeasuredStore, Metrics},
};

/// The limits on the connections of the admin port.
const ADMIN_LIMITS: http::ConnectionLimits = http::ConnectionLimits {
    connections: 64,
    head_timeout: Duration::from_secs(10),
};
/// The longest time in which the admin port and the keeper of notices stop, after the drain.
const DRAIN_SERVERS_TIMEOUT: Duration = Duration::from_secs(2);

/// A running gateway.
pub struct App {
    /// The address of the gRPC listener.
    pub grpc: SocketAddr,
    /// The address of the callback listener.
    pub callbacks: SocketAddr,
    /// The address of the admin listener: probes and metrics.
    pub admin: SocketAddr,
    gateway: Gateway,
    /// The tasks that stop with `stopping`.
    servers: JoinSet<Result<()>>,
    /// The tasks that serve until the drain has ended: the admin port, and the keeper of notices.
    drain_servers: JoinSet<Result<()>>,
    stopping: CancellationToken,
    /// Cancelled at the end of the drain.
    drained: CancellationToken,
    /// The drain time.
    drain: Duration,
}

impl App {
    /// Starts the gateway, which runs until `stopping`. The admin port exposes the metrics of
    /// `registry`.
    ///
    /// # Errors
    /// An error when the store cannot be used, or an address cannot be bound.
    pub async fn start(
        settings: Settings,
        registry: Registry,
        ambient: Ambient,
        stopping: CancellationToken,
    ) -> Result<Self> {
        log_warnings(&settings);
        let metrics = Metrics::default();
        let store = open_measured_store(&settings, ambient, &metrics).await?;
        let listeners = Listeners::bind(&settings).await?;
        let (grpc, callbacks, admin) = listeners.addresses()?;

        let background = background(&settings);
        let gateway_settings = gateway_settings(&settings, &metrics);
        let (texts, received_texts) = mpsc::channel(notices::WAITING_MAX);
        let (upstreams, secrets) = upstreams(settings.accounts, &texts, &metrics)?;
        let upstreams = Upstreams::new(upstreams, settings.default_account);
        let gateway = Gateway::new(
            store,
            upstreams,
            gateway_settings,
            ambient,
            stopping.clone(),
        );
        gateway.failover.refresh().await.context("store")?;

        let mut servers = JoinSet::new();
        let services = GrpcServices::new(gateway.clone());
        let (reporter, health) = tonic_health::server::health_reporter();
        servers.spawn(serve_grpc(
            listeners.grpc,
            services,
            health,
            metrics,
            settings.limits.connection_age,
            stopping.clone(),
        ));
        let (readiness_sender, readiness) = watch::channel(Readiness::READY);
        let reporting = report_health(
            reporter,
            readiness_sender,
            gateway.clone(),
            stopping.clone(),
        );
        start(&mut servers, reporting);
        let (mut drain_servers, drained) = (JoinSet::new(), CancellationToken::new());
        let router = admin::router(readiness, registry);
        let serving = http::serve(listeners.admin, router, ADMIN_LIMITS, drained.clone());
        start(&mut drain_servers, serving);
        let limits = callback_limits(&settings.callbacks);
        let recorder = Arc::clone(&gateway.callbacks);
        let router = callback::router(CallbackListener::new(recorder, secrets, settings.callbacks));
        let serving = http::serve(listeners.callbacks, router, limits, stopping.clone());
        start(&mut servers, serving);
        let keeping = notices::run(
            Arc::clone(&gateway.store),
            received_texts,
            gateway.metrics.clone(),
            ambient,
            drained.clone(),
        );
        start(&mut drain_servers, keeping);
        start_background(&mut servers, &gateway, &background, &stopping);
        info!(%grpc, %callbacks, %admin, "listening");
        Ok(Self {
            grpc,
            callbacks,
            admin,
            gateway,
            servers,
            drain_servers,
            stopping,
            drained,
            drain: settings.drain,
        })
    }

    /// Runs until `stopping`, or until a component fails. Then accepts nothing new, and finishes
    /// the work in flight within the drain time (promise 14). The admin port serves until the drain
    /// has ended: probes report alive and not ready, and the last scrape contains the final counts.
    ///
    /// # Errors
    /// An error when a component failed, or tasks were still running at the end of the drain time.
    pub async fn run(mut self) -> Result<()> {
        let failed = tokio::select! {
            () = self.stopping.cancelled() => None,
            Some(ended) = self.servers.join_next() => Some(ended),
            Some(ended) = self.drain_servers.join_next() => Some(ended),
        };
        self.stopping.cancel();
        info!("stopping");
        let tasks = &self.gateway.tasks;
        tasks.close();
        let drained = tokio::time::timeout(self.drain, async {
            // Servers first: a request in flight may still start a task.
            while self.servers.join_next().await.is_some() {}
            tasks.wait().await;
        });
        let was_in_time = drained.await.is_ok();
        self.drained.cancel();
        let ending = async { while self.drain_servers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN_SERVERS_TIMEOUT, ending).await;
        if !was_in_time {
            let unfinished = tasks.len();
            error!(unfinished, "drain time passed with tasks in flight");
            self.gateway.purchases.log_unfinished();
            if unfinished > 0 {
                bail!("{unfinished} tasks were still running at the end of the drain time");
            }
        }
        info!("stopped");
        match failed {
            None => Ok(()),
            Some(ended) => ended.context("a component of the gateway panicked")?,
        }
    }
}

/// Builds the settings of the gateway's components.
fn gateway_settings(settings: &Settings, metrics: &Metrics) -> GatewaySettings {
    GatewaySettings {
        limits: settings.limits,
        send_within: settings.send_within,
        schedule: settings.schedule.clone(),
        rules: settings.rules,
        guard: settings.guard,
        retention: settings.retention,
        poll_interval: settings.events_poll_interval,
        safety_poll_interval: settings.events_safety_poll_interval,
        metrics: metrics.clone(),
    }
}

/// Builds the limits on the connections of the callback listener.
fn callback_limits(settings: &CallbackSettings) -> http::ConnectionLimits {
    http::ConnectionLimits {
        connections: settings.connections,
        head_timeout: settings.read_timeout,
    }
}

/// Opens the configured store, and measures the calls to it.
async fn open_measured_store(
    settings: &Settings,
    ambient: Ambient,
    metrics: &Metrics,
) -> Result<Arc<dyn Store>> {
    let identity = settings.identity((ambient.random)());
    let (now, epoch) = ((ambient.now)(), identity.epoch);
    let record_loss: RecordLoss<'_> = &move |store| {
        operator::start(store, now, move || epoch)
            .map_ok(drop)
            .boxed()
    };
    let mode = OpenMode::Serve { record_loss };
    let opened = store::open(&settings.store, &identity, mode).await?;
    let store = MeasuredStore::new(opened.store(), opened.system(), metrics.clone());
    Ok(Arc::new(store))
}

/// Logs the warnings about a valid configuration.
fn log_warnings(settings: &Settings) {
    for warning in settings.warnings() {
        let Fault {
            key,
            problem,
            remedy,
        } = warning;
        warn!(key, remedy, "{problem}");
    }
}
