//! A gateway, its store, and a sandbox, each a process of its own.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use okebayar_gateway::grpc::v1::{
    GetTransactionRequest, InquirePostpaidRequest, InquirePrepaidRequest, Inquiry, Money,
    PayPostpaidRequest, PurchasePrepaidRequest, PurchasePrepaidResponse, State, Transaction,
    WatchTransactionRequest, get_transaction_request::Code, inquire_postpaid_request::Customer,
    inquiry_service_client::InquiryServiceClient,
    transaction_service_client::TransactionServiceClient,
};
use serde_json::Value;
use tempfile::TempDir;
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt;

use super::{
    ports,
    process::{CANARY_PIN, PATIENCE, Process},
    redis::Redis,
};

pub const BINARY: &str = env!("CARGO_BIN_EXE_okebayar-gateway");
pub const USER_ID: &str = "test-member";
pub const PRODUCT: &str = "PULSA10";
pub const PRODUCT_PRICE: i64 = 10_500;
pub const DEPOSIT: i64 = 1_000_000_000;

/// An ordinary account number: success at once.
pub const PLAIN: &str = "081234567890";
pub const SERIAL_NUMBER_LATER: &str = "080000000001";
pub const PENDING_THEN_SUCCESS: &str = "080000000002";
pub const PENDING_THEN_FAILURE: &str = "080000000003";
pub const CALLBACK_LOST: &str = "080000000004";
pub const ANSWER_LOST: &str = "080000000005";
pub const RESET: &str = "080000000006";
pub const ANSWER_AND_CALLBACK_LOST: &str = "080000000007";
pub const RESET_AND_CALLBACK_LOST: &str = "080000000008";
pub const PENDING_FOR_EVER: &str = "080000000009";
pub const SLOW: &str = "080000000010";

pub type Client = TransactionServiceClient<Channel>;
pub type Inquirer = InquiryServiceClient<Channel>;

/// A water bill: one number, one bill, no detail.
pub const WATER: &str = "HPDAM";
/// A meter with two bills.
pub const TWO_BILLS: &str = "512345678902";
pub const CONTACT: &str = "081299990000";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    Embedded,
    Redis,
}

/// Times scaled down; a POST may take as long as a busy machine needs.
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

/// Everything round a gateway; the gateway itself starts and ends by call.
pub struct World {
    settings: BTreeMap<String, String>,
    /// Variables of the gateway's environment beside its settings.
    pub variables: Vec<(String, String)>,
    pub sandbox_port: u16,
    pub callbacks_port: u16,
    pub sandbox: Option<Process>,
    pub redis: Option<Redis>,
    secret: String,
    pub folder: TempDir,
}

impl World {
    /// A store and a sandbox.
    pub async fn new(kind: StoreKind) -> Self {
        let mut world = Self::without_sandbox(kind).await;
        world.start_sandbox().await;
        world
    }

    /// A store, and an address where no sandbox listens yet.
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

    pub fn unset(&mut self, key: &str) -> &mut Self {
        self.settings.remove(key);
        self
    }

    /// Gives an account of the configuration another name.
    pub fn rename_account(&mut self, from: &str, to: &str) -> &mut Self {
        for (leaf, value) in self.remove_account(from) {
            self.set(&format!("accounts.{to}.{leaf}"), &value);
        }
        self
    }

    /// Takes an account out of the configuration; returns its keys and values.
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

    /// A second account beside `main`, which stays the default, with a sandbox of its own.
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

    /// Leaves settling to callbacks: scheduled checks are far away.
    pub fn check_rarely(&mut self) -> &mut Self {
        self.set("checks.unknown_first", "1h")
            .set("checks.pending_first", "1h")
    }

    pub async fn start_sandbox(&mut self) {
        self.sandbox = Some(self.sandbox_with(self.sandbox_port, USER_ID, &[]).await);
    }

    /// A sandbox on a port, for a member, with further arguments.
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

    /// The gateway's environment.
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

    /// A gateway whose disk can be made full: see `Process::limit_file_size`.
    pub async fn start_gateway_on_full_disk(&self) -> Gateway {
        // The signal stays ignored over the exec, so that a write fails instead.
        let script = "trap '' XFSZ; exec \"$0\" serve";
        let arguments = ["-c", script, BINARY];
        Gateway::start_release("sh", &arguments, &self.environment(), self.path()).await
    }

    /// A gateway beside the first, whose callbacks have an address of their own.
    pub async fn start_replica(&self) -> Gateway {
        self.start_release(BINARY).await
    }

    /// The same of another release.
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

    /// What the sandbox saw of a reference code, once it saw at least that much:
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

    /// Has the sandbox print fields otherwise, in answers about an account number or, for
    /// `*`, in all.
    pub async fn misprint(&self, account_number: &str, fields: impl Into<String>) {
        let url = format!(
            "http://127.0.0.1:{}/misprints/{account_number}",
            self.sandbox_port
        );
        let set = reqwest::Client::new().put(url).body(fields.into()).send();
        assert_eq!(set.await.unwrap().status(), 204);
    }

