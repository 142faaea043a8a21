//! Random rounds of everything that once caused a second purchase, over two gateways on one Redis
//! that are stopped, killed, frozen and reconfigured in between: each reference code is in the
//! ledger at most once (promise 1), and most are in it.

use std::{net::SocketAddr, time::Duration};

use okebayar_gateway::grpc::v1::PurchasePrepaidRequest;
use tonic::{Request, transport::Channel};

use crate::support::{
    dice::{Dice, seed},
    ports,
    process::{CANARY_PIN, PATIENCE, Process},
    redis::Redis,
    world::{
        BINARY, Client, Gateway, PENDING_FOR_EVER, PENDING_THEN_SUCCESS, PLAIN, SLOW, StoreKind,
        World, minted, order,
    },
};

const ROUNDS: usize = 50;

/// Concurrent calls with one reference code.
const TWINS: usize = 4;

/// Reference codes that must be bought at the end.
const AT_LAST: usize = 4;

struct Rounds {
    world: World,
    gateways: Vec<Gateway>,
    sandboxes: [u16; 2],
    /// The number of renames of the second account, which gives its present name.
    renamed: usize,
    bought: Vec<(String, &'static str)>,
    /// The gateway that lacks the second account.
    lacking: Option<usize>,
    dice: Dice,
    /// The actions, and the logs of the gateways that have ended.
    log: Vec<String>,
}

const ACCOUNT_NUMBERS: [&str; 4] = [PLAIN, SLOW, PENDING_THEN_SUCCESS, PENDING_FOR_EVER];

impl Rounds {
    async fn begin(seed: u64) -> (Self, [Process; 1]) {
        let mut world = World::new(StoreKind::Redis).await;
        let always = ["--appendonly", "yes", "--appendfsync", "always"];
        let redis = Redis::start_with(world.path(), &always).await;
        let port = ports::free();
        let second = world.sandbox_with(port, "second-member", &[]).await;
        world
            .set("store.url", &redis.url)
            .set("store.timeout", "2s")
            .set("limits.queue_timeout", "1s")
            .set("accounts.main.not_received_codes", "400")
            .set("default_account", "main")
            .set(
                "accounts.second-0.url",
                &format!("http://127.0.0.1:{port}/"),
            )
            .set("accounts.second-0.userid", "second-member")
            .set("accounts.second-0.pin", CANARY_PIN);
        world.redis = Some(redis);
        let gateways = vec![world.start_replica().await, world.start_replica().await];
        let sandboxes = [world.sandbox_port, port];
        let rounds = Self {
            world,
            gateways,
            sandboxes,
            renamed: 0,
            bought: Vec::new(),
            lacking: None,
            dice: Dice(seed),
            log: Vec::new(),
        };
        (rounds, [second])
    }

    fn redis(&self) -> &Redis {
        self.world.redis.as_ref().unwrap()
    }

    /// Stops or kills one gateway and starts it with the present configuration.
    async fn restart_one(&mut self) {
        let index = self.dice.roll(2);
        self.restart(index).await;
    }

    async fn restart(&mut self, index: usize) {
        if self.lacking == Some(index) {
            self.lacking = None;
        }
        let gateway = &mut self.gateways[index];
        if self.dice.roll(2) == 0 {
            gateway.process.signal("-TERM");
            gateway.process.ended().await;
        } else {
            gateway.process.kill().await;
        }
        let started = self.world.start_replica().await;
        let ended = std::mem::replace(&mut self.gateways[index], started);
        self.log.extend(ended.process.output());
    }

    fn change_default_account(&mut self) {
        let second = format!("second-{}", self.renamed);
        let name = if self.dice.roll(2) == 0 {
            "main"
        } else {
            &second
        };
        self.world.set("default_account", name);
    }

    fn rename_account(&mut self) {
        let (old, new) = (
            format!("second-{}", self.renamed),
            format!("second-{}", self.renamed + 1),
        );
        let former: Vec<String> = (0..=self.renamed).map(|n| format!("second-{n}")).collect();
        self.world
            .rename_account(&old, &new)
            .set(&format!("accounts.{new}.formerly"), &former.join(","))
            .set("default_account", "main");
        self.renamed += 1;
    }

