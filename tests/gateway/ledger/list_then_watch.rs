//! Lists, then watches from the cursor of the first page: nothing is missed, whatever is cut.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use okebayar_gateway::grpc::v1::{
    ListTransactionsRequest, ListTransactionsResponse, Transaction, WatchTransactionsRequest,
    WatchTransactionsResponse,
};
use redis::AsyncTypedCommands;
use tokio::sync::{Semaphore, watch};
use tonic::{Code, Status, Streaming};

use crate::support::{
    dice::Dice,
    on_both_stores,
    process::PATIENCE,
    redis::Redis,
    world::{
        CALLBACK_LOST, Client, Gateway, PENDING_THEN_FAILURE, PENDING_THEN_SUCCESS, PLAIN,
        StoreKind, World, buy, get, order, reference,
    },
};

/// The knowledge that a follower has of one transaction since it last listed.
#[derive(Default)]
struct Known {
    /// The revision that the list showed.
    listed: Option<i64>,
    /// The revisions that the watch showed, in order.
    watched: Vec<i64>,
    is_terminal: bool,
}

/// A client that lists and then watches all transactions, over connections that are cut at random.
struct Follower {
    address: String,
    dice: Dice,
    known: BTreeMap<String, Known>,
    /// The number of calls and streams that were cut.
    cuts: u32,
    /// The number of times that it had to list again.
    restarts: u32,
}

impl Follower {
    fn new(gateway: &Gateway, seed: u64) -> Self {
        Self {
            address: format!("http://{}", gateway.grpc),
            dice: Dice(seed),
            known: BTreeMap::new(),
            cuts: 0,
            restarts: 0,
        }
    }

    /// Connects anew.
    async fn client(&self) -> Client {
        Client::connect(self.address.clone()).await.unwrap()
    }

    /// Reads one page. Some calls are cut, and repeated over another connection.
    async fn page(&mut self, page_token: &str) -> ListTransactionsResponse {
        loop {
            let request = ListTransactionsRequest {
                page_size: i32::try_from(1 + self.dice.roll(60)).unwrap(),
                page_token: page_token.to_owned(),
                ..ListTransactionsRequest::default()
            };
            let mut client = self.client().await;
            let call = client.list_transactions(request);
            if self.dice.roll(4) > 0 {
                return call.await.unwrap().into_inner();
            }
            let cut_after = Duration::from_micros(self.dice.roll(8000) as u64);
            if let Ok(page) = tokio::time::timeout(cut_after, call).await {
                return page.unwrap().into_inner();
            }
            self.cuts += 1;
        }
    }

    /// Lists everything, forgets what it knew, and returns the cursor of the first page.
    async fn list(&mut self) -> String {
        self.known.clear();
        let first = self.page("").await;
        let cursor = first.watch_cursor.clone();
        assert_ne!(cursor, "");
        let mut page = first;
        loop {
            for transaction in page.transactions {
                let known = self.known.entry(transaction.reference_code).or_default();
                let before = known.listed.replace(transaction.revision);
                assert_eq!(before, None, "the list shows a transaction twice");
                known.is_terminal = transaction.terminal;
            }
            if page.next_page_token.is_empty() {
                return cursor;
            }
            page = self.page(&page.next_page_token).await;
            assert_eq!(page.watch_cursor, "", "only the first page has a cursor");
        }
    }

    fn note(&mut self, transaction: Transaction) {
        let known = self.known.entry(transaction.reference_code).or_default();
        known.watched.push(transaction.revision);
        // The watch begins before the list ended, so that it may show what the list showed.
        known.is_terminal = transaction.terminal;
    }

    /// Returns the number of transactions whose end it knows.
    fn ended(&self) -> usize {
        self.known.values().filter(|one| one.is_terminal).count()
    }

    /// Watches over streams that are cut, until `wanted` transactions ended.
    async fn watch_from(&mut self, mut cursor: String, wanted: usize) -> Result<(), Status> {
        while self.ended() < wanted {
            let mut updates = watch(&mut self.client().await, &cursor).await?;
            for _ in 0..self.dice.roll(250) {
                if self.ended() == wanted {
                    return Ok(());
                }
                let next = tokio::time::timeout(PATIENCE, updates.message()).await;
                let Some(next) = next.expect("no update arrived")? else {
                    break;
                };
                cursor = next.cursor;
                if let Some(transaction) = next.transaction {
                    self.note(transaction);
                }
            }
            self.cuts += 1;
        }
        Ok(())
    }

