//! A bench: a gateway over a store that fails on demand, and a transport that counts POSTs.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, tz::TimeZone};
use okebayar_gateway::{
    accounts::{Upstream, Upstreams},
    ambient::Ambient,
    config::Limits,
    failover::GuardSettings,
    gateway::{Gateway, GatewaySettings},
    ledger::{Wait, WaitUntil},
    okebayar::{
        account::{Account, Credentials, TransactionCodes},
        body::Body,
        client::Client,
        deployment_codes::CodeLists,
        format::Format,
        transport::{HttpAnswer, Transport, TransportError},
    },
    purchase::{Purchase, PurchaseError},
    retention::RetentionSettings,
    store::{Identity, Store, redb::RedbStore},
    telemetry::Metrics,
    transaction::{AccountName, AccountNames, Intent, Transaction},
};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::support::{
    core::{RULES, schedule, wish},
    faulty_store::{Fault, FaultyStore, RoundTrips},
    process::PATIENCE,
};

/// A transport that answers every purchase with success, and counts POSTs.
#[derive(Default)]
pub struct CountingTransport {
    pub posts: AtomicUsize,
}

#[async_trait]
impl Transport for CountingTransport {
    async fn post(&self, body: Body) -> Result<HttpAnswer, TransportError> {
        self.posts.fetch_add(1, Ordering::SeqCst);
        let asked: serde_json::Value = serde_json::from_slice(&body.into_bytes()).unwrap();
        let answer = serde_json::json!({
            "tracecode": "t1",
            "transactionstatus": "000",
            "serialnumber": "123",
            "price": "10500",
            "referencecode": asked["referencecode"],
        });
        Ok(HttpAnswer {
            status: 200,
            body: answer.to_string().into_bytes(),
        })
    }
}

pub struct Bench {
    pub gateway: Gateway,
    pub store: Arc<FaultyStore>,
    pub transport: Arc<CountingTransport>,
    pub _folder: tempfile::TempDir,
}

pub fn account() -> AccountName {
    AccountName::parse("main").unwrap()
}

pub async fn bench(commits: &[Fault], loads: &[Fault]) -> Bench {
    build(commits, loads, Duration::from_millis(20), retention()).await
}

/// Builds a gateway whose waiting callers read the store at this interval.
pub async fn bench_that_polls(interval: Duration) -> Bench {
    build(&[], &[], interval, retention()).await
}

/// Builds a bench without faults, and with this retention.
pub async fn bench_ending(retention: RetentionSettings) -> Bench {
    build(&[], &[], Duration::from_millis(20), retention).await
}

