//! Random rounds of bills over two gateways on one Redis: in each, two customers with up to five
//! bills each, twenty reference codes, repeated, reused and expired inquiries, reissued inquiry
//! codes, lost and late answers. Whatever the calls return, OKEBAYAR's ledger shows no bill paid
//! twice and no payment with another session's data.

use std::{collections::BTreeMap, time::Duration};

use okebayar_gateway::grpc::v1::{
    Inquiry, PayPostpaidRequest, PstnCustomer, inquire_postpaid_request::Customer,
};
use serde_json::json;
use tokio::task::JoinSet;
use tonic::Request;

use crate::support::{
    dice::{Dice, seed},
    world::{
        CALLBACK_LOST, Client, Inquirer, PENDING_FOR_EVER, PENDING_THEN_FAILURE,
        PENDING_THEN_SUCCESS, RESET, RESET_AND_CALLBACK_LOST, SLOW, StoreKind, World, payment,
        question, reference,
    },
};

const ROUNDS: usize = 200;
/// Reference codes of each customer.
const CODES: usize = 10;
/// Bursts of calls in a round, and the calls in each.
const BURSTS: usize = 4;
const CALLS: usize = 6;

/// The area codes, which select the scenario of a payment.
const AREAS: [&str; 10] = [
    "021",
    "022",
    PENDING_THEN_SUCCESS,
    PENDING_THEN_FAILURE,
    CALLBACK_LOST,
    RESET,
    RESET_AND_CALLBACK_LOST,
    PENDING_FOR_EVER,
    SLOW,
    // An answer later than the gateway's time-out.
    "080000000019",
];

/// The bill that a customer was shown and intends to pay.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    inquiry_code: String,
    numbers: [String; 2],
    total: i64,
}

impl Shown {
    fn of(inquiry: &Inquiry) -> Self {
        Self {
            inquiry_code: inquiry.inquiry_code.clone(),
            numbers: [
                inquiry.account_number.clone(),
                inquiry.account_number2.clone(),
            ],
            total: inquiry.total.as_ref().map_or(0, |total| total.units),
        }
    }
}

struct Household {
    area: &'static str,
    line: String,
    codes: Vec<String>,
    inquiries: Vec<Inquiry>,
}

struct Rounds {
    world: World,
    clients: [(Client, Inquirer); 2],
    http: reqwest::Client,
    dice: Dice,
    /// The bills that the calls of each reference code were to pay.
    meant: BTreeMap<String, Vec<Shown>>,
}

impl Rounds {
    /// Configures the sandbox over one connection, because there is much to configure.
    async fn put(&self, path: &str, body: impl Into<String>) {
        let url = format!("http://127.0.0.1:{}/{path}", self.world.sandbox_port);
        let set = self.http.put(url).body(body.into()).send();
        assert_eq!(set.await.unwrap().status(), 204);
    }

    async fn inquire(&mut self, of: &mut Household) {
        let expired = self.dice.roll(6) == 0;
        let fields = if expired {
            r#"{"inquiryexpired":"2020-03-25 20:09:12.374"}"#
        } else {
            "{}"
        };
        self.put(&format!("misprints/{}", of.area), fields).await;
        let mut request = question("HTELEPON", "");
        request.customer = Some(Customer::Pstn(PstnCustomer {
            area_code: of.area.into(),
            number: of.line.clone(),
        }));
        let inquirer = &mut self.clients[self.dice.roll(2)].1;
        if let Ok(found) = inquirer.inquire_postpaid(request).await {
            of.inquiries.extend(found.into_inner().inquiry);
        }
    }

    /// Sets the answer to inquiries of a customer from now on.
    async fn rebill(&mut self, of: &Household, shared: &str) {
        let mut billing = json!({ "owed_until_told": true });
        if self.dice.roll(2) == 0 {
            billing["inquirycode"] = json!(shared);
        }
        if self.dice.roll(3) == 0 {
            billing["fine"] = json!(1_000 * (1 + self.dice.roll(3)));
        }
        let path = format!("bills/{}", of.area);
        self.put(&path, billing.to_string()).await;
    }

