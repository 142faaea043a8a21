//! The composition root: builds the components, binds the listeners, runs, and shuts down in order.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use futures::{FutureExt, TryFutureExt};
use prometheus::Registry;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tonic::{
    server::NamedService,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::HealthReporter,
};
use tracing::{error, info, warn};

use crate::{
    accounts::{Upstream, Upstreams},
    admin::{self, Readiness},
    ambient::Ambient,
    callbacks::{
        CallbackSettings,
        listener::{self as callback, CallbackListener},
    },
    checks::{
        reconciler::{self, Concurrency},
        unconfigured,
    },
    config::{AccountSettings, Fault, Settings},
    failover::operator,
    gateway::{Gateway, GatewaySettings},
    grpc::{
        DESCRIPTOR, GrpcServices, RefusalLayer,
        v1::{
            account_service_server::AccountServiceServer,
            inquiry_service_server::InquiryServiceServer,
            notice_service_server::NoticeServiceServer,
            transaction_service_server::TransactionServiceServer,
        },
    },
    http,
    ledger::{gauges, hub},
    notices::keeper as notices,
    okebayar::{
        client::Client,
        observer::{InfoSender, Observer},
        parse_permits::ParsePermits,
        transport::HttpTransport,
    },
    store::{self, OpenMode, RecordLoss, Store},
    telemetry::{MeasuredStore, Metrics, RpcLayer},
    transaction::AccountName,
};

/// The largest accepted request, in bytes.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// The time between two verifications of the store (promise 10). Together with
/// [`crate::failover::VERIFY_TIMEOUT`] it is below the 10 s within which a fault is reported.
const STORE_VERIFY_INTERVAL: Duration = Duration::from_secs(4);
/// The limits on the connections of the admin port.
const ADMIN_LIMITS: http::ConnectionLimits = http::ConnectionLimits {
    connections: 64,
    head_timeout: Duration::from_secs(10),
};
/// The longest time in which the admin port and the keeper of notices stop, after the drain.
const DRAIN_SERVERS_TIMEOUT: Duration = Duration::from_secs(2);
/// The interval of HTTP/2 keep-alive pings on an idle connection.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

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

/// The settings of the background tasks.
struct Background {
    checks: Concurrency,
    poll_interval: Duration,
    census_interval: Duration,
}