async fn build(
    commits: &[Fault],
    loads: &[Fault],
    interval: Duration,
    retention: RetentionSettings,
) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity {
        accounts: BTreeMap::from([(account(), String::new())]),
        names: AccountNames::default(),
        epoch: uuid::Uuid::from_u128(1),
    };
    let store = Arc::new(FaultyStore {
        inner: RedbStore::open(&folder.path().join("store.redb"), &identity)
            .await
            .unwrap(),
        round_trips: RoundTrips::default(),
        commits: Mutex::new(commits.iter().copied().collect()),
        loads: Mutex::new(loads.iter().copied().collect()),
        go_on: Notify::new(),
        waiting: Notify::new(),
        late: Mutex::new(None),
        is_unfit: AtomicBool::new(false),
        delayed: Mutex::new(None),
        clock_ahead: Mutex::new(None),
        clock_reads: AtomicUsize::new(0),
        note_reads: AtomicUsize::new(0),
        note_ends: Mutex::default(),
        ends_records: AtomicBool::new(true),
    });
    let transport = Arc::new(CountingTransport::default());
    let client = Client::new(
        Account {
            format: Format::Json,
            credentials: Credentials {
                user_id: "member".into(),
                pin: "1234".into(),
            },
            transaction_codes: TransactionCodes {
                prepaid: "p".into(),
                inquiry: "i".into(),
                payment: "i".into(),
                check: "c".into(),
                balance: "OkeBayar-cek-balance".into(),
                echo: "OkeBayar-echo".into(),
            },
            code_lists: CodeLists::default(),
            json_numbers: true,
            omits_hyphens: false,
            verify_user_id: true,
            zone: TimeZone::UTC,
        },
        Arc::clone(&transport) as Arc<dyn Transport>,
    );
    let upstream = Upstream {
        client,
        timeout: Duration::from_secs(20),
        callback_trusted: false,
        own_inquiry_reference: false,
        unknown_price_refused: false,
        formerly: Vec::new(),
    };
    let settings = GatewaySettings {
        limits: Limits {
            sending: 4,
            queue: 4,
            queue_timeout: Duration::from_millis(300),
            checking: 1,
            watchers: 4,
            watch_heartbeat: Duration::from_secs(20),
            watch_age: Duration::from_mins(30),
            connection_age: Duration::from_mins(25),
            waiters: 4,
            checking_max: 1,
        },
        send_within: Duration::from_secs(10),
        schedule: schedule(),
        rules: RULES,
        guard: GuardSettings {
            lasts: SignedDuration::from_hours(24),
            clock_skew: SignedDuration::from_mins(1),
        },
        retention,
        poll_interval: interval,
        safety_poll_interval: interval,
        metrics: Metrics::default(),
    };
    let gateway = Gateway::new(
        Arc::clone(&store) as Arc<dyn Store>,
        Upstreams::new(BTreeMap::from([(account(), upstream)]), account()),
        settings,
        Ambient::system(),
        CancellationToken::new(),
    );
    Bench {
        gateway,
        store,
        transport,
        _folder: folder,
    }
}

/// Returns the default retention; nothing ends while a test runs.
pub fn retention() -> RetentionSettings {
    RetentionSettings {
        final_kept: SignedDuration::from_hours(35 * 24),
        tombstones_kept: SignedDuration::from_hours(400 * 24),
        not_sent_kept: SignedDuration::from_hours(24),
        lists_kept: SignedDuration::from_hours(400 * 24),
        renewal_interval: Duration::from_hours(6),
        interval: Duration::from_millis(20),
        clock_settles: Duration::from_hours(1),
    }
}

impl Bench {
    pub async fn buy(&self) -> Result<Arc<Transaction>, PurchaseError> {
        Ok(buy(&self.gateway, intent()).await?.transaction)
    }

    /// Starts a purchase whose next call of this method waits until `go_on`.
    pub async fn begin_late(
        &self,
        method: &'static str,
        intent: Intent,
    ) -> JoinHandle<Result<Purchase, PurchaseError>> {
        *self.store.late.lock().unwrap() = Some(method);
        let gateway = self.gateway.clone();
        let buying = tokio::spawn(async move { buy(&gateway, intent).await });
        tokio::time::timeout(PATIENCE, self.store.waiting.notified())
            .await
            .expect("the late method was never called");
        buying
    }

    /// Waits for all background tasks.
    pub async fn settle(&self) {
        let tasks = &self.gateway.tasks;
        tasks.close();
        tokio::time::timeout(Duration::from_secs(30), tasks.wait())
            .await
            .expect("a background task never ended");
        tasks.reopen();
    }

    pub fn posts(&self) -> usize {
        self.transport.posts.load(Ordering::SeqCst)
    }

    pub async fn stored(&self) -> Option<Arc<Transaction>> {
        self.store.inner.load(&intent().key()).await.unwrap()
    }
}

pub async fn buy(gateway: &Gateway, intent: Intent) -> Result<Purchase, PurchaseError> {
    let wait = Wait {
        until: WaitUntil::Answered,
        caller_deadline: None,
    };
    gateway.purchases.purchase(intent, wait).await
}

pub fn intent() -> Intent {
    wish("reference-1", "PULSA10").0
}
