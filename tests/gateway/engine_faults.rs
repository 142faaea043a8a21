//! Promises 1, 2, 3 and 9 when the store loses replies: the engine over a store
//! that fails on demand, and a transport that counts POSTs.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use okebayar_gateway::{
    ambient::Ambient,
    config::Limits,
    engine::{Engine, Purchase, PurchaseError, Sent, Settings, Upstream, Wait, WaitUntil},
    okebayar::{
        client::{Account, Client},
        format::Format,
        request::{Body, Credentials, TransactionCodes},
        transport::{HttpAnswer, Transport, TransportError},
        verdict::CodeLists,
    },
    store::{
        BoundedList, CasResult, Commit, Cursor, Due, DueCheck, Events, Expiry, History, Identity,
        KnownAccounts, Lease, Listing, ListingEntry, Store, StoreError, Unindexed, Wake,
        epoch::Seals,
        guard::GuardSettings,
        redb::RedbStore,
        sold::{self, Sold},
    },
    telemetry::Metrics,
    transaction::{
        AccountName, AccountNames, AttemptToken, Change, Contents, InquiryCode, Intent,
        ProductCode, State, TraceCode, Transaction, TransactionKey,
    },
};
use tokio::{sync::Notify, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::support::{
    core::{RULES, arming, begin, schedule, wish},
    process::PATIENCE,
};

/// What happens to the next commit or load.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Nothing.
    None,
    /// The commit is stored, and its reply lost.
    ReplyLost,
    /// The commit is not stored.
    NotStored,
    /// A load fails.
    LoadFails,
    /// The commit waits until the test lets it go on, and is stored then.
    Late,
    /// The commit fails, and is stored when the test has it arrive.
    Delayed,
}

struct Faulty {
    inner: RedbStore,
    commits: Mutex<VecDeque<Fault>>,
    loads: Mutex<VecDeque<Fault>>,
    /// What late calls wait for.
    go_on: Notify,
    /// Says that a late call has begun to wait.
    waiting: Notify,
    /// The call that is late, by the name of its method.
    late: Mutex<Option<&'static str>>,
    /// The verification fails.
    is_unfit: AtomicBool,
    /// A delayed commit.
    delayed: Mutex<Option<Change>>,
}

impl Faulty {
    /// Waits, once, where the test made this method late.
    async fn wait_if_late(&self, method: &'static str) {
        let is_late = self
            .late
            .lock()
            .unwrap()
            .take_if(|late| *late == method)
            .is_some();
        if is_late {
            self.waiting.notify_one();
            self.go_on.notified().await;
        }
    }
}

fn lost() -> StoreError {
    StoreError::Indeterminate("the test lost it".to_owned())
}

