//! A gateway, its store, and a sandbox, each a process of its own.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    ports,
    process::{CANARY_PIN, Process},
    redis::Redis,
};

pub use super::{calls::*, gateway::*};

pub const USER_ID: &str = "test-member";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    Embedded,
    Redis,
}

/// Scaled times; a POST may take as long as a busy machine needs.
const SCALED: [(&str, &str); 22] = [
    ("allow_short_times", "true"),
    ("accounts.main.timeout", "20s"),
    ("accounts.main.connect_timeout", "10s"),
    ("limits.queue_timeout", "5s"),
    ("checks.sending_margin", "200ms"),
    ("checks.unknown_first", "50ms"),
    ("checks.pending_first", "50ms"),
    ("checks.delays", "100ms,200ms,400ms"),
    ("checks.day_delay", "500ms"),
    ("checks.day_ends", "20s"),
    ("checks.late_delay", "1s"),
    ("checks.give_up_after", "60s"),
    (
        "checks.serial_number",
        "100ms,200ms,400ms,800ms,1600ms,3200ms",
    ),
    ("checks.interval_min", "20ms"),
    ("checks.callback_interval_min", "20ms"),
    ("checks.doubtful_gap", "300ms"),
    ("checks.not_received_after", "500ms"),
    ("checks.poll_interval", "50ms"),
    ("events.poll_interval", "2s"),
    ("events.safety_poll_interval", "2s"),
    ("callbacks.rate_per_second", "100000"),
    // All gateways of a test read one clock.
    ("store.clock_skew", "100ms"),
];

/// The environment of a gateway; tests start and stop the gateway itself.
pub struct World {
    settings: BTreeMap<String, String>,
    /// Environment variables of the gateway besides its settings.
    pub variables: Vec<(String, String)>,
    pub sandbox_port: u16,
    pub callbacks_port: u16,
    pub sandbox: Option<Process>,
    pub redis: Option<Redis>,
    secret: String,
    pub folder: TempDir,
}

impl World {
    /// Creates a world with a store and a sandbox.
    pub async fn new(kind: StoreKind) -> Self {
        let mut world = Self::without_sandbox(kind).await;
        world.start_sandbox().await;
        world
    }

    /// Creates a world with a store, and an address where no sandbox listens yet.
    pub async fn without_sandbox(kind: StoreKind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings: BTreeMap<String, String> = SCALED
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let redis = match kind {
            StoreKind::Embedded => {
                settings.insert("store.kind".into(), "embedded".into());
                None
            }
            StoreKind::Redis => {
                let redis = Redis::start(folder.path()).await;
                settings.insert("store.kind".into(), "redis".into());
                settings.insert("store.url".into(), redis.url.clone());
                Some(redis)
            }
        };
        settings.insert("store.timeout".into(), "10s".into());
        let (sandbox_port, callbacks_port) = (ports::free(), ports::free());
        settings.insert("grpc.listen".into(), "127.0.0.1:0".into());
        settings.insert("admin.listen".into(), "127.0.0.1:0".into());
        settings.insert(
            "callbacks.listen".into(),
            format!("127.0.0.1:{callbacks_port}"),
        );
        settings.insert(
            "accounts.main.url".into(),
            format!("http://127.0.0.1:{sandbox_port}/"),
        );
        settings.insert("accounts.main.userid".into(), USER_ID.into());
        settings.insert("accounts.main.pin".into(), CANARY_PIN.into());
        let secret = "callback-secret_of~the.tests".to_owned();
        Self {
            settings,
            variables: Vec::new(),
            sandbox_port,
            callbacks_port,
            sandbox: None,
            redis,
            secret,
            folder,
        }
    }

