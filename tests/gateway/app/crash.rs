//! Promises 1, 2 and 11: a crash of the gateway, the store or both delays an outcome but does not
//! change it.

use std::time::Duration;

use okebayar_gateway::grpc::v1::{
    PurchasePrepaidResponse, Transaction, TransactionReason, TransactionState,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};

use crate::support::{
    on_both_stores, ports,
    process::PATIENCE,
    redis::Redis,
    world::{
        ANSWER_AND_CALLBACK_LOST, ANSWER_LOST, CALLBACK_LOST, Client, Gateway,
        PENDING_THEN_SUCCESS, PLAIN, RESET, RESET_AND_CALLBACK_LOST, SLOW, StoreKind, World,
        assert_succeeded, bought, buy, get, order, reference, start_purchase,
    },
};

async fn killed_gateway_settles_sent_purchase_after_restart(kind: StoreKind) {
    let mut world = World::new(kind).await;
    // The new process waits for the end of the old process's POST (scaled down).
    world
        .set("accounts.main.timeout", "1s")
        .set("limits.queue_timeout", "500ms")
        .set("store.timeout", "2s");
    let accounts = [
        PLAIN,
        SLOW,
        PENDING_THEN_SUCCESS,
        CALLBACK_LOST,
        ANSWER_LOST,
        RESET,
        ANSWER_AND_CALLBACK_LOST,
        RESET_AND_CALLBACK_LOST,
    ];
    for account_number in accounts {
        let mut gateway = world.start_gateway().await;
        let code = reference();
        let client = gateway.client().await;
        let call = start_purchase(client, order(&code, account_number));
        assert_eq!(world.ledger_when(&code, "received=1").await.received, 1);
        gateway.process.kill().await;
        drop(call.await);

        let mut gateway = world.start_gateway().await;
        assert_succeeded(&gateway.until_final(&code).await);
        let ledger = world.ledger(&code).await;
        assert_eq!(
            (ledger.received, ledger.executed),
            (1, 1),
            "{account_number}"
        );
        let mut client = gateway.client().await;
        let again = client
            .purchase_prepaid(order(&code, account_number))
            .await
            .unwrap()
            .into_inner();
        assert!(again.replayed, "{account_number}");
        assert_eq!(world.ledger(&code).await.received, 1, "{account_number}");
        // The next gateway opens the same store.
        gateway.process.kill().await;
    }
}

/// The pause before a call is retried that an absent store rejects.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// The processes that a crash kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Gateway,
    Store,
    Both,
}

/// The moment of a crash during a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// The claim is stored, and the POST is in flight.
    Claimed,
    /// OKEBAYAR has processed the POST and never answers.
    Sent,
    /// The caller has its answer, "pending".
    Answered,
}

const MOMENTS: [Moment; 3] = [Moment::Claimed, Moment::Sent, Moment::Answered];

/// A gate before OKEBAYAR. Shut, it delays requests; it delivers them even if their sender has
/// died, as a network does.
struct Gate {
    port: u16,
    is_open: watch::Sender<bool>,
    /// One message per arrival of bytes.
    arrived: mpsc::UnboundedReceiver<()>,
}

impl Gate {
    async fn before(upstream: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", ports::free()))
            .await
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_open, opening) = watch::channel(true);
        let (arrival, arrived) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(pass(near, upstream, opening.clone(), arrival.clone()));
            }
        });
        Self {
            port,
            is_open,
            arrived,
        }
    }

    fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// Stops passing requests.
    fn shut(&mut self) {
        self.is_open.send_replace(false);
        while self.arrived.try_recv().is_ok() {}
    }
}

/// Passes on one connection: requests while the gate is open, answers always.
async fn pass(
    near: TcpStream,
    upstream: u16,
    mut opening: watch::Receiver<bool>,
    arrival: mpsc::UnboundedSender<()>,
) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", upstream)).await else {
        return;
    };
    let ((mut near_read, mut near_write), (mut far_read, mut far_write)) =
        (near.into_split(), far.into_split());
    let ahead = async {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = near_read.read(&mut bytes).await {
            // The test may have ended.
            let _ = arrival.send(());
            if opening.wait_for(|is_open| *is_open).await.is_err()
                || far_write.write_all(&bytes[..count]).await.is_err()
            {
                return;
            }
        }
        // The sender's end of stream is not passed on: OKEBAYAR processes what it received.
        std::future::pending::<()>().await;
    };
    let back = async {
        if tokio::io::copy(&mut far_read, &mut near_write)
            .await
            .is_err()
        {
            // The sender is gone, but the answer must still be read from OKEBAYAR.
            let _ = tokio::io::copy(&mut far_read, &mut tokio::io::sink()).await;
        }
    };
    tokio::select! {
        () = ahead => {}
        () = back => {}
    }
}