#[async_trait]
impl Store for Faulty {
    async fn epoch(&self, known: Option<&str>) -> Result<String, StoreError> {
        self.wait_if_late("epoch").await;
        self.inner.epoch(known).await
    }
    async fn commit(&self, change: &Change, history: Option<&str>) -> Result<Commit, StoreError> {
        let fault = self.commits.lock().unwrap().pop_front();
        match fault {
            Some(Fault::ReplyLost) => self.inner.commit(change, history).await.and(Err(lost())),
            Some(Fault::Late) => {
                self.go_on.notified().await;
                self.inner.commit(change, history).await
            }
            None | Some(Fault::None) => self.inner.commit(change, history).await,
            Some(Fault::Delayed) => {
                *self.delayed.lock().unwrap() = Some(change.clone());
                Err(lost())
            }
            Some(_) => Err(lost()),
        }
    }
    async fn load(&self, key: &TransactionKey) -> Result<Option<Arc<Transaction>>, StoreError> {
        self.wait_if_late("load").await;
        let fault = self.loads.lock().unwrap().pop_front();
        if fault.is_some() {
            Err(lost())
        } else {
            self.inner.load(key).await
        }
    }
    async fn history(&self, key: &TransactionKey, after: u64) -> Result<History, StoreError> {
        self.inner.history(key, after).await
    }
    async fn due(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        limit: usize,
    ) -> Result<Due, StoreError> {
        self.inner.due(now, accounts, limit).await
    }
    async fn unindexed(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        page: usize,
    ) -> Result<Unindexed, StoreError> {
        self.inner.unindexed(now, accounts, page).await
    }
    async fn lease_check(
        &self,
        check: &DueCheck,
        now: Timestamp,
        lease: Lease,
    ) -> Result<Option<Arc<Transaction>>, StoreError> {
        self.inner.lease_check(check, now, lease).await
    }
    async fn listen(&self, wake: Wake<'_>) -> Result<(), StoreError> {
        self.inner.listen(wake).await
    }
    async fn index_trace(
        &self,
        key: &TransactionKey,
        account: &AccountName,
        trace: &TraceCode,
    ) -> Result<(), StoreError> {
        self.inner.index_trace(key, account, trace).await
    }
    async fn find_by_trace(
        &self,
        account: &AccountName,
        trace: &TraceCode,
    ) -> Result<Option<TransactionKey>, StoreError> {
        self.inner.find_by_trace(account, trace).await
    }
    async fn list(&self, listing: &Listing) -> Result<Vec<ListingEntry>, StoreError> {
        self.inner.list(listing).await
    }
    async fn count(
        &self,
        state: &'static str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<u64, StoreError> {
        self.inner.count(state, from_ms, to_ms).await
    }
    async fn events_head(&self) -> Result<Cursor, StoreError> {
        self.inner.events_head().await
    }
    async fn events_in(&self, cursor: &Cursor, partitions: &[usize]) -> Result<Events, StoreError> {
        self.inner.events_in(cursor, partitions).await
    }
    fn partition_of(&self, key: &TransactionKey) -> usize {
        self.inner.partition_of(key)
    }
    async fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.wait_if_late("note").await;
        self.inner.note(name).await
    }
    async fn put_note(
        &self,
        name: &str,
        from: Option<&str>,
        to: &str,
        keep: Expiry,
    ) -> Result<CasResult, StoreError> {
        self.inner.put_note(name, from, to, keep).await
    }
    async fn seals(&self) -> Result<Seals, StoreError> {
        self.inner.seals().await
    }
    async fn seal(
        &self,
        from: &[Option<String>],
        id: &str,
        keep: Expiry,
    ) -> Result<(), StoreError> {
        self.inner.seal(from, id, keep).await
    }
    async fn push(&self, list: BoundedList, item: &str) -> Result<Vec<String>, StoreError> {
        self.inner.push(list, item).await
    }
    async fn items_from(
        &self,
        list: BoundedList,
        start: usize,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.inner.items_from(list, start, limit).await
    }
    async fn account_names(&self) -> Result<KnownAccounts, StoreError> {
        self.inner.account_names().await
    }
    async fn listeners(&self) -> Result<Option<u64>, StoreError> {
        self.inner.listeners().await
    }
    async fn verify(&self) -> Result<(), StoreError> {
        if self.is_unfit.load(Ordering::SeqCst) {
            return Err(lost());
        }
        self.inner.verify().await
    }
}

/// Sells everything at once, and counts.
#[derive(Default)]
struct Counting {
    posts: AtomicUsize,
}

#[async_trait]
impl Transport for Counting {
    async fn post(&self, body: Body) -> Result<HttpAnswer, TransportError> {
        self.posts.fetch_add(1, Ordering::SeqCst);
        let asked: serde_json::Value = serde_json::from_slice(&body.into_bytes()).unwrap();
        let answer = serde_json::json!({
            "tracecode": "t1",
            "transactionstatus": "000",
            "serialnumber": "123",
            "referencecode": asked["referencecode"],
        });
        Ok(HttpAnswer {
            status: 200,
            body: answer.to_string().into_bytes(),
        })
    }
}

struct Bench {
    engine: Arc<Engine>,
    store: Arc<Faulty>,
    transport: Arc<Counting>,
    _folder: tempfile::TempDir,
}

fn account() -> AccountName {
    AccountName::parse("main").unwrap()
}

async fn bench(commits: &[Fault], loads: &[Fault]) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity {
        accounts: BTreeMap::from([(account(), String::new())]),
        names: AccountNames::default(),
        epoch: uuid::Uuid::from_u128(1),
    };
    let store = Arc::new(Faulty {
        inner: RedbStore::open(&folder.path().join("store.redb"), &identity)
            .await
            .unwrap(),
        commits: Mutex::new(commits.iter().copied().collect()),
        loads: Mutex::new(loads.iter().copied().collect()),
        go_on: Notify::new(),
        waiting: Notify::new(),
        late: Mutex::new(None),
        is_unfit: AtomicBool::new(false),
        delayed: Mutex::new(None),
    });
    let transport = Arc::new(Counting::default());
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
        formerly: Vec::new(),
    };
    let settings = Settings {
        default_account: account(),
        limits: Limits {
            sending: 4,
            queue: 4,
            queue_timeout: Duration::from_millis(300),
            checking: 1,
            watchers: 4,
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
        poll_interval: Duration::from_millis(20),
        safety_poll_interval: Duration::from_millis(20),
        metrics: Metrics::default(),
    };
    let engine = Engine::new(
        Arc::clone(&store) as Arc<dyn Store>,
        BTreeMap::from([(account(), upstream)]),
        settings,
        Ambient::system(),
        CancellationToken::new(),
    );
    Bench {
        engine,
        store,
        transport,
        _folder: folder,
    }
}

