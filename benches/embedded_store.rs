//! Measures the purchases per second of a gateway on the embedded store, the CPU time that one costs
//! it, and the purchases per second that the store alone can hold (the claim; then the answer and
//! its trace code), for one caller and for many.
//!
//! Run it with `cargo bench --bench embedded_store`. With the path of another gateway in
//! `OKEBAYAR_BENCH_OTHER`, such as that of an earlier commit, both are measured in turns on the same
//! disk, and the ratio is reported. The sandbox and the callers use the same machine as the gateway.

#![expect(clippy::expect_used, reason = "a benchmark fails by panicking")]

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use okebayar_gateway::{
    store::{Commit, Identity, Store, redb::RedbStore},
    transaction::AccountNames,
};

#[path = "support/buying.rs"]
mod buying;
#[path = "support/running.rs"]
mod running;
#[path = "support/settled.rs"]
mod settled;

use buying::{buy, start_gateway, start_sandbox};
use settled::{account, purchase};

const BINARY: &str = env!("CARGO_BIN_EXE_okebayar-gateway");
const CALLERS: [usize; 2] = [1, 256];
/// The time for which each setting is measured.
const LASTS: Duration = Duration::from_secs(4);
/// The number of rounds. The best of each setting counts: other load on the machine only slows it.
const ROUNDS: usize = 4;

/// Returns the purchases per second, and the CPU time of the gateway for one in microseconds.
async fn measure_purchases(binary: &str, callers: usize) -> (f64, f64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sandbox = start_sandbox(BINARY);
    let store = folder.path().join("store.redb").display().to_string();
    let gateway = start_gateway(binary, &sandbox.address, &[("STORE__PATH", store)]);
    let cpu = gateway.cpu_seconds();
    let bought = buy(&gateway, callers, LASTS, "0").await;
    let cpu = gateway.cpu_seconds() - cpu;
    (bought.rate(), cpu / bought.count() * 1e6)
}

/// Returns the purchases per second that a store holds.
async fn measure_store(callers: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let identity = Identity {
        accounts: BTreeMap::from([(account(), "hash".to_owned())]),
        names: AccountNames::default(),
        epoch: uuid::Uuid::from_u128(1),
    };
    let store = RedbStore::open(&folder.path().join("store.redb"), &identity).await;
    let store = Arc::new(store.expect("it is created"));
    let began = Instant::now();
    let writing = (0..callers).map(|caller| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut held = 0_u32;
            while began.elapsed() < LASTS / 2 {
                let (claim, answer) = purchase(caller, held);
                let transaction = &answer.transaction;
                let trace_code = transaction.status().trace_code;
                let key = transaction.key();
                let claimed = store.commit(&claim, None).await;
                assert!(matches!(claimed, Ok(Commit::Done)));
                let trace_code = trace_code.expect("the answer has one");
                let account = account();
                let (indexed, answered) = tokio::join!(
                    store.index_trace(&key, &account, &trace_code),
                    store.commit(&answer, None)
                );
                indexed.expect("it is indexed");
                assert!(matches!(answered, Ok(Commit::Done)));
                held += 1;
            }
            held
        })
    });
    let held: u32 = join_all(writing.collect::<Vec<_>>())
        .await
        .into_iter()
        .map(|held| held.expect("no write panics"))
        .sum();
    f64::from(held) / began.elapsed().as_secs_f64()
}

#[tokio::main]
async fn main() {
    let other = std::env::var("OKEBAYAR_BENCH_OTHER").ok();
    let binaries: Vec<&str> = std::iter::once(BINARY).chain(other.as_deref()).collect();
    println!("callers   gateway   purchases/s   CPU a purchase   purchases/s of this store alone");
    for callers in CALLERS {
        let mut best = vec![(0.0_f64, f64::MAX); binaries.len()];
        let mut stored = 0.0_f64;
        for round in 0..ROUNDS {
            for turn in 0..binaries.len() {
                // What the former measurement left to write back slows the next one.
                let at = (turn + round) % binaries.len();
                let (rate, cpu) = measure_purchases(binaries[at], callers).await;
                best[at] = (best[at].0.max(rate), best[at].1.min(cpu));
            }
            stored = stored.max(measure_store(callers).await);
        }
        for ((rate, cpu), name) in best.iter().zip(["this", "other"]) {
            println!("{callers:>7}   {name:<7}   {rate:>11.0}   {cpu:>11.0} us   {stored:>11.0}");
        }
        if let [(rate, cpu), (former, former_cpu)] = best[..] {
            let (faster, cheaper) = (rate / former, former_cpu / cpu);
            println!("{callers:>7}   ratio     {faster:>11.2}   {cheaper:>14.2}");
        }
    }
}