    fn pay(&mut self, of: &Household, calls: &mut JoinSet<bool>) {
        if of.inquiries.is_empty() {
            return;
        }
        let inquiry = self.dice.pick(&of.inquiries).clone();
        let code = self.dice.pick(&of.codes).clone();
        let account_number = match self.dice.roll(3) {
            0 => String::new(),
            _ => format!("{}{}", of.area, of.line),
        };
        let mut request = Request::new(PayPostpaidRequest {
            account_number,
            ..payment(&code, &inquiry)
        });
        request.set_timeout(Duration::from_millis(200));
        let meant = self.meant.entry(code).or_default();
        meant.push(Shown::of(&inquiry));
        let mut client = self.clients[self.dice.roll(2)].0.clone();
        calls.spawn(async move { client.pay_postpaid(request).await.is_ok() });
    }

    async fn round(&mut self, round: usize) -> usize {
        let mut households: Vec<Household> = Vec::new();
        for line in ["1", "2"] {
            let free = |area: &&&'static str| households.iter().all(|other| other.area != **area);
            let areas: Vec<&'static str> = AREAS.iter().filter(free).copied().collect();
            households.push(Household {
                area: areas[self.dice.roll(areas.len())],
                line: format!("{line}{round:05}"),
                codes: (0..CODES).map(|_| reference()).collect(),
                inquiries: Vec::new(),
            });
        }
        let shared = format!("SHARED-{round}");
        let mut calls = JoinSet::new();
        let mut paid = 0;
        for _ in 0..BURSTS {
            for household in &mut households {
                self.rebill(household, &shared).await;
                self.inquire(household).await;
                self.inquire(household).await;
            }
            for _ in 0..CALLS {
                let household = &households[self.dice.roll(2)];
                self.pay(household, &mut calls);
            }
            // Some calls are still in flight during the next burst.
            let wait_for = self.dice.roll(CALLS + 1);
            for _ in 0..wait_for {
                if let Some(ended) = calls.join_next().await {
                    paid += usize::from(ended.unwrap());
                }
            }
        }
        paid + calls.join_all().await.into_iter().filter(|ok| *ok).count()
    }

    async fn assert_each_was_meant(&self, seed: u64) -> usize {
        let ledger = self.world.ask_sandbox("ledger").await;
        let mut sent = 0;
        for (code, entry) in ledger["entries"].as_object().unwrap() {
            let received = entry["received"].as_u64().unwrap();
            if received == 0 {
                continue;
            }
            assert_eq!(received, 1, "{code}; seed {seed}");
            sent += 1;
            let parameter = |name: &str| entry["parameters"][name].as_str().unwrap().to_owned();
            let rupiah = |name: &str| -> i64 {
                let whole = parameter(name);
                whole.split('.').next().unwrap().parse().unwrap()
            };
            let paid = Shown {
                inquiry_code: parameter("inquirycode"),
                numbers: [parameter("accnumber1"), parameter("accnumber2")],
                total: rupiah("nominal") + rupiah("adminfee"),
            };
            let meant = self.meant.get(code).map(Vec::as_slice);
            let is_meant = meant.is_some_and(|meant| meant.contains(&paid));
            assert!(is_meant, "{paid:?} for {meant:?}; seed {seed}");
        }
        sent
    }
}

#[tokio::test]
async fn bills_are_paid_once_with_own_data_over_two_hundred_random_rounds() {
    let seed = seed();
    let mut world = World::new(StoreKind::Redis).await;
    world
        .set("accounts.main.timeout", "1s")
        .set("store.clock_skew", "1ms");
    let gateways = [world.start_replica().await, world.start_replica().await];
    let mut clients = Vec::new();
    for gateway in &gateways {
        clients.push((gateway.client().await, gateway.inquirer().await));
    }
    let clients = clients.try_into().ok().unwrap();
    let mut rounds = Rounds {
        world,
        clients,
        http: reqwest::Client::new(),
        dice: Dice(seed),
        meant: BTreeMap::new(),
    };
    let mut answered = 0;
    for round in 0..ROUNDS {
        answered += rounds.round(round).await;
    }
    let twice = rounds.world.paid_twice().await;
    assert!(twice.is_empty(), "{twice:#?}; seed {seed}");
    let sent = rounds.assert_each_was_meant(seed).await;
    let bills = rounds.world.ask_sandbox("bills").await;
    let bills = bills.as_array().unwrap().len();
    eprintln!("{answered} calls answered, {sent} payments sent, {bills} bills paid");
    assert!(bills > ROUNDS / 2, "{bills} bills only; seed {seed}");
}