    /// Has the sandbox answer checks about unknown reference codes with another status code.
    pub async fn not_found_code(&self, code: &str) {
        let url = format!(
            "http://127.0.0.1:{}/not-found-code/{code}",
            self.sandbox_port
        );
        let set = reqwest::Client::new().put(url).send();
        assert_eq!(set.await.unwrap().status(), 204);
    }

    /// Has the sandbox bill a customer otherwise or, for `*`, every one.
    pub async fn bill_as(&self, account_number: &str, billing: Value) {
        let url = format!(
            "http://127.0.0.1:{}/bills/{account_number}",
            self.sandbox_port
        );
        let body = billing.to_string();
        let set = reqwest::Client::new().put(url).body(body).send();
        assert_eq!(set.await.unwrap().status(), 204);
    }

    /// The bills that were paid more than once, as the sandbox tells.
    pub async fn paid_twice(&self) -> Vec<Value> {
        let bills = self.ask_sandbox("bills").await;
        let paid = bills.as_array().unwrap().iter();
        paid.filter(|bill| bill["reference_codes"].as_array().unwrap().len() > 1)
            .cloned()
            .collect()
    }

    /// What the sandbox tells beside the API.
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
    /// Of these, the ones that came while a purchase or payment was being answered.
    pub checks_in_flight: u64,
    /// What the last purchase or payment said.
    pub parameters: Value,
}

/// Returns true for a release that wants to be told that times are short.
fn knows_short_times(binary: &str) -> bool {
    binary == BINARY || {
        let mut command = std::process::Command::new(binary);
        command.args(["serve", "--check"]);
        command.env("OKEBAYAR_GATEWAY__ALLOW_SHORT_TIMES", "true");
        let told = command.output().unwrap();
        !String::from_utf8_lossy(&told.stderr).contains("allow_short_times")
    }
}

/// A running gateway.
pub struct Gateway {
    pub grpc: SocketAddr,
    pub callbacks: SocketAddr,
    pub admin: SocketAddr,
    pub process: Process,
}

impl Gateway {
    /// Starts one, and waits until it listens.
    pub async fn start(
        arguments: &[&str],
        environment: &[(String, String)],
        folder: &Path,
    ) -> Self {
        Self::start_release(BINARY, arguments, environment, folder).await
    }

