//! Configuration: a TOML file and `OKEBAYAR_GATEWAY__SECTION__KEY` in the
//! environment become domain types, or a list of every fault at once.
//!
//! `docs/CONFIGURATION.md` lists the keys. Secrets come from the environment or
//! from a file of their own, never from the TOML file.

mod accounts;
mod codes;
mod reader;
mod short_times;

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU32, path::Path, time::Duration};

use config::{Config, Environment, File, FileFormat};
use ipnet::IpNet;
use jiff::SignedDuration;
use uuid::Uuid;

use crate::{
    store::{
        Identity, StoreSettings, guard::GuardSettings, redb::RedbSettings, redis::RedisSettings,
    },
    transaction::{AccountName, AccountNames, Rules, Schedule},
};
use accounts::{read_accounts, read_default_account, secrets_in, verify_trusted};
use reader::{Reader, leaves};
use short_times::Times;
pub use {
    accounts::AccountSettings,
    reader::{Fault, Faults},
};

/// The environment prefix; a double underscore separates the parts of a key.
pub const ENVIRONMENT_PREFIX: &str = "OKEBAYAR_GATEWAY";

/// What is allowed at once, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// POSTs of purchases to OKEBAYAR at once.
    pub sending: usize,
    /// Purchases that wait to be sent or are being sent.
    pub queue: usize,
    /// The longest a purchase waits to be sent.
    pub queue_timeout: Duration,
    /// Status checks at once, however few are due.
    pub checking: usize,
    /// Status checks at once, however many are due.
    pub checking_max: usize,
    /// Open watches at once, of one transaction or of all.
    pub watchers: usize,
    /// Calls that wait for an outcome at once.
    pub waiters: usize,
}

/// Where and how callbacks are received.
#[derive(Clone, Debug)]
pub struct CallbackSettings {
    /// Where they are received.
    pub listen: SocketAddr,
    /// Who may call; empty means everybody.
    pub allow: Vec<IpNet>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How many are taken in a second, also at once.
    pub rate_per_second: NonZeroU32,
    /// Connections at once.
    pub connections: usize,
    /// The longest that the head, and then the body, of a callback may take.
    pub read_timeout: Duration,
}

impl CallbackSettings {
    /// Returns true where no list restricts who may call.
    #[must_use]
    pub fn lets_everybody_call(&self) -> bool {
        self.allow.is_empty() || self.allow.iter().any(is_everybody)
    }
}

/// Returns true for a network that holds a large part of all addresses.
fn is_everybody(network: &IpNet) -> bool {
    let restricts_from = match network {
        IpNet::V4(_) => 8,
        IpNet::V6(_) => 16,
    };
    network.prefix_len() < restricts_from
}

/// The whole configuration, valid. Its `Debug` shows no secret.
#[derive(Debug)]
pub struct Settings {
    /// Where gRPC listens.
    pub grpc_listen: SocketAddr,
    /// Where operators look: health and metrics.
    pub admin_listen: SocketAddr,
    /// How often transactions are counted for the gauges.
    pub census_interval: Duration,
    /// Where and how callbacks are received.
    pub callbacks: CallbackSettings,
    /// Where transactions are kept.
    pub store: StoreSettings,
    /// What is held back after the store may have lost something.
    pub guard: GuardSettings,
    /// What is allowed at once.
    pub limits: Limits,
    /// The longest time from a claim to its POST: the time in the queue, and what the store
    /// may take.
    pub send_within: Duration,
    /// When transactions are checked.
    pub schedule: Schedule,
    /// How evidence is judged.
    pub rules: Rules,
    /// How often due checks are looked for.
    pub poll_interval: Duration,
    /// The time between two reads of a waiter while wake-ups do not arrive.
    pub events_poll_interval: Duration,
    /// The time between two reads of a waiter while they arrive.
    pub events_safety_poll_interval: Duration,
    /// The longest a shutdown waits for what has begun.
    pub drain: Duration,
    /// The accounts by name.
    pub accounts: BTreeMap<AccountName, AccountSettings>,
    /// The account of requests that name none.
    pub default_account: AccountName,
    /// Times are allowed that are too short for OKEBAYAR itself.
    pub allow_short_times: bool,
}