/// Creates a world whose store is durable when killed, and the gate before its OKEBAYAR.
async fn durable_world(kind: StoreKind) -> (World, Gate) {
    let mut world = World::new(kind).await;
    if kind == StoreKind::Redis {
        let options = ["--appendonly", "yes", "--appendfsync", "always"];
        let redis = Redis::start_with(world.path(), &options).await;
        world.set("store.url", &redis.url);
        world.redis = Some(redis);
    }
    let gate = Gate::before(world.sandbox_port).await;
    world
        .set(
            "accounts.main.url",
            &format!("http://127.0.0.1:{}/", gate.port),
        )
        // The first check waits for the end of the POST (scaled down).
        .set("accounts.main.timeout", "2s")
        .set("limits.queue_timeout", "1s");
    (world, gate)
}

/// Starts a purchase, runs it up to `moment`, and returns the transaction as stored then.
async fn buy_until(
    moment: Moment,
    world: &World,
    gateway: &Gateway,
    gate: &mut Gate,
    code: &str,
) -> Transaction {
    let mut client = gateway.client().await;
    let account_number = account_number(moment);
    if moment == Moment::Answered {
        let answered = buy(&mut client, code, account_number).await;
        assert_eq!(answered.state(), TransactionState::Pending, "{answered:#?}");
        return answered;
    }
    if moment == Moment::Claimed {
        gate.shut();
    }
    let (mut caller, request) = (client.clone(), order(code, account_number));
    // The answer depends on the victim; the tests assert what is stored.
    tokio::spawn(async move { caller.purchase_prepaid(request).await });
    if moment == Moment::Claimed {
        let arrived = tokio::time::timeout(PATIENCE, gate.arrived.recv()).await;
        arrived.expect("nothing was sent").unwrap();
        assert_eq!(world.ledger(code).await.received, 0);
    } else {
        assert_eq!(world.ledger_when(code, "received=1").await.received, 1);
    }
    // Promise 2: the record was stored before the first byte was sent.
    let claimed = get(&mut client, code).await.unwrap();
    let (sending, timed_out) = (TransactionState::Sending, TransactionState::Confirming);
    assert!(
        [sending, timed_out].contains(&claimed.state()),
        "{claimed:#?}"
    );
    claimed
}

fn account_number(moment: Moment) -> &'static str {
    match moment {
        Moment::Claimed | Moment::Sent => ANSWER_AND_CALLBACK_LOST,
        Moment::Answered => PENDING_THEN_SUCCESS,
    }
}

/// Kills the victim with SIGKILL and restarts it on the same address and files. A POST in flight is
/// delivered while the gateway is down.
async fn crash(victim: Victim, world: &mut World, mut gateway: Gateway, gate: &Gate) -> Gateway {
    match victim {
        Victim::Gateway => gateway.process.kill().await,
        Victim::Store => world.redis.as_mut().unwrap().kill().await,
        Victim::Both => {
            let redis = world.redis.as_mut().unwrap();
            tokio::join!(gateway.process.kill(), redis.kill());
        }
    }
    gate.open();
    if victim != Victim::Gateway {
        world.redis.as_mut().unwrap().start_again().await;
    }
    if victim == Victim::Store {
        gateway
    } else {
        world.start_gateway().await
    }
}

