//! The whole configuration.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use config::{Config, Environment, File, FileFormat};
use uuid::Uuid;

use super::{
    account_names::{read_default_account, verify_former_names, verify_user_ids},
    accounts::{AccountSettings, read_accounts},
    callbacks::{read_callbacks, verify_trusted},
    checks::{in_flight_max, read_rules, read_schedule, send_within},
    failover::read_guard,
    fault::{Fault, Faults},
    flat_keys::{ENVIRONMENT_PREFIX, flatten},
    limits::{Limits, read_limits},
    reader::Reader,
    retention::{Horizons, read_retention},
    secrets::secrets_in,
    short_times::{self, Times},
    shutdown::read_drain,
    store::read_store,
    streams::StreamTimes,
};
use crate::{
    callbacks::CallbackSettings,
    failover::GuardSettings,
    retention::RetentionSettings,
    store::{Identity, StoreSettings},
    transaction::{AccountName, AccountNames, Rules, Schedule},
};

/// The prefix of the environment variables of the target of a copy.
const TARGET_PREFIX: &str = "OKEBAYAR_TARGET";

/// The whole configuration, validated. Its `Debug` output contains no secret.
#[derive(Debug)]
pub struct Settings {
    /// The address of the gRPC listener.
    pub grpc_listen: SocketAddr,
    /// The address of the admin listener: health and metrics.
    pub admin_listen: SocketAddr,
    /// The interval at which transactions are counted for the gauges.
    pub census_interval: Duration,
    /// The callback listener.
    pub callbacks: CallbackSettings,
    /// The store of transactions.
    pub store: StoreSettings,
    /// The failover guard: the rules for transactions that are quarantined after the store may have
    /// lost records.
    pub guard: GuardSettings,
    /// The limits on concurrency and on waiting.
    pub limits: Limits,
    /// The maximum time from a claim to its POST: the time in the queue plus the time-out of the
    /// store.
    pub send_within: Duration,
    /// The schedule of status checks.
    pub schedule: Schedule,
    /// The rules by which evidence is judged.
    pub rules: Rules,
    /// The times after which records, tombstones and lists end.
    pub retention: RetentionSettings,
    /// The interval at which the reconciler polls for due checks.
    pub poll_interval: Duration,
    /// The poll interval of a waiter while the store delivers no notifications.
    pub events_poll_interval: Duration,
    /// The poll interval of a waiter while the store delivers notifications.
    pub events_safety_poll_interval: Duration,
    /// The maximum time that a shutdown waits for work in progress.
    pub drain: Duration,
    /// The accounts by name.
    pub accounts: BTreeMap<AccountName, AccountSettings>,
    /// The account of requests that name none.
    pub default_account: AccountName,
    /// Times are allowed that are too short for the real OKEBAYAR.
    pub allow_short_times: bool,
}

impl Settings {
    /// Loads the file, if one is given, and overrides it by the environment.
    ///
    /// # Errors
    /// [`Faults`] with all faults.
    pub fn load(file: Option<&Path>) -> Result<Self, Faults> {
        read(read_sources("--config", file, ENVIRONMENT_PREFIX)?)
    }

    /// Builds the configuration from keys and values, as `dev` does.
    ///
    /// # Errors
    /// [`Faults`] with all faults.
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Result<Self, Faults> {
        let keys = pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), vec![value]))
            .collect();
        read(Reader::new(keys, Vec::new()))
    }

    /// Returns warnings about settings that are valid but risky, for the log at start and for
    /// `serve --check`.
    #[must_use]
    pub fn warnings(&self) -> Vec<Fault> {
        let mut warnings = Vec::new();
        if self.allow_short_times {
            warnings.push(short_times::warning());
        }
        let is_reachable = !self.callbacks.listen.ip().is_loopback();
        let is_open = is_reachable && self.callbacks.allows_any_sender();
        for (name, account) in &self.accounts {
            if is_open && account.callback_secret.is_none() {
                warnings.push(Fault {
                    key: format!("accounts.{name}.callback_secret_file"),
                    problem: "any client that reaches callbacks.listen can send callbacks, and \
                              each one triggers a status check"
                        .to_owned(),
                    remedy: "set a secret (`openssl rand -hex 16` generates one), or list \
                             OKEBAYAR's addresses in callbacks.allow"
                        .to_owned(),
                });
            }
        }
        warnings
    }

    /// Returns the identity that the store must have; `epoch` is the epoch of a store that is
    /// created now.
    #[must_use]
    pub fn identity(&self, epoch: Uuid) -> Identity {
        let accounts = self
            .accounts
            .iter()
            .map(|(name, settings)| (name.clone(), settings.user_id_hash()));
        let renamed = self.accounts.iter().flat_map(|(name, settings)| {
            let former = settings.formerly.iter();
            former.map(|former| (former.clone(), name.clone()))
        });
        Identity {
            accounts: accounts.collect(),
            names: AccountNames::new(renamed),
            epoch,
        }
    }
}