impl Settings {
    /// Reads the file, if one is given, and the environment over it.
    ///
    /// # Errors
    /// [`Faults`], all at once.
    pub fn load(file: Option<&Path>) -> Result<Self, Faults> {
        let mut builder = Config::builder();
        let mut misplaced = Vec::new();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Faults::one(
                    "--config",
                    &format!("{}: {error}", path.display()),
                    "name a readable TOML file",
                )
            })?;
            let source = File::from_str(&text, FileFormat::Toml);
            let alone = Config::builder().add_source(source.clone()).build();
            let alone = alone.map_err(|_| not_toml(path))?;
            misplaced = secrets_in(&leaves(&alone.cache));
            builder = builder.add_source(source);
        }
        let environment = Environment::with_prefix(ENVIRONMENT_PREFIX)
            .prefix_separator("__")
            .separator("__");
        let config = builder.add_source(environment).build().map_err(|_| {
            Faults::one("the environment", "it contradicts the file", "mend either")
        })?;
        read(Reader::new(leaves(&config.cache), misplaced))
    }

    /// Reads keys and values, as `dev` makes them.
    ///
    /// # Errors
    /// [`Faults`], all at once.
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Result<Self, Faults> {
        let leaves = pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), vec![value]))
            .collect();
        read(Reader::new(leaves, Vec::new()))
    }

    /// Returns what is allowed, and risky: for the log at start, and for `serve --check`.
    #[must_use]
    pub fn warnings(&self) -> Vec<Fault> {
        let mut warnings = Vec::new();
        if self.allow_short_times {
            warnings.push(short_times::warning());
        }
        let is_reachable = !self.callbacks.listen.ip().is_loopback();
        let is_open = is_reachable && self.callbacks.lets_everybody_call();
        for (name, account) in &self.accounts {
            if is_open && account.callback_secret.is_none() {
                warnings.push(Fault {
                    key: format!("accounts.{name}.callback_secret_file"),
                    problem: "anybody who reaches callbacks.listen can send callbacks, each of \
                              which makes a status check"
                        .to_owned(),
                    remedy: "give a secret (`openssl rand -hex 16` makes one), or list \
                             OKEBAYAR's addresses in callbacks.allow"
                        .to_owned(),
                });
            }
        }
        warnings
    }

    /// What the store must belong to; `epoch` names one that is made now.
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

/// The parser's own message quotes the line, which may hold a misplaced secret.
fn not_toml(path: &Path) -> Faults {
    Faults::one(
        "--config",
        &format!("{} is not TOML", path.display()),
        "mend the file",
    )
}

fn read(mut reader: Reader) -> Result<Settings, Faults> {
    let settings = read_settings(&mut reader);
    reader.finish(settings)
}

/// Every section is read before the first `?`, so that all faults are found.
fn read_settings(reader: &mut Reader) -> Option<Settings> {
    let grpc_listen = reader.address("grpc.listen", "0.0.0.0:50051");
    let admin_listen = reader.address("admin.listen", "0.0.0.0:9464");
    let census_interval = reader.span("telemetry.census_interval", "15s");
    let callbacks = read_callbacks(reader);
    let store_timeout = reader.span("store.timeout", "3s");
    let store = read_store(reader, store_timeout);
    let guard = read_guard(reader);
    let limits = read_limits(reader);
    let accounts = read_accounts(reader);
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
    };
    times.verify(reader, allow_short_times == Some(true));
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
        poll_interval: poll_interval?,
        events_poll_interval: events_poll_interval?,
        events_safety_poll_interval: events_safety_poll_interval?,
        drain: drain?,
        accounts: accounts.collect::<Option<_>>()?,
        default_account: default_account?,
        allow_short_times: allow_short_times?,
    })
}

/// Computes the time from a claim to the last moment at which its POST may leave.
fn send_within(limits: Option<Limits>, store_timeout: Option<Duration>) -> Option<Duration> {
    limits?.queue_timeout.checked_add(store_timeout?)
}

/// From a claim to the moment at which its POST has certainly ended.
fn in_flight_max(
    send_within: Option<Duration>,
    timeout: Option<Duration>,
    margin: Option<SignedDuration>,
) -> Option<SignedDuration> {
    let longest = send_within?.checked_add(timeout?)?;
    SignedDuration::try_from(longest).ok()?.checked_add(margin?)
}

fn read_callbacks(reader: &mut Reader) -> Option<CallbackSettings> {
    let listen = reader.address("callbacks.listen", "0.0.0.0:8080");
    let allow = read_allowed(reader);
    let trusted_proxies = read_trusted_proxies(reader);
    let rate_per_second = reader.count("callbacks.rate_per_second", "500");
    let connections = reader.count("callbacks.connections", "512");
    let read_timeout = reader.span("callbacks.read_timeout", "10s");
    Some(CallbackSettings {
        listen: listen?,
        allow: allow?,
        trusted_proxies: trusted_proxies?,
        rate_per_second: NonZeroU32::new(u32::try_from(rate_per_second?).ok()?)?,
        connections: connections?,
        read_timeout: read_timeout?,
    })
}