/// Reads a transaction as soon as the store answers again.
async fn read_again(client: &mut Client, code: &str) -> Transaction {
    let reading = async {
        loop {
            match get(client, code).await {
                Ok(transaction) => return transaction,
                Err(status) => assert_eq!(status.code(), tonic::Code::Unavailable, "{status}"),
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("the store never answered again")
}

/// Kills a victim at each of these moments, during a new purchase each time. Every purchase is
/// kept, settles, and is received once.
async fn assert_crashes_are_survived(
    victim: Victim,
    moments: &[Moment],
    world: &mut World,
    gate: &mut Gate,
) -> Gateway {
    let mut gateway = world.start_gateway().await;
    for &moment in moments {
        let code = reference();
        let before = buy_until(moment, world, &gateway, gate, &code).await;
        gateway = crash(victim, world, gateway, gate).await;

        let mut client = gateway.client().await;
        let after = read_again(&mut client, &code).await;
        assert!(after.revision >= before.revision, "{moment:?}: {after:#?}");
        assert_eq!(after.create_time, before.create_time, "{moment:?}");
        if moment == Moment::Answered {
            assert_eq!(after.trace_code, before.trace_code, "{moment:?}");
        }
        let received = world.ledger_when(&code, "received=1").await.received;
        assert_eq!(received, 1, "{moment:?}");
        assert_succeeded(&gateway.until_final(&code).await);
        let replay = buy_again(&gateway, &code, account_number(moment)).await;
        assert!(replay.replayed, "{moment:?}");
        let ledger = world.ledger(&code).await;
        assert_eq!((ledger.received, ledger.executed), (1, 1), "{moment:?}");
    }
    gateway
}

/// Repeats a purchase until the store accepts claims again, and returns the answer.
async fn buy_again(gateway: &Gateway, code: &str, account_number: &str) -> PurchasePrepaidResponse {
    let mut client = gateway.client().await;
    let buying = async {
        loop {
            match client.purchase_prepaid(order(code, account_number)).await {
                Ok(answer) => return answer.into_inner(),
                Err(status) => assert_eq!(status.code(), tonic::Code::Unavailable, "{status}"),
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
    };
    tokio::time::timeout(PATIENCE, buying)
        .await
        .expect("the store never accepted a claim again")
}

/// Buys under an unused reference code and returns the first answer.
async fn buy_new(gateway: &Gateway) -> Transaction {
    bought(buy_again(gateway, &reference(), PLAIN).await)
}

/// Asserts survival at every moment when the store restarts. A restart counts as a loss, because
/// the gateway cannot know how Redis persists its data: it turns the failover guard on.
async fn assert_crashes_turn_the_guard_on(victim: Victim) {
    for moment in MOMENTS {
        // The guard would quarantine the purchase of a second round.
        let (mut world, mut gate) = durable_world(StoreKind::Redis).await;
        let gateway = assert_crashes_are_survived(victim, &[moment], &mut world, &mut gate).await;
        assert_eq!(
            buy_new(&gateway).await.reason(),
            TransactionReason::Quarantined
        );
    }
}

async fn purchase_happens_once_when_gateway_is_killed_at_any_moment(kind: StoreKind) {
    let (mut world, mut gate) = durable_world(kind).await;
    let gateway =
        assert_crashes_are_survived(Victim::Gateway, &MOMENTS, &mut world, &mut gate).await;
    // The store lost nothing, so the failover guard is off.
    assert_succeeded(&buy_new(&gateway).await);
}

/// The callers of the load, and the answers after which the gateway is killed.
const CALLERS: usize = 48;
const ANSWERS: usize = 300;

/// Buys from many callers at once until the gateway is killed, and returns what they received.
async fn buy_under_load(gateway: &mut Gateway) -> Vec<Transaction> {
    let (answer, mut answers) = mpsc::unbounded_channel();
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        let (mut client, answer) = (gateway.client().await, answer.clone());
        callers.push(tokio::spawn(async move {
            while let Ok(done) = client.purchase_prepaid(order(&reference(), PLAIN)).await {
                answer.send(bought(done.into_inner())).unwrap();
            }
        }));
    }
    drop(answer);
    let mut received = Vec::new();
    while received.len() < ANSWERS {
        let next = tokio::time::timeout(PATIENCE, answers.recv()).await;
        received.extend(next.expect("the purchases stopped"));
    }
    gateway.process.kill().await;
    while let Some(last) = answers.recv().await {
        received.push(last);
    }
    for caller in callers {
        caller.await.unwrap();
    }
    received
}

async fn every_answer_survives_a_kill_under_load(kind: StoreKind) {
    let (world, _gate) = durable_world(kind).await;
    let mut gateway = world.start_gateway().await;
    for _ in 0..2 {
        let received = buy_under_load(&mut gateway).await;
        gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        for before in received {
            let code = &before.reference_code;
            let after = get(&mut client, code).await.unwrap();
            assert!(after.revision >= before.revision, "{after:#?}");
            assert_eq!(after.create_time, before.create_time, "{after:#?}");
            assert_eq!(after.trace_code, before.trace_code, "{after:#?}");
            assert_succeeded(&gateway.until_final(code).await);
            let ledger = world.ledger(code).await;
            assert_eq!((ledger.received, ledger.executed), (1, 1), "{code}");
        }
    }
}

#[tokio::test]
async fn purchase_happens_once_under_guard_when_redis_is_killed_at_any_moment() {
    assert_crashes_turn_the_guard_on(Victim::Store).await;
}

#[tokio::test]
async fn purchase_happens_once_under_guard_when_redis_and_gateway_are_killed() {
    assert_crashes_turn_the_guard_on(Victim::Both).await;
}

#[tokio::test]
async fn purchase_happens_once_without_guard_when_redis_and_gateway_are_killed() {
    let (mut world, mut gate) = durable_world(StoreKind::Redis).await;
    // Redis syncs every write, so a restart loses nothing.
    world.set("store.failover_guard", "0s");
    let gateway = assert_crashes_are_survived(Victim::Both, &MOMENTS, &mut world, &mut gate).await;
    assert_succeeded(&buy_new(&gateway).await);
}

on_both_stores!(
    every_answer_survives_a_kill_under_load,
    killed_gateway_settles_sent_purchase_after_restart,
    purchase_happens_once_when_gateway_is_killed_at_any_moment,
);