impl Bench {
    async fn buy(&self) -> Result<Arc<Transaction>, PurchaseError> {
        Ok(buy(&self.engine, intent()).await?.transaction)
    }

    /// Begins a purchase that waits in its next call of this method until `go_on`.
    async fn begin_late(
        &self,
        method: &'static str,
        intent: Intent,
    ) -> JoinHandle<Result<Purchase, PurchaseError>> {
        *self.store.late.lock().unwrap() = Some(method);
        let engine = Arc::clone(&self.engine);
        let buying = tokio::spawn(async move { buy(&engine, intent).await });
        tokio::time::timeout(PATIENCE, self.store.waiting.notified())
            .await
            .expect("it is never called");
        buying
    }

    /// Waits for everything that goes on in the background.
    async fn settle(&self) {
        let tasks = self.engine.tasks();
        tasks.close();
        tokio::time::timeout(Duration::from_secs(30), tasks.wait())
            .await
            .expect("a task never ends");
        tasks.reopen();
    }

    fn posts(&self) -> usize {
        self.transport.posts.load(Ordering::SeqCst)
    }

    async fn stored(&self) -> Option<Arc<Transaction>> {
        self.store.inner.load(&intent().key()).await.unwrap()
    }
}

async fn buy(engine: &Arc<Engine>, intent: Intent) -> Result<Purchase, PurchaseError> {
    let wait = Wait {
        until: WaitUntil::Answered,
        caller_deadline: None,
    };
    engine.purchase(intent, wait).await
}

fn intent() -> Intent {
    wish("reference-1", "PULSA10").0
}

#[tokio::test]
async fn a_claim_whose_reply_was_lost_is_read_back_and_sent_once() {
    let bench = bench(&[Fault::ReplyLost], &[]).await;
    let transaction = bench.buy().await.unwrap();
    assert!(matches!(
        transaction.standing().state,
        State::Succeeded { .. }
    ));
    assert_eq!(bench.posts(), 1);
    assert_eq!(bench.buy().await.unwrap().key(), transaction.key());
    assert_eq!(bench.posts(), 1);
}

#[tokio::test]
async fn a_claim_that_was_not_stored_sends_nothing() {
    let bench = bench(&[Fault::NotStored], &[]).await;
    assert!(matches!(
        bench.buy().await,
        Err(PurchaseError::NotClaimed(_))
    ));
    bench.settle().await;
    assert_eq!(bench.posts(), 0);
    assert!(bench.stored().await.is_none());
    bench.buy().await.unwrap();
    assert_eq!(bench.posts(), 1);
}

#[tokio::test]
async fn a_claim_that_cannot_be_read_back_is_given_up_as_not_sent() {
    let bench = bench(
        &[Fault::ReplyLost, Fault::NotStored],
        &[Fault::LoadFails; 3],
    )
    .await;
    assert!(matches!(
        bench.buy().await,
        Err(PurchaseError::NotClaimed(_))
    ));
    bench.settle().await;
    assert_eq!(bench.posts(), 0);
    assert!(matches!(
        bench.stored().await.unwrap().standing().state,
        State::NotSent(_)
    ));
    // The same reference code is armed again, and sent once.
    let transaction = bench.buy().await.unwrap();
    assert!(matches!(
        transaction.standing().state,
        State::Succeeded { .. }
    ));
    assert_eq!((transaction.attempt(), bench.posts()), (2, 1));
}

#[tokio::test]
async fn a_claim_that_is_under_way_when_its_deadline_comes_may_be_sent() {
    let bench = bench(&[Fault::Late], &[]).await;
    let wait = Wait {
        until: WaitUntil::Answered,
        caller_deadline: Some(Instant::now() + Duration::from_millis(200)),
    };
    let bought = bench.engine.purchase(intent(), wait).await;
    assert!(matches!(bought, Err(PurchaseError::OutOfTime)));
    assert!(bench.stored().await.is_none());
    assert!(bench.engine.may_have_sent(&intent().key()).await);
    bench.store.go_on.notify_one();
    bench.settle().await;
    assert_eq!(bench.posts(), 1);
}