    /// Removes the second account from one gateway until its next restart with another
    /// configuration.
    async fn remove_account(&mut self) {
        let index = self.dice.roll(2);
        // Another gateway must have the account, or no gateway knows it after Redis is flushed.
        self.restart(1 - index).await;
        let second = format!("second-{}", self.renamed);
        let removed = self.world.remove_account(&second);
        let default_account = self.world.setting("default_account");
        self.world.set("default_account", "main");
        self.restart(index).await;
        self.lacking = Some(index);
        for (leaf, value) in removed {
            self.world.set(&format!("accounts.{second}.{leaf}"), &value);
        }
        self.world.set("default_account", &default_account);
    }

    /// Flushes Redis; an operator, another gateway, or no client looks at it next.
    async fn lose_everything(&mut self) -> Option<Gateway> {
        self.redis().command(&["FLUSHALL"]).await;
        match self.dice.roll(3) {
            0 => {
                let environment = self.world.environment();
                let folder = self.world.path();
                let mut show = Process::start(BINARY, &["guard", "show"], &environment, folder);
                assert!(show.ended().await.success(), "{}", show.text());
                None
            }
            1 => Some(self.world.start_replica().await),
            _ => None,
        }
    }

    /// Freezes one gateway until its claims may no longer be sent.
    async fn freeze_one(&mut self) {
        let index = self.dice.roll(2);
        let calls = self.calls(2);
        self.gateways[index].process.signal("-STOP");
        tokio::time::sleep(Duration::from_secs(4)).await;
        self.gateways[index].process.signal("-CONT");
        join(calls).await;
    }

    /// Makes OKEBAYAR deny a purchase in progress while an unauthenticated client reports its
    /// success.
    async fn deny_and_forge(&mut self) {
        let denied = r#"{"transactionstatus":"400"}"#;
        self.world.misprint(PENDING_FOR_EVER, denied).await;
        let (code, _) = self.dice.pick(&self.bought).clone();
        self.report(&code).await;
        let calls = self.calls(2);
        join(calls).await;
        self.world.misprint(PENDING_FOR_EVER, "{}").await;
    }