    pub fn set(&mut self, key: &str, value: &str) -> &mut Self {
        self.settings.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Returns the number of partitions of a Redis.
    pub fn partitions(&self) -> u64 {
        let set = self.settings.get("store.partitions");
        set.map_or(64, |text| text.parse().unwrap())
    }

    /// Returns a setting, which must exist.
    pub fn setting(&self, key: &str) -> String {
        self.settings[key].clone()
    }

    pub fn unset(&mut self, key: &str) -> &mut Self {
        self.settings.remove(key);
        self
    }

    /// Renames an account of the configuration.
    pub fn rename_account(&mut self, from: &str, to: &str) -> &mut Self {
        for (leaf, value) in self.remove_account(from) {
            self.set(&format!("accounts.{to}.{leaf}"), &value);
        }
        self
    }

    /// Removes an account from the configuration; returns its keys and values.
    pub fn remove_account(&mut self, name: &str) -> Vec<(String, String)> {
        let section = format!("accounts.{name}.");
        let mut removed = Vec::new();
        self.settings
            .retain(|key, value| match key.strip_prefix(&section) {
                Some(leaf) => {
                    removed.push((leaf.to_owned(), value.clone()));
                    false
                }
                None => true,
            });
        removed
    }

    /// Adds an account beside `main`, which stays the default, with a sandbox of its own.
    pub async fn add_account(&mut self, name: &str) -> Process {
        let (port, user_id) = (ports::free(), "second-member");
        let sandbox = self.sandbox_with(port, user_id, &[]).await;
        let url = format!("http://127.0.0.1:{port}/");
        self.set("default_account", "main");
        for (key, value) in [
            ("url", url.as_str()),
            ("userid", user_id),
            ("pin", CANARY_PIN),
        ] {
            self.set(&format!("accounts.{name}.{key}"), value);
        }
        sandbox
    }

    /// Postpones scheduled checks, so that callbacks settle transactions.
    pub fn check_rarely(&mut self) -> &mut Self {
        self.set("checks.unknown_first", "1h")
            .set("checks.pending_first", "1h")
    }

    pub async fn start_sandbox(&mut self) {
        self.sandbox = Some(self.sandbox_with(self.sandbox_port, USER_ID, &[]).await);
    }

    /// Starts the sandbox; it settles transactions after this time, such as `2s`.
    pub async fn start_slow_sandbox(&mut self, settle_after: &str) {
        let slow = ["--settle-after", settle_after];
        self.sandbox = Some(self.sandbox_with(self.sandbox_port, USER_ID, &slow).await);
    }

    /// Deletes everything in Redis.
    pub async fn flush_redis(&self) {
        self.redis.as_ref().unwrap().command(&["FLUSHALL"]).await;
    }

    /// Starts a sandbox on a port for a member, with additional arguments.
    pub async fn sandbox_with(&self, port: u16, user_id: &str, more: &[&str]) -> Process {
        let (listen, deposit) = (format!("127.0.0.1:{port}"), DEPOSIT.to_string());
        let callback_url = self.callback_url();
        let mut arguments = vec!["sandbox", "--listen", &listen, "--userid", user_id];
        arguments.extend(["--late-after", "3s"]);
        if !more.contains(&"--settle-after") {
            arguments.extend(["--settle-after", "300ms"]);
        }
        if !more.contains(&"--deposit") {
            arguments.extend(["--deposit", &deposit]);
        }
        if !more.contains(&"--callback-url") {
            arguments.extend(["--callback-url", &callback_url]);
        }
        arguments.extend(more);
        let pin = [("OKEBAYAR_SANDBOX_PIN".to_owned(), CANARY_PIN.to_owned())];
        let mut sandbox = Process::start(BINARY, &arguments, &pin, self.folder.path());
        sandbox
            .line(|line| line.contains("listening").then_some(()))
            .await;
        sandbox
    }

    /// Returns the gateway's environment.
    pub fn environment(&self) -> Vec<(String, String)> {
        let variable = |key: &String| {
            format!(
                "OKEBAYAR_GATEWAY__{}",
                key.to_ascii_uppercase().replace('.', "__")
            )
        };
        let settings = self
            .settings
            .iter()
            .map(|(key, value)| (variable(key), value.clone()));
        settings.chain(self.variables.iter().cloned()).collect()
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn store_file(&self) -> PathBuf {
        self.path().join("okebayar-data/gateway.redb")
    }

    pub async fn start_gateway(&self) -> Gateway {
        Gateway::start(&["serve"], &self.environment(), self.path()).await
    }

    /// Starts a gateway whose disk can be filled: see `Process::limit_file_size`.
    pub async fn start_gateway_on_full_disk(&self) -> Gateway {
        // The signal stays ignored after exec, so that a write fails instead.
        let script = "trap '' XFSZ; exec \"$0\" serve";
        let arguments = ["-c", script, BINARY];
        Gateway::start_release("sh", &arguments, &self.environment(), self.path()).await
    }

    /// Starts a second gateway, whose callbacks have an address of their own.
    pub async fn start_replica(&self) -> Gateway {
        self.start_release(BINARY).await
    }

    /// Starts a second gateway of another release.
    pub async fn start_release(&self, binary: &str) -> Gateway {
        let mut environment = self.environment();
        let allowed = "OKEBAYAR_GATEWAY__ALLOW_SHORT_TIMES";
        if !knows_short_times(binary) {
            environment.retain(|(name, _)| name != allowed);
        }
        let listen = "OKEBAYAR_GATEWAY__CALLBACKS__LISTEN".to_owned();
        environment.push((listen, "127.0.0.1:0".to_owned()));
        Gateway::start_release(binary, &["serve"], &environment, self.path()).await
    }

    pub fn callback_url(&self) -> String {
        match self.settings.get("accounts.main.callback_secret") {
            Some(secret) => format!(
                "http://127.0.0.1:{}/callbacks/main/{secret}",
                self.callbacks_port
            ),
            None => format!("http://127.0.0.1:{}/callbacks/main", self.callbacks_port),
        }
    }

    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Returns the sandbox's entry of a reference code once it has reached at least this count:
    /// `received=1`, for example.
    pub async fn ledger_when(&self, reference_code: &str, at_least: &str) -> Ledger {
        let entry = self
            .ask_sandbox(&format!("ledger/{reference_code}?{at_least}"))
            .await;
        let count = |name: &str| entry[name].as_u64().unwrap();
        Ledger {
            received: count("received"),
            executed: count("executed"),
            checks: count("checks"),
            checks_in_flight: count("checks_in_flight"),
            parameters: entry["parameters"].clone(),
        }
    }

    /// Makes the sandbox misprint fields in answers about an account number or, for `*`, in all.
    pub async fn misprint(&self, account_number: &str, fields: impl Into<String>) {
        let url = format!(
            "http://127.0.0.1:{}/misprints/{account_number}",
            self.sandbox_port
        );
        let set = reqwest::Client::new().put(url).body(fields.into()).send();
        assert_eq!(set.await.unwrap().status(), 204);
    }

    /// Sets the sandbox's billing of a customer or, for `*`, of every customer.
    pub async fn bill_as(&self, account_number: &str, billing: Value) {
        let url = format!(
            "http://127.0.0.1:{}/bills/{account_number}",
            self.sandbox_port
        );
        let body = billing.to_string();
        let set = reqwest::Client::new().put(url).body(body).send();
        assert_eq!(set.await.unwrap().status(), 204);
    }

    /// Returns the bills that were paid more than once.
    pub async fn paid_twice(&self) -> Vec<Value> {
        let bills = self.ask_sandbox("bills").await;
        let paid = bills.as_array().unwrap().iter();
        paid.filter(|bill| bill["reference_codes"].as_array().unwrap().len() > 1)
            .cloned()
            .collect()
    }

    /// Sets the sandbox's status code for checks of unknown reference codes.
    pub async fn not_found_code(&self, code: &str) {
        let url = format!(
            "http://127.0.0.1:{}/not-found-code/{code}",
            self.sandbox_port
        );
        let set = reqwest::Client::new().put(url).send();
        assert_eq!(set.await.unwrap().status(), 204);
    }

    /// Returns a resource of the sandbox's test interface.
    pub async fn ask_sandbox(&self, path: &str) -> Value {
        let url = format!("http://127.0.0.1:{}/{path}", self.sandbox_port);
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    pub async fn ledger(&self, reference_code: &str) -> Ledger {
        self.ledger_when(reference_code, "").await
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Ledger {
    pub received: u64,
    pub executed: u64,
    pub checks: u64,
    /// Checks received while a purchase or payment was being answered.
    pub checks_in_flight: u64,
    /// The fields of the last purchase or payment.
    pub parameters: Value,
}