#[tokio::test]
async fn an_outcome_is_stored_however_often_that_fails() {
    for fault in [Fault::NotStored, Fault::ReplyLost] {
        let bench = bench(&[Fault::None, fault, fault, fault], &[]).await;
        let transaction = bench.buy().await.unwrap();
        assert!(matches!(
            transaction.standing().state,
            State::Succeeded { .. }
        ));
        bench.settle().await;
        assert_eq!(bench.posts(), 1);
        let stored = bench.stored().await.unwrap();
        assert_eq!(stored.revision(), 2, "a lost reply makes no second event");
    }
}

#[tokio::test]
async fn store_that_becomes_unfit_while_a_claim_is_prepared_takes_no_claim() {
    let bench = bench(&[], &[]).await;
    let buying = bench.begin_late("epoch", intent()).await;
    bench.store.is_unfit.store(true, Ordering::SeqCst);
    bench.engine.verify_store().await.unwrap_err();
    bench.store.go_on.notify_one();
    let refused = buying.await.unwrap();
    assert!(
        matches!(refused, Err(PurchaseError::StoreUnfit(_))),
        "{refused:?}"
    );
    bench.settle().await;
    assert_eq!(bench.posts(), 0);
    assert!(bench.stored().await.is_none());
    bench.store.is_unfit.store(false, Ordering::SeqCst);
    bench.engine.verify_store().await.unwrap();
    bench.buy().await.unwrap();
    assert_eq!(bench.posts(), 1);
}

/// Two calls with one reference code: one is sent and its inquiry forgotten, while the other
/// still looks for that inquiry.
#[tokio::test]
async fn purchase_begun_while_its_inquiry_is_looked_up_is_returned_not_refused() {
    let bench = bench(&[], &[]).await;
    let mut wanted = intent();
    if let Contents::PurchasePrepaid { inquiry_code, .. } = &mut wanted.contents {
        *inquiry_code = Some(InquiryCode::parse("inquiry-1").unwrap());
    }
    let buying = bench.begin_late("note", wanted.clone()).await;
    let (_, order) = wish("reference-1", "PULSA10");
    let token = AttemptToken::new(uuid::Uuid::from_u128(7));
    let begun = Transaction::begin(wanted, order, arming(token, 0), RULES, &schedule());
    let stored = bench.store.inner.commit(&begun, None).await.unwrap();
    assert!(matches!(stored, Commit::Done));
    bench.store.go_on.notify_one();
    let joined = buying.await.unwrap().unwrap();
    assert!(joined.replayed);
    assert_eq!(bench.posts(), 0);
}

/// Makes the reference code NOT_SENT: its claim cannot be confirmed, and is given up.
async fn not_sent() -> Bench {
    let bench = bench(
        &[Fault::ReplyLost, Fault::NotStored],
        &[Fault::LoadFails; 3],
    )
    .await;
    bench.buy().await.unwrap_err();
    bench.settle().await;
    let stored = bench.stored().await.unwrap();
    assert!(matches!(stored.standing().state, State::NotSent(_)));
    bench
}

#[tokio::test]
async fn claim_that_may_yet_be_stored_over_a_not_sent_is_given_up() {
    let bench = not_sent().await;
    // The first one finds the NOT_SENT.
    let faults = [Fault::None, Fault::Delayed];
    bench.store.commits.lock().unwrap().extend(faults);
    let buying = bench.begin_late("load", intent()).await;
    bench.store.is_unfit.store(true, Ordering::SeqCst);
    bench.engine.verify_store().await.unwrap_err();
    bench.store.go_on.notify_one();
    buying.await.unwrap().unwrap_err();
    let delayed = bench.store.delayed.lock().unwrap().take().unwrap();
    let stored = bench.store.inner.commit(&delayed, None).await.unwrap();
    assert!(matches!(stored, Commit::Done));
    bench.settle().await;
    let stored = bench.stored().await.unwrap();
    assert!(
        matches!(stored.standing().state, State::NotSent(_)),
        "{stored:?}"
    );
    assert_eq!(bench.posts(), 0);
}

#[tokio::test]
async fn refusal_says_maybe_while_another_call_claims_the_reference_code() {
    let bench = not_sent().await;
    bench.store.commits.lock().unwrap().push_back(Fault::Late);
    let engine = Arc::clone(&bench.engine);
    let buying = tokio::spawn(async move { buy(&engine, intent()).await });
    let claimed = async {
        while !bench.store.commits.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, claimed).await.unwrap();
    let (other, _) = wish("reference-1", "PULSA5");
    let refused = buy(&bench.engine, other).await.unwrap_err();
    assert!(
        matches!(
            refused,
            PurchaseError::OtherContents {
                sent: Sent::Maybe,
                ..
            }
        ),
        "{refused:?}"
    );
    bench.store.go_on.notify_one();
    buying.await.unwrap().unwrap();
    assert_eq!(bench.posts(), 1);
}