    /// Reports a success, and retries on 503 (not stored), as when Redis was just killed and the
    /// gateway's connection is broken.
    async fn report(&self, code: &str) {
        let url = format!(
            "http://{}/callbacks/main?referencecode={code}&status=000&serialnumber=1",
            self.gateways[0].callbacks
        );
        let reporting = async {
            loop {
                let status = reqwest::get(&url).await.unwrap().status();
                if status == 200 {
                    return;
                }
                assert_eq!(status, 503);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let reported = tokio::time::timeout(PATIENCE, reporting).await;
        reported.expect("the callback was never stored");
    }

    /// Starts concurrent calls with new and old reference codes, several with each.
    fn calls(&mut self, codes: usize) -> Vec<tokio::task::JoinHandle<()>> {
        let mut calls = Vec::new();
        for _ in 0..codes {
            let is_old = !self.bought.is_empty() && self.dice.roll(3) > 0;
            let (code, account_number) = if is_old {
                self.dice.pick(&self.bought).clone()
            } else {
                let wanted = (minted(0), *self.dice.pick(&ACCOUNT_NUMBERS));
                self.bought.push(wanted.clone());
                wanted
            };
            for _ in 0..TWINS {
                let account = match self.dice.roll(4) {
                    0 => "main".to_owned(),
                    1 => format!("second-{}", self.renamed),
                    _ => String::new(),
                };
                let mut request = Request::new(PurchasePrepaidRequest {
                    account,
                    ..order(&code, account_number)
                });
                request.set_timeout(Duration::from_secs(3));
                let grpc = self.dice.pick(&self.gateways).grpc;
                calls.push(tokio::spawn(call(grpc, request)));
            }
        }
        calls
    }

    /// Returns how many purchases of a reference code both sandboxes received.
    async fn received(&self, code: &str) -> u64 {
        let mut received = 0;
        for port in self.sandboxes {
            let url = format!("http://127.0.0.1:{port}/ledger/{code}");
            let text = reqwest::get(url).await.unwrap().text().await.unwrap();
            let entry: serde_json::Value = serde_json::from_str(&text).unwrap();
            received += entry["received"].as_u64().unwrap();
        }
        received
    }

    /// Buys under new reference codes on both gateways until some are sent: earlier rounds block
    /// nothing permanently.
    async fn buy_at_last(&mut self) {
        for number in 0..AT_LAST {
            let grpc = self.gateways[number % 2].grpc;
            let buying = async {
                loop {
                    let code = minted(0);
                    self.bought.push((code.clone(), PLAIN));
                    call(grpc, Request::new(order(&code, PLAIN))).await;
                    if self.received(&code).await == 1 {
                        return;
                    }
                }
            };
            let bought = tokio::time::timeout(PATIENCE, buying).await;
            bought.expect("no purchase was sent again");
        }
    }

    /// Returns the number of bought reference codes, and asserts that each was bought once.
    async fn assert_bought_once(&self, seed: u64) -> usize {
        let mut bought = 0;
        for (code, _) in &self.bought {
            let received = self.received(code).await;
            bought += usize::from(received == 1);
            if received > 1 {
                self.print_history(code);
            }
            assert!(
                received <= 1,
                "{code} was sent {received} times; seed {seed}"
            );
        }
        bought
    }
}

impl Rounds {
    /// Prints the actions and the log lines about a reference code.
    fn print_history(&self, code: &str) {
        let running = self.gateways.iter();
        let running = running.flat_map(|gateway| gateway.process.output());
        let key = code.replace('-', "");
        for line in self.log.iter().cloned().chain(running) {
            if [code, &key, "round "]
                .iter()
                .any(|part| line.contains(part))
            {
                eprintln!("{line}");
            }
        }
    }
}

/// Calls a gateway that may be frozen or gone; the ledger counts, not the answer.
async fn call(grpc: SocketAddr, request: Request<PurchasePrepaidRequest>) {
    let channel = Channel::from_shared(format!("http://{grpc}"));
    if let Ok(channel) = channel.unwrap().connect().await {
        let _ = Client::new(channel).purchase_prepaid(request).await;
    }
}

async fn join(calls: Vec<tokio::task::JoinHandle<()>>) {
    for call in calls {
        let called = tokio::time::timeout(PATIENCE, call).await;
        called.expect("a call timed out").unwrap();
    }
}

#[tokio::test]
async fn reference_codes_are_bought_once_over_fifty_random_rounds() {
    let seed = seed();
    // Printed when the test fails, wherever it fails.
    println!("OKEBAYAR_SEED={seed}");
    let (mut rounds, _sandboxes) = Rounds::begin(seed).await;
    let first = rounds.calls(4);
    join(first).await;
    for round in 0..ROUNDS {
        let calls = rounds.calls(2);
        let mut newcomer = None;
        let action = rounds.dice.roll(18);
        rounds.log.push(format!("round {round}: action {action}"));
        match action {
            0..=2 => rounds.change_default_account(),
            3 | 4 => rounds.rename_account(),
            5 | 6 => {
                let evict = ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"];
                rounds.redis().command(&evict).await;
            }
            7 | 8 => newcomer = rounds.lose_everything().await,
            9 => rounds.freeze_one().await,
            10..=12 => rounds.deny_and_forge().await,
            13 => {
                let redis = rounds.world.redis.as_mut().unwrap();
                redis.kill().await;
                redis.start_again().await;
            }
            14 | 15 => rounds.remove_account().await,
            _ => rounds.restart_one().await,
        }
        let again = rounds.calls(2);
        join(calls).await;
        join(again).await;
        let keep = ["CONFIG", "SET", "maxmemory-policy", "noeviction"];
        rounds.redis().command(&keep).await;
        if round % 3 == 0 {
            rounds.restart_one().await;
        }
        drop(newcomer);
    }
    let newcomer = rounds.lose_everything().await;
    let first_after = rounds.bought.len();
    rounds.buy_at_last().await;
    drop(newcomer);
    let bought = rounds.assert_bought_once(seed).await;
    let codes = rounds.bought.len();
    println!("{bought} of {codes} reference codes were bought");
    assert!(
        first_after > ROUNDS,
        "{first_after} reference codes only; seed {seed}"
    );
    assert!(
        bought > first_after / 2,
        "only {bought} of {codes} reference codes were bought; seed {seed}"
    );
}