/// Loads the store of the target of a copy from a file, and overrides it by the environment variables
/// that begin with `OKEBAYAR_TARGET__`.
///
/// # Errors
/// [`Faults`] with all faults.
pub fn load_target(file: &Path) -> Result<StoreSettings, Faults> {
    let mut reader = read_sources("--to", Some(file), TARGET_PREFIX)?;
    let timeout = reader.span("store.timeout", "3s");
    let store = read_store(&mut reader, timeout);
    // A section of a gateway may be given as it is; a copy needs no guard.
    read_guard(&mut reader);
    reader.finish(store)
}

/// Reads a file, if one is given, and the environment variables with a prefix. `argument` names the
/// file in faults.
fn read_sources(argument: &str, file: Option<&Path>, prefix: &str) -> Result<Reader, Faults> {
    let mut builder = Config::builder();
    let mut misplaced = Vec::new();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Faults::one(
                argument,
                &format!("{}: {error}", path.display()),
                "name a readable TOML file",
            )
        })?;
        let source = File::from_str(&text, FileFormat::Toml);
        let alone = Config::builder().add_source(source.clone()).build();
        let alone = alone.map_err(|_| not_toml(argument, path))?;
        misplaced = secrets_in(&flatten(&alone.cache));
        builder = builder.add_source(source);
    }
    let environment = Environment::with_prefix(prefix)
        .prefix_separator("__")
        .separator("__");
    let config = builder.add_source(environment).build().map_err(|_| {
        Faults::one(
            "the environment",
            "conflicts with the file",
            "correct either",
        )
    })?;
    Ok(Reader::new(flatten(&config.cache), misplaced))
}

/// Builds the fault for a file that is not TOML. The message of the parser is dropped: it quotes
/// the line, which may contain a misplaced secret.
fn not_toml(argument: &str, path: &Path) -> Faults {
    Faults::one(
        argument,
        &format!("{} is not TOML", path.display()),
        "correct the file",
    )
}

/// Reads the settings, or returns all faults.
fn read(mut reader: Reader) -> Result<Settings, Faults> {
    let settings = read_settings(&mut reader);
    reader.finish(settings)
}

/// Reads all sections. Every section is read before the first `?`, so that all faults are found.
fn read_settings(reader: &mut Reader) -> Option<Settings> {
    let grpc_listen = reader.address("grpc.listen", "0.0.0.0:50051");
    let admin_listen = reader.address("admin.listen", "0.0.0.0:9464");
    let census_interval = reader.span("telemetry.census_interval", "15s");
    let callbacks = read_callbacks(reader);
    let store_timeout = reader.span("store.timeout", "3s");
    let store = read_store(reader, store_timeout);
    let guard = read_guard(reader);
    let streams = StreamTimes::read(reader);
    streams.verify(reader, store.as_ref().map(StoreSettings::event_retention));
    let limits = read_limits(reader, streams);
    let accounts = read_accounts(reader);
    verify_user_ids(reader, &accounts);
    verify_former_names(reader, &accounts);
    verify_trusted(reader, &accounts, callbacks.as_ref());
    let default_account = read_default_account(reader, &accounts);
    let timeout_max = accounts
        .values()
        .flatten()
        .map(|account| account.http.timeout)
        .max();
    let margin = reader.duration("checks.sending_margin", "10s");
    let send_within = send_within(limits, store_timeout);
    let in_flight_max = in_flight_max(send_within, timeout_max, margin);
    let schedule = read_schedule(reader, in_flight_max);
    let not_received_after = reader.duration("checks.not_received_after", "10m");
    let rules = read_rules(reader, send_within, not_received_after, guard);
    let allow_short_times = reader.flag("allow_short_times");
    let times = Times {
        not_received_after,
        doubtful_gap: rules.map(|rules| rules.doubtful_gap),
        clock_skew: guard.map(|guard| guard.clock_skew),
        failover_guard: guard.map(|guard| guard.lasts),
        streams,
    };
    times.verify(reader, allow_short_times == Some(true));
    let horizons = Horizons {
        schedule: schedule.as_ref(),
        guard,
        event_retention: store.as_ref().map(StoreSettings::event_retention),
        in_flight_max,
    };
    let retention = read_retention(reader, horizons, allow_short_times == Some(true));
    let poll_interval = reader.span("checks.poll_interval", "1s");
    let events_poll_interval = reader.span("events.poll_interval", "5s");
    let events_safety_poll_interval = reader.span("events.safety_poll_interval", "60s");
    let drain = read_drain(reader, in_flight_max);
    let accounts = accounts
        .into_iter()
        .map(|(name, account)| Some((name, account?)));
    Some(Settings {
        grpc_listen: grpc_listen?,
        admin_listen: admin_listen?,
        census_interval: census_interval?,
        callbacks: callbacks?,
        store: store?,
        guard: guard?,
        limits: limits?,
        send_within: send_within?,
        schedule: schedule?,
        rules: rules?,
        retention: retention?,
        poll_interval: poll_interval?,
        events_poll_interval: events_poll_interval?,
        events_safety_poll_interval: events_safety_poll_interval?,
        drain: drain?,
        accounts: accounts.collect::<Option<_>>()?,
        default_account: default_account?,
        allow_short_times: allow_short_times?,
    })
}