    /// Starts one by another program: another release, or a shell that becomes it.
    pub async fn start_release(
        binary: &str,
        arguments: &[&str],
        environment: &[(String, String)],
        folder: &Path,
    ) -> Self {
        let mut process = Process::start(binary, arguments, environment, folder);
        let (grpc, callbacks, admin) = process
            .line(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                let address = |name: &str| line[name].as_str()?.parse().ok();
                Some((address("grpc")?, address("callbacks")?, address("admin")?))
            })
            .await;
        Self {
            grpc,
            callbacks,
            admin,
            process,
        }
    }

    /// Waits until `/readyz` answers with a status, and returns what it says.
    pub async fn readiness(&self, status: u16) -> String {
        let asked = async {
            loop {
                let url = format!("http://{}/readyz", self.admin);
                let answer = reqwest::get(url).await.unwrap();
                let found = answer.status().as_u16();
                let text = answer.text().await.unwrap();
                if found == status {
                    return text;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .unwrap_or_else(|_| panic!("/readyz never answered {status}"))
    }

    pub async fn client(&self) -> Client {
        let channel = Channel::from_shared(format!("http://{}", self.grpc)).unwrap();
        Client::new(channel.connect().await.unwrap())
    }

    pub async fn inquirer(&self) -> Inquirer {
        let channel = Channel::from_shared(format!("http://{}", self.grpc)).unwrap();
        Inquirer::new(channel.connect().await.unwrap())
    }

    /// Inquires for a bill.
    pub async fn bill(&self, product_code: &str, account_number: &str) -> Inquiry {
        let request = question(product_code, account_number);
        let found = self.inquirer().await.inquire_postpaid(request).await;
        found.unwrap().into_inner().inquiry.unwrap()
    }

    /// Reads the transaction until it is as `wanted`.
    pub async fn until(
        &self,
        reference_code: &str,
        wanted: impl Fn(&Transaction) -> bool,
    ) -> Transaction {
        let mut client = self.client().await;
        let found = async {
            let request = WatchTransactionRequest {
                reference_code: reference_code.to_owned(),
                ..WatchTransactionRequest::default()
            };
            let mut updates = client
                .watch_transaction(request)
                .await
                .unwrap()
                .into_inner();
            let mut last = None;
            while let Some(update) = updates.message().await.unwrap() {
                let transaction = update.transaction.unwrap();
                if wanted(&transaction) {
                    return transaction;
                }
                last = Some(transaction);
            }
            panic!("the watch ended with {last:#?}");
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .expect("the transaction never came so far")
    }

    pub async fn until_final(&self, reference_code: &str) -> Transaction {
        self.until(reference_code, |transaction| transaction.r#final)
            .await
    }
}

/// A new reference code.
#[expect(
    clippy::disallowed_methods,
    reason = "a test may ask the machine for randomness"
)]
pub fn reference() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A code that tells when it was made: that long after now, or before.
pub fn minted(milliseconds: i64) -> String {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    let at = i64::try_from(now.as_millis()).unwrap() + milliseconds;
    let random = uuid::Uuid::parse_str(&reference()).unwrap().into_bytes();
    let random: [u8; 10] = random[6..].try_into().unwrap();
    uuid::Builder::from_unix_timestamp_millis(at.try_into().unwrap(), &random)
        .into_uuid()
        .to_string()
}

pub fn order(reference_code: &str, account_number: &str) -> PurchasePrepaidRequest {
    PurchasePrepaidRequest {
        reference_code: reference_code.to_owned(),
        product_code: PRODUCT.to_owned(),
        account_number: account_number.to_owned(),
        ..PurchasePrepaidRequest::default()
    }
}

/// An inquiry for a bill of somebody with one number.
pub fn question(product_code: &str, account_number: &str) -> InquirePostpaidRequest {
    InquirePostpaidRequest {
        product_code: product_code.to_owned(),
        customer: Some(Customer::AccountNumber(account_number.to_owned())),
        contact_number: CONTACT.to_owned(),
        ..InquirePostpaidRequest::default()
    }
}

/// An inquiry before a purchase under the same reference code.
pub fn prepaid_question(
    reference_code: &str,
    product_code: &str,
    account_number: &str,
) -> InquirePrepaidRequest {
    InquirePrepaidRequest {
        reference_code: reference_code.to_owned(),
        product_code: product_code.to_owned(),
        account_number: account_number.to_owned(),
        ..InquirePrepaidRequest::default()
    }
}

pub fn payment(reference_code: &str, inquiry: &Inquiry) -> PayPostpaidRequest {
    PayPostpaidRequest {
        reference_code: reference_code.to_owned(),
        inquiry_code: inquiry.inquiry_code.clone(),
        // One that cannot be told is refused whatever is stated.
        total: inquiry.total.clone().or(Some(Money {
            units: 1,
            ..Money::default()
        })),
        ..PayPostpaidRequest::default()
    }
}

pub async fn pay(
    client: &mut Client,
    reference_code: &str,
    inquiry: &Inquiry,
) -> Result<Transaction, Status> {
    let paid = client
        .pay_postpaid(payment(reference_code, inquiry))
        .await?;
    Ok(paid.into_inner().transaction.unwrap())
}

pub async fn buy(client: &mut Client, reference_code: &str, account_number: &str) -> Transaction {
    bought(
        client
            .purchase_prepaid(order(reference_code, account_number))
            .await
            .unwrap()
            .into_inner(),
    )
}

pub fn bought(response: PurchasePrepaidResponse) -> Transaction {
    response.transaction.unwrap()
}

pub async fn get(client: &mut Client, reference_code: &str) -> Result<Transaction, Status> {
    let code = Some(Code::ReferenceCode(reference_code.to_owned()));
    let request = GetTransactionRequest {
        account: String::new(),
        code,
    };
    Ok(client
        .get_transaction(request)
        .await?
        .into_inner()
        .transaction
        .unwrap())
}

/// Buys again and again until it is taken, and returns what was bought.
pub async fn buy_until_taken(
    client: &mut Client,
    reference_code: &str,
    account_number: &str,
) -> Transaction {
    let taken = async {
        loop {
            let bought_now = client.purchase_prepaid(order(reference_code, account_number));
            match bought_now.await {
                Ok(answer) if bought(answer.get_ref().clone()).state() == State::Sending => {}
                Ok(answer) => return bought(answer.into_inner()),
                Err(status) => assert_eq!(status.code(), tonic::Code::Unavailable, "{status}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, taken)
        .await
        .unwrap_or_else(|_| panic!("{reference_code} was never taken"))
}

/// Asserts that a purchase succeeded in full.
pub fn assert_succeeded(transaction: &Transaction) {
    assert_eq!(transaction.state(), State::Succeeded, "{transaction:#?}");
    assert!(transaction.r#final, "{transaction:#?}");
    assert!(!transaction.serial_number.is_empty(), "{transaction:#?}");
    assert!(!transaction.safe_to_refund && !transaction.safe_to_buy_again);
}

/// The reason and `sent` of an error's `ErrorInfo`.
pub fn error_info(status: &Status) -> (String, String) {
    let info = status
        .get_details_error_info()
        .expect("every error has an ErrorInfo");
    assert_eq!(info.domain, okebayar_gateway::grpc::ERROR_DOMAIN);
    (
        info.reason,
        info.metadata.get("sent").cloned().unwrap_or_default(),
    )
}

/// Asserts what a refused call is told: the gRPC code, the reason and `sent`.
pub fn assert_refused<T: std::fmt::Debug>(
    result: Result<T, Status>,
    code: tonic::Code,
    reason: &str,
    sent: &str,
) -> Status {
    let status = result.unwrap_err();
    assert_eq!(status.code(), code, "{status}");
    assert_eq!(error_info(&status), (reason.to_owned(), sent.to_owned()));
    status
}