fn is_refused_as_sold(bought: &Result<Purchase, PurchaseError>, of: &str) -> bool {
    matches!(bought, Err(PurchaseError::SoldByInquiry { reference_code }) if reference_code == of)
}

async fn note_sold(store: &RedbStore, what: &Sold, key: &TransactionKey) {
    let noted = sold::noted(store, what).await.unwrap();
    let noting = sold::note(store, what, &noted, key, &[], (Ambient::system().now)());
    assert!(noting.await.unwrap());
}

async fn inquire(engine: &Arc<Engine>) {
    let made = intent();
    let Contents::PurchasePrepaid {
        product_code,
        account_number,
        ..
    } = &made.contents
    else {
        unreachable!();
    };
    let reference_code = Some(made.reference_code);
    let asking =
        engine.inquire_prepaid(&made.account, reference_code, product_code, account_number);
    assert!(asking.await.is_err());
}

#[tokio::test]
async fn settled_sales_make_room_for_another_and_open_ones_stay() {
    let bench = bench(&[], &[]).await;
    let store = &bench.store.inner;
    let what = Sold::new(&ProductCode::parse("PULSA10").unwrap(), "81234567890");
    // What is noted of them is their reference code alone.
    for number in 0..64 {
        let other = wish(&format!("settled-{number}"), "PULSA20").0;
        let settled = buy(&bench.engine, other).await.unwrap().transaction;
        note_sold(store, &what, &settled.key()).await;
    }
    inquire(&bench.engine).await;
    let refused = buy(&bench.engine, wish("reference-2", "PULSA10").0).await;
    assert!(is_refused_as_sold(&refused, "reference-1"), "{refused:?}");

    let bench = crate::engine_faults::bench(&[], &[]).await;
    let store = &bench.store.inner;
    for number in 100..164 {
        let open = begin(number);
        store.commit(&open, None).await.unwrap();
        note_sold(store, &what, &open.transaction.key()).await;
    }
    inquire(&bench.engine).await;
    let noted = sold::noted(store, &what).await.unwrap();
    assert_eq!(noted.keys().last(), Some(&intent().key()));
    assert_eq!(noted.keys().len(), 65);
}

#[tokio::test]
async fn purchase_is_refused_while_the_sale_of_an_inquiry_is_not_stored_yet() {
    let bench = bench(&[Fault::Late], &[]).await;
    let engine = Arc::clone(&bench.engine);
    let inquiring = tokio::spawn(async move { inquire(&engine).await });
    let claiming = async {
        while !bench.store.commits.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, claiming).await.unwrap();
    for reference_code in ["reference-1", "reference-2"] {
        let other = wish(reference_code, "PULSA10").0;
        let refused = buy(&bench.engine, other).await;
        assert!(is_refused_as_sold(&refused, "reference-1"), "{refused:?}");
    }
    bench.store.go_on.notify_one();
    inquiring.await.unwrap();
    let refused = buy(&bench.engine, wish("reference-2", "PULSA10").0).await;
    assert!(is_refused_as_sold(&refused, "reference-1"), "{refused:?}");
    let other_product = buy(&bench.engine, wish("reference-3", "PULSA20").0).await;
    assert!(other_product.is_ok(), "{other_product:?}");
    assert_eq!(bench.posts(), 2);
}

#[tokio::test]
async fn sale_that_is_stored_after_a_purchase_looked_for_one_keeps_it_back() {
    let bench = bench(&[], &[]).await;
    let buying = bench.begin_late("epoch", intent()).await;
    // Another replica stores what it was sold.
    let sold = begin(2);
    let store = &bench.store.inner;
    store.commit(&sold, None).await.unwrap();
    let sold = sold.transaction;
    let order = sold.order();
    let what = Sold::new(&order.product_code, "81234567890");
    note_sold(store, &what, &sold.key()).await;
    bench.store.go_on.notify_one();
    let refused = buying.await.unwrap();
    assert!(is_refused_as_sold(&refused, "reference-2"), "{refused:?}");
    bench.settle().await;
    assert_eq!(bench.posts(), 0);
    let ours = bench.stored().await.unwrap();
    assert!(matches!(ours.standing().state, State::NotSent(_)));
}