/// Reads who may call. A list that is configured and empty may be meant to let nobody call,
/// and would let everybody.
fn read_allowed(reader: &mut Reader) -> Option<Vec<IpNet>> {
    let key = "callbacks.allow";
    let is_given = reader.has(key);
    let allow = reader.networks(key)?;
    if is_given && allow.is_empty() {
        let remedy = "list OKEBAYAR's addresses, or leave the key out to let everybody call";
        reader.fault(key, "it is configured, and empty", remedy);
    }
    Some(allow)
}

/// Reads whose `X-Forwarded-For` is believed. A trusted proxy names the sender: the whole
/// internet cannot be one.
fn read_trusted_proxies(reader: &mut Reader) -> Option<Vec<IpNet>> {
    let key = "callbacks.trusted_proxies";
    let proxies = reader.networks(key)?;
    for wide in proxies.iter().filter(|network| is_everybody(network)) {
        let problem = format!("{wide} lets everybody name another sender in X-Forwarded-For");
        reader.fault(key, problem, "list your own proxies only");
    }
    Some(proxies)
}

fn read_store(reader: &mut Reader, timeout: Option<Duration>) -> Option<StoreSettings> {
    match reader.text_or("store.kind", "embedded").as_str() {
        "embedded" => {
            let path = reader.read(
                "store.path",
                "okebayar-data/gateway.redb",
                |text| (!text.trim().is_empty()).then(|| text.to_owned()),
                "give a file on a disk that lasts",
            );
            let must_exist = reader.flag("store.must_exist");
            Some(StoreSettings::Embedded {
                path: path?.into(),
                settings: RedbSettings {
                    timeout: timeout?,
                    must_exist: must_exist?,
                },
            })
        }
        "redis" => {
            let url = reader.required("store.url", "give redis://host:6379 or rediss://host:6379");
            let partitions = reader.count("store.partitions", "64");
            let event_retention = reader.duration("store.event_retention", "168h");
            Some(StoreSettings::Redis(RedisSettings {
                url: url?,
                partitions: u64::try_from(partitions?).ok()?,
                timeout: timeout?,
                event_retention: event_retention?,
            }))
        }
        other => {
            reader.fault(
                "store.kind",
                format!("{other:?} is no store"),
                "give embedded or redis",
            );
            None
        }
    }
}

fn read_guard(reader: &mut Reader) -> Option<GuardSettings> {
    let lasts = reader.duration_or_zero("store.failover_guard", "24h");
    let clock_skew = reader.duration("store.clock_skew", "1m");
    Some(GuardSettings {
        lasts: lasts?,
        clock_skew: clock_skew?,
    })
}

fn read_limits(reader: &mut Reader) -> Option<Limits> {
    let sending = reader.count("limits.sending", "64");
    let queue = reader.count("limits.queue", "1024");
    let queue_timeout = reader.span("limits.queue_timeout", "10s");
    let checking = reader.count("limits.checking", "8");
    let checking_max = reader.count("limits.checking_max", "64");
    let watchers = reader.count("limits.watchers", "10000");
    let waiters = reader.count("limits.waiters", "10000");
    Some(Limits {
        sending: sending?,
        queue: queue?,
        queue_timeout: queue_timeout?,
        checking: checking?,
        checking_max: checking_max?,
        watchers: watchers?,
        waiters: waiters?,
    })
}

fn read_schedule(reader: &mut Reader, sending: Option<SignedDuration>) -> Option<Schedule> {
    let unknown_first = reader.duration("checks.unknown_first", "10s");
    let pending_first = reader.duration("checks.pending_first", "5m");
    let delays = reader.durations("checks.delays", "1m, 2m, 4m, 8m, 15m, 30m");
    let day_delay = reader.duration("checks.day_delay", "1h");
    let day_ends = reader.duration("checks.day_ends", "24h");
    let late_delay = reader.duration("checks.late_delay", "6h");
    let give_up_after = reader.duration("checks.give_up_after", "72h");
    let unconfigured_grace = reader.duration("checks.unconfigured_grace", "10m");
    let serial_number = reader.durations("checks.serial_number", "1m, 5m, 15m, 1h, 6h, 24h");
    let interval_min = reader.duration("checks.interval_min", "60s");
    let callback_interval_min = reader.duration("checks.callback_interval_min", "5s");
    let age_max = read_age_max(reader);
    Some(Schedule {
        sending: sending?,
        unknown_first: unknown_first?,
        pending_first: pending_first?,
        delays: delays?,
        day_delay: day_delay?,
        day_ends: day_ends?,
        late_delay: late_delay?,
        give_up_after: give_up_after?,
        unconfigured_grace: unconfigured_grace?,
        serial_number: serial_number?,
        interval_min: interval_min?,
        callback_interval_min: callback_interval_min?,
        age_max: age_max?,
    })
}