    /// Lists, watches, and begins again whenever the changes after its cursor are gone. Before
    /// each watch it awaits `ready`.
    async fn follow(mut self, wanted: usize, mut ready: watch::Receiver<bool>) -> Self {
        loop {
            let cursor = self.list().await;
            ready.wait_for(|ready| *ready).await.unwrap();
            match self.watch_from(cursor, wanted).await {
                Ok(()) => return self,
                Err(status) if status.code() == Code::OutOfRange => self.restarts += 1,
                Err(status) => panic!("{status}"),
            }
        }
    }

    /// Asserts that it knows every revision since those that its last list showed.
    fn assert_misses_nothing(&self, codes: &BTreeSet<String>, now: &BTreeMap<String, i64>) {
        let known: BTreeSet<String> = self.known.keys().cloned().collect();
        assert_eq!(known, *codes);
        for (code, known) in &self.known {
            let watched = &known.watched;
            let gap = watched.windows(2).find(|pair| pair[1] != pair[0] + 1);
            assert_eq!(gap, None, "{code}: {watched:?}");
            match (known.listed, watched.first()) {
                (Some(listed), Some(first)) => assert!(*first <= listed + 1, "{code}"),
                (None, None) => panic!("{code} is unknown"),
                // Not listed: it was created or changed meanwhile, which the watch shows.
                (Some(_), None) | (None, Some(_)) => {}
            }
            let last = watched.last().copied().max(known.listed);
            // A late answer may follow the end.
            assert!(last <= Some(now[code]), "{code}");
        }
    }
}

async fn watch(
    client: &mut Client,
    cursor: &str,
) -> Result<Streaming<WatchTransactionsResponse>, Status> {
    let request = WatchTransactionsRequest {
        cursor: cursor.to_owned(),
        ..WatchTransactionsRequest::default()
    };
    Ok(client.watch_transactions(request).await?.into_inner())
}

const AT_ONCE: usize = 64;

/// Buys, and reports the number of answers so far.
struct Buyers {
    answered: Arc<AtomicUsize>,
    progress: watch::Sender<usize>,
}

impl Buyers {
    async fn buy_all(self, client: Client, count: usize) -> BTreeSet<String> {
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        let kinds = [
            PLAIN,
            PENDING_THEN_SUCCESS,
            PENDING_THEN_FAILURE,
            CALLBACK_LOST,
        ];
        let buyers = Arc::new(self);
        let buying = (0..count).map(|number| {
            let (mut client, slots) = (client.clone(), Arc::clone(&slots));
            let buyers = Arc::clone(&buyers);
            tokio::spawn(async move {
                let _slot = slots.acquire().await.unwrap();
                let code = reference();
                buy(&mut client, &code, kinds[number % kinds.len()]).await;
                let answered = 1 + buyers.answered.fetch_add(1, Ordering::Relaxed);
                buyers
                    .progress
                    .send_modify(|known| *known = (*known).max(answered));
                code
            })
        });
        let mut codes = BTreeSet::new();
        for bought in buying.collect::<Vec<_>>() {
            codes.insert(bought.await.unwrap());
        }
        codes
    }
}

/// Removes all but the last event of every partition.
async fn trim_events(redis: &Redis) {
    let mut connection = redis.connection().await;
    for stream in connection.keys("okb:*:events").await.unwrap() {
        let mut trim = redis::cmd("XTRIM");
        trim.arg(&stream).arg("MAXLEN").arg(1);
        trim.query_async::<i64>(&mut connection).await.unwrap();
    }
}

