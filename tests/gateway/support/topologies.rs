//! Worlds whose store is run in the topologies of production, and customers who never stop buying.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use okebayar_gateway::grpc::v1::TransactionState;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;
use tonic::{Code, transport::Channel};

use super::{
    calls::{Client, PLAIN, bought, error_info, minted, order},
    poll::until,
    process::PATIENCE,
    redis_cluster::RedisCluster,
    sentinels::{PRIMARY, Sentinels},
    world::World,
};

/// Makes a primary under Sentinels the store of a world.
pub fn use_sentinels(world: &mut World, sentinels: &Sentinels) {
    world
        .set("store.kind", "redis")
        .set("store.topology", "sentinel")
        .set("store.url", &sentinels.urls())
        .set("store.sentinel_primary", PRIMARY)
        .set("store.timeout", "2s");
}

/// Makes a cluster the store of a world.
pub fn use_cluster(world: &mut World, cluster: &RedisCluster) {
    world
        .set("store.kind", "redis")
        .set("store.topology", "cluster")
        .set("store.url", &cluster.urls())
        .set("store.timeout", "2s");
}

/// Returns the tag of the keys of a reference code, with the default number of partitions.
pub fn tag_of(reference_code: &str) -> String {
    let text = reference_code.to_ascii_lowercase().replace('-', "");
    let digest = Sha256::digest(text);
    let first = u64::from_be_bytes(digest[..8].try_into().unwrap());
    format!("{{{}}}", first % 64)
}

/// Returns a new reference code whose slot a node of a cluster owns.
pub async fn code_at(cluster: &RedisCluster, node: usize) -> String {
    loop {
        let code = minted(0);
        let slot = cluster.slot_of(&tag_of(&code)).await;
        if cluster.owner(slot).await == node {
            return code;
        }
    }
}

/// Customers who buy under new reference codes, one after the other, and repeat each call until it
/// is answered.
pub struct Customers {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    buying: JoinSet<Vec<Bought>>,
}

/// A reference code, and what its customer was told first.
pub struct Bought {
    pub code: String,
    pub state: TransactionState,
    /// The calls that failed before, which sent nothing.
    pub refused: usize,
}

impl Customers {
    /// Starts customers at each gateway.
    pub fn start(gateways: &[SocketAddr], each: usize) -> Self {
        let (is_over, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut buying = JoinSet::new();
        for grpc in gateways.iter().cycle().take(gateways.len() * each) {
            buying.spawn(buy_on(*grpc, Arc::clone(&is_over), Arc::clone(&answered)));
        }
        Self {
            is_over,
            answered,
            buying,
        }
    }

    /// Waits until this many more calls are answered.
    pub async fn await_answers(&self, count: usize) {
        let from = self.answered.load(Ordering::SeqCst);
        until("further purchases", async || {
            self.answered.load(Ordering::SeqCst) >= from + count
        })
        .await;
    }

    /// Ends the purchases, each with its answer.
    pub async fn end(mut self) -> Vec<Bought> {
        self.is_over.store(true, Ordering::SeqCst);
        let mut bought = Vec::new();
        while let Some(ended) = self.buying.join_next().await {
            bought.extend(ended.unwrap());
        }
        bought
    }
}

async fn buy_on(
    grpc: SocketAddr,
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
) -> Vec<Bought> {
    let channel = Channel::from_shared(format!("http://{grpc}")).unwrap();
    let mut client = Client::new(channel.connect().await.unwrap());
    let mut all = Vec::new();
    while !is_over.load(Ordering::SeqCst) {
        let code = minted(0);
        let buying = buy_until_answered(&mut client, &code);
        let answer = tokio::time::timeout(PATIENCE, buying).await;
        all.push(answer.unwrap_or_else(|_| panic!("{code} was never answered")));
        answered.fetch_add(1, Ordering::SeqCst);
    }
    all
}

/// Repeats a purchase until it is answered with a transaction that is not SENDING.
async fn buy_until_answered(client: &mut Client, code: &str) -> Bought {
    let mut refused = 0;
    loop {
        match client.purchase_prepaid(order(code, PLAIN)).await {
            Ok(answer) => {
                let state = bought(answer.into_inner()).state();
                if state != TransactionState::Sending {
                    return Bought {
                        code: code.to_owned(),
                        state,
                        refused,
                    };
                }
            }
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status}");
                let (reason, _) = error_info(&status);
                let expected = ["STORE_UNAVAILABLE", "CLAIM_ABANDONED"];
                assert!(expected.contains(&reason.as_str()), "{reason} {status}");
                refused += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Asserts that OKEBAYAR received each reference code once at most, and each that succeeded;
/// returns how many it received.
pub async fn assert_bought_once(world: &World, all: &[Bought]) -> usize {
    let mut received = 0;
    for Bought { code, state, .. } in all {
        let ledger = world.ledger(code).await;
        assert!(ledger.received <= 1, "{code} {state:?}: {ledger:?}");
        if *state == TransactionState::Succeeded {
            assert_eq!(ledger.received, 1, "{code}: {ledger:?}");
        }
        received += usize::from(ledger.received == 1);
    }
    received
}
