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
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    grpc::v1::{PurchasePrepaidRequest, transaction_service_client::TransactionServiceClient},
    store::{Commit, Identity, Store, redb::RedbStore},
    transaction::{
        AccountName, AccountNames, AccountNumber, Amount, Arming, AttemptToken, BillGuards, Change,
        Contents, Details, Finding, Guards, Intent, Labels, Order, ProductCode, ReferenceCode,
        Rules, Schedule, SerialNumber, Source, Statement, StatusCode, TraceCode, Transaction,
    },
};

#[path = "support/running.rs"]
mod running;

use running::Running;

const BINARY: &str = env!("CARGO_BIN_EXE_okebayar-gateway");
const CALLERS: [usize; 2] = [1, 256];
/// The time for which each setting is measured.
const LASTS: Duration = Duration::from_secs(4);
/// The number of rounds. The best of each setting counts: other load on the machine only slows it.
const ROUNDS: usize = 4;
/// The number of connections of the callers.
const CONNECTIONS: usize = 8;

const RULES: Rules = Rules {
    doubtful_gap: SignedDuration::from_mins(5),
    not_received_after: SignedDuration::from_mins(10),
    clock_skew: SignedDuration::from_mins(1),
};

fn schedule() -> Schedule {
    Schedule {
        sending: SignedDuration::from_secs(65),
        unknown_first: SignedDuration::from_secs(10),
        pending_first: SignedDuration::from_mins(5),
        delays: vec![SignedDuration::from_mins(1)],
        day_delay: SignedDuration::from_hours(1),
        day_ends: SignedDuration::from_hours(24),
        late_delay: SignedDuration::from_hours(6),
        give_up_after: SignedDuration::from_hours(72),
        unconfigured_grace: SignedDuration::from_mins(10),
        serial_number: vec![SignedDuration::from_mins(1)],
        interval_min: SignedDuration::from_secs(60),
        callback_interval_min: SignedDuration::from_secs(5),
        age_max: SignedDuration::from_hours(720),
    }
}

fn account() -> AccountName {
    AccountName::parse("main").expect("a name")
}

fn start_sandbox() -> Running {
    let arguments = [
        "sandbox",
        "--listen",
        "127.0.0.1:0",
        "--userid",
        "bench",
        "--deposit",
        "1000000000000",
    ];
    let pin = [("OKEBAYAR_SANDBOX_PIN", "1234".to_owned())];
    Running::start(BINARY, &arguments, &pin, "sandbox", |_| {})
}

fn start_gateway(binary: &str, sandbox: &str, folder: &Path) -> Running {
    let set = |key: &str, value: &str| (format!("OKEBAYAR_GATEWAY__{key}"), value.to_owned());
    let store = folder.join("store.redb").display().to_string();
    let variables = [
        set("GRPC__LISTEN", "127.0.0.1:0"),
        set("CALLBACKS__LISTEN", "127.0.0.1:0"),
        set("ADMIN__LISTEN", "127.0.0.1:0"),
        set("STORE__PATH", &store),
        set("LIMITS__SENDING", "512"),
        set("ACCOUNTS__MAIN__URL", &format!("http://{sandbox}/")),
        set("ACCOUNTS__MAIN__USERID", "bench"),
        set("ACCOUNTS__MAIN__PIN", "1234"),
        ("OTEL_METRICS_EXPORTER".to_owned(), "none".to_owned()),
    ];
    let variables: Vec<(&str, String)> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    Running::start(binary, &["serve"], &variables, "grpc", |_| {})
}

/// Returns the purchases per second, and the CPU time of the gateway for one in microseconds.
async fn measure_purchases(binary: &str, callers: usize) -> (f64, f64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sandbox = start_sandbox();
    let gateway = start_gateway(binary, &sandbox.address, folder.path());
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = TransactionServiceClient::connect(format!("http://{}", gateway.address)).await;
        clients.push(client.expect("it serves"));
    }
    let cpu = gateway.cpu_seconds();
    let began = Instant::now();
    let calling = (0..callers).map(|caller| {
        let mut client = clients[caller % CONNECTIONS].clone();
        tokio::spawn(async move {
            let mut bought = 0_u32;
            while began.elapsed() < LASTS {
                let request = PurchasePrepaidRequest {
                    reference_code: format!("bench-{caller:03}-{bought:08}"),
                    product_code: "PULSA5".to_owned(),
                    account_number: "081234567890".to_owned(),
                    ..PurchasePrepaidRequest::default()
                };
                let done = client.purchase_prepaid(request).await;
                done.expect("it is bought");
                bought += 1;
            }
            bought
        })
    });
    let bought: u32 = join_all(calling.collect::<Vec<_>>())
        .await
        .into_iter()
        .map(|bought| bought.expect("no call panics"))
        .sum();
    let seconds = began.elapsed().as_secs_f64();
    let cpu = gateway.cpu_seconds() - cpu;
    let bought = f64::from(bought);
    (bought / seconds, cpu / bought * 1e6)
}

/// Builds a purchase of a caller: its claim, and the change that its answer makes.
fn purchase(caller: usize, number: u32) -> (Change, Change) {
    let name = |text: &str| ProductCode::parse(text).expect("a product code");
    let order = Order {
        product_code: name("PULSA5"),
        account_number: AccountNumber::parse("081234567890").expect("a number"),
        inquired: None,
    };
    let code = format!("bench-{caller:03}-{number:08}");
    let intent = Intent {
        account: account(),
        names_account: false,
        reference_code: ReferenceCode::parse(&code).expect("a reference code"),
        contents: Contents::PurchasePrepaid {
            product_code: order.product_code.clone(),
            account_number: order.account_number.clone(),
            inquiry_code: None,
        },
        bill: BillGuards::default(),
        guards: Guards::default(),
        labels: Labels::default(),
        trace: None,
    };
    let arming = Arming {
        token: AttemptToken::new(uuid::Uuid::from_u128(caller as u128)),
        at: Timestamp::from_second(1_800_000_000).expect("a time"),
        is_quarantined: false,
        expire_at: None,
        omits_hyphens: false,
    };
    let (at, schedule) = (arming.at, schedule());
    let claim = Transaction::begin(intent, order, arming, RULES, &schedule);
    let details = Details {
        serial_number: SerialNumber::read("0123456789"),
        price: Amount::parse("5500").ok(),
        trace_code: TraceCode::read(&code),
        ..Details::default()
    };
    let code = StatusCode::read("000");
    let said = Statement::new(Source::Answer, Finding::Succeeded, code, details);
    let answered = claim.transaction.observe([said], at, &schedule);
    (claim, answered.expect("it changes the transaction"))
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