async fn list_then_watch_misses_nothing(kind: StoreKind) {
    const FOLLOWERS: usize = 3;
    // Each purchase waits for the disk in the embedded store.
    let count = match kind {
        StoreKind::Redis => 2000,
        StoreKind::Embedded => 400,
    };
    let mut world = World::new(kind).await;
    world.set("store.partitions", "4");
    if kind == StoreKind::Embedded {
        world.unset("store.partitions");
    }
    let gateway = world.start_gateway().await;
    // On Redis the followers use another replica than the buyers and the callbacks.
    let replica = match kind {
        StoreKind::Redis => Some(world.start_replica().await),
        StoreKind::Embedded => None,
    };
    let source = replica.as_ref().unwrap_or(&gateway);
    let (progress, mut answered) = watch::channel(0);
    let buyers = Buyers {
        answered: Arc::default(),
        progress,
    };
    let buying = tokio::spawn(buyers.buy_all(gateway.client().await, count));

    let (_always, ready) = watch::channel(true);
    let (trimmed, after_trim) = watch::channel(false);
    let mut following = Vec::new();
    for number in 0..FOLLOWERS {
        // One after another, so that each lists while others watch.
        let begin = count * number / (FOLLOWERS + 1);
        answered
            .wait_for(|answered| *answered >= begin)
            .await
            .unwrap();
        let follower = Follower::new(source, 1000 + number as u64);
        // The first one is slow: it watches after the changes since its cursor are gone.
        let ready = if number == 0 { &after_trim } else { &ready };
        following.push(tokio::spawn(follower.follow(count, ready.clone())));
    }
    if let Some(redis) = &world.redis {
        trim_events(redis).await;
    }
    trimmed.send_replace(true);

    let codes = buying.await.unwrap();
    let mut followers = Vec::new();
    for follower in following {
        let followed = tokio::time::timeout(PATIENCE * 2, follower).await;
        followers.push(followed.expect("a follower timed out").unwrap());
    }
    let mut client = gateway.client().await;
    let mut now = BTreeMap::new();
    for code in &codes {
        now.insert(code.clone(), get(&mut client, code).await.unwrap().revision);
    }
    for follower in &followers {
        assert!(follower.cuts > 5, "{}", follower.cuts);
        follower.assert_misses_nothing(&codes, &now);
    }
    let is_trimmed = kind == StoreKind::Redis;
    assert_eq!(
        followers[0].restarts > 0,
        is_trimmed,
        "the first must list again"
    );
}

/// A change between the first page and the watch, and one between two pages.
async fn watch_from_first_page_reports_changes_since_listing_began(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let early = reference();
    buy(&mut client, &early, PLAIN).await;
    buy(&mut client, &reference(), PLAIN).await;
    let mut request = ListTransactionsRequest {
        page_size: 1,
        ..ListTransactionsRequest::default()
    };
    let first = client.list_transactions(request.clone()).await.unwrap();
    let first = first.into_inner();
    let (between, after) = (reference(), reference());
    buy(&mut client, &between, PLAIN).await;
    request.page_token = first.next_page_token;
    let second = client
        .list_transactions(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(second.watch_cursor, "");
    assert_eq!(second.transactions[0].reference_code, early);
    let mut labelled = order(&after, PLAIN);
    labelled.labels = [("shop".to_owned(), "7".to_owned())].into();
    client.purchase_prepaid(labelled).await.unwrap();

    let mut updates = watch(&mut client, &first.watch_cursor).await.unwrap();
    let mut seen = BTreeMap::new();
    while seen.get(&after) != Some(&2) {
        let next = tokio::time::timeout(PATIENCE, updates.message()).await;
        let next = next.expect("no update arrived").unwrap().unwrap();
        if let Some(transaction) = next.transaction {
            let before = seen.insert(transaction.reference_code, transaction.revision);
            assert_eq!(transaction.revision, before.unwrap_or_default() + 1);
        }
    }
    let codes: BTreeSet<&String> = seen.keys().collect();
    assert_eq!(codes, BTreeSet::from([&between, &after]));
    // An empty listing has a cursor as well.
    let none = ListTransactionsRequest {
        account_number: "1".into(),
        ..ListTransactionsRequest::default()
    };
    let none = client.list_transactions(none).await.unwrap().into_inner();
    assert!(none.transactions.is_empty() && !none.watch_cursor.is_empty());
}

on_both_stores!(
    list_then_watch_misses_nothing,
    watch_from_first_page_reports_changes_since_listing_began,
);