/// OKEBAYAR may take a check of something older for a new sale.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);

fn read_age_max(reader: &mut Reader) -> Option<SignedDuration> {
    let key = "checks.age_max";
    let age_max = reader.duration(key, "720h")?;
    if age_max > AGE_MAX {
        let problem = format!("{age_max:#}: OKEBAYAR may take so late a check for a new sale");
        reader.fault(key, problem, "give at most 720h");
    }
    Some(age_max)
}

fn read_rules(
    reader: &mut Reader,
    send_within: Option<Duration>,
    not_received_after: Option<SignedDuration>,
    guard: Option<GuardSettings>,
) -> Option<Rules> {
    let doubtful_gap = reader.duration("checks.doubtful_gap", "5m");
    // The rule counts from the POST, which leaves at the latest then.
    let latest = SignedDuration::try_from(send_within?).ok()?;
    Some(Rules {
        doubtful_gap: doubtful_gap?,
        not_received_after: not_received_after?.checked_add(latest)?,
        clock_skew: guard?.clock_skew,
    })
}

fn read_drain(reader: &mut Reader, least: Option<SignedDuration>) -> Option<Duration> {
    // Read before the sum is looked at: a fault in a part of the sum makes no key unknown.
    let default = least.map_or_else(
        || "1m".to_owned(),
        |least| format!("{}ms", least.as_millis()),
    );
    let drain = reader.duration("shutdown.drain", &default)?;
    let least = least?;
    if drain < least {
        reader.fault(
            "shutdown.drain",
            format!("{drain:#} is shorter than a purchase may take"),
            format!("give at least {least:#}: limits.queue_timeout + store.timeout + the longest accounts.*.timeout + checks.sending_margin"),
        );
    }
    Some(drain.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 3] = [
        ("accounts.main.url", "https://okebayar.example/api"),
        ("accounts.main.userid", "member"),
        ("accounts.main.pin", "1234"),
    ];

    fn with(changes: &[(&'static str, &str)]) -> Result<Settings, Faults> {
        let pairs: BTreeMap<&str, String> = GOOD
            .iter()
            .chain(changes)
            .map(|(key, value)| (*key, (*value).to_owned()))
            .collect();
        Settings::from_pairs(pairs)
    }

    fn faults(changes: &[(&'static str, &str)]) -> String {
        with(changes).err().unwrap().to_string()
    }

    #[test]
    fn a_fault_in_the_longest_purchase_leaves_the_drain_a_known_key() {
        let told = faults(&[("limits.queue_timeout", "soon"), ("shutdown.drain", "2m")]);
        assert!(told.contains("limits.queue_timeout"), "{told}");
        assert!(!told.contains("shutdown.drain"), "{told}");
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let settings = with(&[]).unwrap();
        assert_eq!(settings.default_account.as_str(), "main");
        assert_eq!(settings.schedule.sending, SignedDuration::from_secs(68));
        assert_eq!(settings.drain, Duration::from_secs(68));
        assert_eq!(
            settings.rules.not_received_after,
            SignedDuration::from_secs(613)
        );
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let faults = faults(&[
            ("grpc.listen", "here"),
            ("limits.sending", "0"),
            ("checks.delays", "1m, soon"),
            ("accounts.main.url", "http://okebayar.example"),
            ("accounts.main.pin", ""),
            ("accounts.main.failed_codes", "204"),
            ("shutdown.drain", "1s"),
            ("grpc.lisen", "0.0.0.0:1"),
        ]);
        for key in [
            "grpc.listen",
            "limits.sending",
            "checks.delays",
            "accounts.main.url",
            "accounts.main.pin",
            "accounts.main.failed_codes",
            "grpc.lisen",
        ] {
            assert!(
                faults.contains(&format!("\n  {key}: ")),
                "{key} in {faults}"
            );
        }
        assert!(
            faults.contains("set accounts.main.allow_plain_http = true"),
            "{faults}"
        );
    }

    #[test]
    fn the_embedded_store_has_a_timeout_and_may_be_made() {
        let embedded = |changes: &[(&'static str, &str)]| match with(changes).unwrap().store {
            StoreSettings::Embedded { settings, .. } => (settings.timeout, settings.must_exist),
            StoreSettings::Redis(_) => panic!("it is not the default"),
        };
        assert_eq!(embedded(&[]), (Duration::from_secs(3), false));
        let set = [("store.must_exist", "true"), ("store.timeout", "1s")];
        assert_eq!(embedded(&set), (Duration::from_secs(1), true));
        let of_redis = [
            ("store.kind", "redis"),
            ("store.url", "redis://localhost"),
            ("store.must_exist", "true"),
        ];
        assert!(faults(&of_redis).contains("store.must_exist: there is no such key"));
    }

    #[test]
    fn a_drain_shorter_than_a_purchase_is_refused() {
        assert!(faults(&[("shutdown.drain", "67s")]).contains("shutdown.drain: "));
        assert!(with(&[("shutdown.drain", "68s")]).is_ok());
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for url in [
            "http://127.0.0.1:8090/",
            "http://[::1]:8090/",
            "http://localhost/",
        ] {
            assert!(with(&[("accounts.main.url", url)]).is_ok(), "{url}");
        }
        assert!(faults(&[("accounts.main.url", "http://10.0.0.1/")]).contains("plain http"));
    }

    #[test]
    fn the_default_account_must_be_named_among_several() {
        let second = [
            ("accounts.second.url", "https://okebayar.example/api"),
            ("accounts.second.userid", "member2"),
            ("accounts.second.pin", "1234"),
        ];
        assert!(faults(&second).contains("default_account: there are several accounts"));
        let named = [&second[..], &[("default_account", "second")]].concat();
        assert_eq!(with(&named).unwrap().default_account.as_str(), "second");
    }

    #[test]
    fn one_user_id_is_one_account() {
        let second = |user_id| {
            [
                ("default_account", "main"),
                ("accounts.second.url", "https://okebayar.example/api"),
                ("accounts.second.userid", user_id),
                ("accounts.second.pin", "1234"),
            ]
        };
        assert!(with(&second("member2")).is_ok());
        for same in ["member", "MEMBER"] {
            let faults = faults(&second(same));
            assert!(
                faults.contains("accounts.second.userid: it is the user id of account main"),
                "{faults}"
            );
        }
    }

    #[test]
    fn a_former_name_is_nobody_elses_name() {
        let second = [
            ("default_account", "main"),
            ("accounts.second.url", "https://okebayar.example/api"),
            ("accounts.second.userid", "member2"),
            ("accounts.second.pin", "1234"),
        ];
        let formerly = |main, others| {
            let former = [
                ("accounts.main.formerly", main),
                ("accounts.second.formerly", others),
            ];
            with(&[&second[..], &former[..]].concat())
        };
        let settings = formerly("old, older", "x").unwrap();
        let names = settings.identity(Uuid::nil()).names;
        let name = |text| AccountName::parse(text).unwrap();
        assert_eq!(names.current(&name("older")), &name("main"));
        assert_eq!(names.current(&name("x")), &name("second"));
        for (main, others, problem) in [
            (
                "second",
                "",
                "accounts.main.formerly: second is the name of a configured account",
            ),
            (
                "main",
                "",
                "accounts.main.formerly: main is the name of a configured account",
            ),
            (
                "old, old",
                "",
                "accounts.main.formerly: old stands in accounts.main.formerly too",
            ),
            (
                "old",
                "old",
                "accounts.second.formerly: old stands in accounts.main.formerly too",
            ),
            (
                "Old One",
                "",
                "accounts.main.formerly: \"Old One\" cannot be used",
            ),
        ] {
            let faults = formerly(main, others).err().unwrap().to_string();
            assert!(faults.contains(problem), "{faults}");
        }
    }

    #[test]
    fn a_secret_in_the_toml_file_is_refused_without_being_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[accounts.main]\npin = \"hush-hush\"\n").unwrap();
        let faults = Settings::load(Some(file.path())).err().unwrap().to_string();
        assert!(
            faults.contains("accounts.main.pin: a secret stands in the TOML file"),
            "{faults}"
        );
        assert!(!faults.contains("hush-hush"));
    }
}