/// Builds the settings of the background tasks.
fn background(settings: &Settings) -> Background {
    Background {
        checks: Concurrency {
            least: settings.limits.checking,
            most: settings.limits.checking_max,
        },
        poll_interval: settings.poll_interval,
        census_interval: settings.census_interval,
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

/// Starts the background tasks: the relay of notifications, the gauges, the checks of accounts that
/// are not configured, the reader of all events, the checks of orphan callbacks, and the
/// reconciler.
fn start_background(
    servers: &mut JoinSet<Result<()>>,
    gateway: &Gateway,
    background: &Background,
    stopping: &CancellationToken,
) {
    let (interval, stopping) = (background.census_interval, || stopping.clone());
    let relaying = hub::relay(Arc::clone(&gateway.store), gateway.hub.clone(), stopping());
    start(servers, relaying);
    let (purchases, ledger) = (Arc::clone(&gateway.purchases), Arc::clone(&gateway.ledger));
    let counting = gauges::run(interval, stopping(), async move || {
        purchases.record_occupancy();
        ledger.record_open().await
    });
    start(servers, counting);
    let checks = || Arc::clone(&gateway.checks);
    start(servers, unconfigured::run(checks(), interval, stopping()));
    let ledger = Arc::clone(&gateway.ledger);
    start(servers, async move { ledger.read_events().await });
    let callbacks = Arc::clone(&gateway.callbacks);
    start(servers, async move { callbacks.check_orphans().await });
    let Background {
        checks: concurrency,
        poll_interval,
        ..
    } = background;
    let reconciling = reconciler::run(checks(), *concurrency, *poll_interval, stopping());
    start(servers, reconciling);
}

/// Starts a task that ends only when the gateway stops.
fn start(servers: &mut JoinSet<Result<()>>, part: impl Future<Output = ()> + Send + 'static) {
    servers.spawn(async move {
        part.await;
        Ok(())
    });
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

/// The listeners of a gateway.
struct Listeners {
    grpc: TcpListener,
    callbacks: TcpListener,
    admin: TcpListener,
}

impl Listeners {
    /// Binds all listeners.
    async fn bind(settings: &Settings) -> Result<Self> {
        Ok(Self {
            grpc: bind(settings.grpc_listen, "grpc.listen").await?,
            callbacks: bind(settings.callbacks.listen, "callbacks.listen").await?,
            admin: bind(settings.admin_listen, "admin.listen").await?,
        })
    }

    /// Returns the bound addresses of gRPC, callbacks and admin, in this order.
    fn addresses(&self) -> Result<(SocketAddr, SocketAddr, SocketAddr)> {
        Ok((
            self.grpc.local_addr()?,
            self.callbacks.local_addr()?,
            self.admin.local_addr()?,
        ))
    }
}

/// Binds an address; `key` is its configuration key.
async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{key}: {address} cannot be bound; free it or configure another"))
}

/// The callback secrets of the accounts.
type Secrets = BTreeMap<AccountName, Option<secrecy::SecretString>>;

/// Builds the clients of the configured accounts, and collects their callback secrets.
fn upstreams(
    accounts: BTreeMap<AccountName, AccountSettings>,
    texts: &InfoSender,
    metrics: &Metrics,
) -> Result<(BTreeMap<AccountName, Upstream>, Secrets)> {
    let (mut upstreams, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    let parse_permits = ParsePermits::default();
    for (name, settings) in accounts {
        let (timeout, url) = (settings.http.timeout, settings.http.url.clone());
        let transport =
            HttpTransport::new(settings.http).context("the HTTP client cannot be built")?;
        let observer = Observer {
            account: name.clone(),
            texts: texts.clone(),
            metrics: metrics.clone(),
            server: (
                url.host_str().unwrap_or_default().to_owned(),
                url.port_or_known_default().unwrap_or_default(),
            ),
        };
        let upstream = Upstream {
            client: Client::new(settings.account, Arc::new(transport))
                .with_parse_permits(parse_permits.clone())
                .observed_by(observer),
            timeout,
            callback_trusted: settings.callback_trusted,
            own_inquiry_reference: settings.own_inquiry_reference,
            formerly: settings.formerly,
        };
        upstreams.insert(name.clone(), upstream);
        secrets.insert(name, settings.callback_secret);
    }
    Ok((upstreams, secrets))
}

/// Serves gRPC until `stopping`.
async fn serve_grpc(
    listener: TcpListener,
    services: GrpcServices,
    health: HealthServer<impl Health>,
    metrics: Metrics,
    stopping: CancellationToken,
) -> Result<()> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .context("the reflection service cannot be built")?;
    let transactions = TransactionServiceServer::new(services.clone())
        .max_decoding_message_size(REQUEST_BYTES_MAX);
    let inquiries =
        InquiryServiceServer::new(services.clone()).max_decoding_message_size(REQUEST_BYTES_MAX);
    let notices =
        NoticeServiceServer::new(services.clone()).max_decoding_message_size(REQUEST_BYTES_MAX);
    let accounts = AccountServiceServer::new(services).max_decoding_message_size(REQUEST_BYTES_MAX);
    let descriptors = [DESCRIPTOR, tonic_health::pb::FILE_DESCRIPTOR_SET];
    Server::builder()
        .layer(RpcLayer::new(metrics, &descriptors))
        .layer(RefusalLayer)
        // Without HTTP/1, a peer that sends nothing delays the shutdown (hyper 4170).
        .accept_http1(true)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .add_service(health)
        .add_service(reflection)
        .add_service(transactions)
        .add_service(inquiries)
        .add_service(accounts)
        .add_service(notices)
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            stopping.cancelled(),
        )
        .await
        .context("the gRPC server failed")
}

/// Reports SERVING while the store passes its verification and the gateway is not stopping.
async fn report_health(
    reporter: HealthReporter,
    readiness: watch::Sender<Readiness>,
    gateway: Gateway,
    stopping: CancellationToken,
) {
    // The store was verified when it was opened.
    report(&reporter, true).await;
    gateway.metrics.store_healthy(true);
    let mut was_well = true;
    loop {
        tokio::select! {
            () = tokio::time::sleep(STORE_VERIFY_INTERVAL) => {}
            () = stopping.cancelled() => {
                readiness.send_modify(|readiness| readiness.is_stopping = true);
                return report(&reporter, false).await;
            }
        }
        let verified = gateway.failover.verify_store().await;
        let is_well = verified.is_ok();
        gateway.metrics.store_healthy(is_well);
        readiness.send_modify(|readiness| readiness.store = gateway.failover.store_problem());
        if is_well != was_well {
            match verified {
                Ok(()) => info!("gateway is healthy again"),
                Err(problem) => error!(%problem, "gateway is not healthy"),
            }
            report(&reporter, is_well).await;
        }
        was_well = is_well;
    }
}

/// Reports the health of every service, and of the server as a whole.
async fn report(reporter: &HealthReporter, is_well: bool) {
    let status = if is_well {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    let services = [
        "",
        TransactionServiceServer::<GrpcServices>::NAME,
        InquiryServiceServer::<GrpcServices>::NAME,
        AccountServiceServer::<GrpcServices>::NAME,
        NoticeServiceServer::<GrpcServices>::NAME,
    ];
    for service in services {
        reporter.set_service_status(service, status).await;
    }
}
