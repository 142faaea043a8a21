//! The service config of the contract: which calls a gRPC client repeats by itself.

use std::collections::{BTreeMap, BTreeSet};

use okebayar_gateway::grpc::DESCRIPTOR;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use serde_json::Value;
use tonic::Code;

use crate::repository::{contract::idempotency, documents::document};

/// The unary methods that no client repeats by itself: an inquiry without an answer may have been
/// sold.
const NEVER_REPEATED: [&str; 2] = [
    "okebayar.gateway.v1.InquiryService/InquirePrepaid",
    "okebayar.gateway.v1.InquiryService/InquirePostpaid",
];

/// The methods whose every ABORTED asks for the same call again.
const ABORTED_IS_CONTENTION: [&str; 2] = [
    "okebayar.gateway.v1.TransactionService/PayPostpaid",
    "okebayar.gateway.v1.TransactionService/PurchasePrepaid",
];

/// The most attempts that a gRPC library makes, whatever the config says.
const ATTEMPTS_MAX: u64 = 5;

/// The restart that the pauses alone must bridge, where a library ignores `waitForReady`.
const RESTART_SECONDS: f64 = 15.0;

fn config() -> Value {
    serde_json::from_str(&document("proto/okebayar/gateway/v1/service_config.json")).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap_or_else(|| panic!("{name}"))
}

/// Returns the methods of the contract by their name in a call.
fn contract() -> BTreeMap<String, MethodDescriptor> {
    let pool = DescriptorPool::decode(DESCRIPTOR).unwrap();
    let methods: BTreeMap<_, _> = pool
        .services()
        .filter(|service| service.package_name() == "okebayar.gateway.v1")
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| {
            let service = method.parent_service().full_name();
            (format!("{service}/{}", method.name()), method.clone())
        })
        .collect();
    assert!(methods.len() > 10, "{methods:?}");
    methods
}

/// Returns the part of the config for each method that it names.
fn configured(config: &Value) -> BTreeMap<String, Value> {
    let mut parts = BTreeMap::new();
    for part in list(config, "methodConfig") {
        for name in list(part, "name") {
            let (service, method) = (&name["service"], &name["method"]);
            let name = format!("{}/{}", service.as_str().unwrap(), method.as_str().unwrap());
            let twice = parts.insert(name.clone(), part.clone());
            assert!(twice.is_none(), "{name} is configured twice");
        }
    }
    parts
}

/// Parses a duration of a service config, such as `0.5s`.
fn seconds(value: &Value) -> f64 {
    let text = value.as_str().unwrap();
    text.strip_suffix('s').unwrap().parse().unwrap()
}

#[test]
fn service_config_repeats_every_unary_method_but_inquiries() {
    let contract = contract();
    let unary = contract
        .iter()
        .filter(|(_, method)| !method.is_server_streaming() && !method.is_client_streaming())
        .map(|(name, _)| name.as_str());
    let never: BTreeSet<&str> = NEVER_REPEATED.into();
    // The contract says the same of a method as its configuration: proxies go by the level.
    for (name, method) in &contract {
        let is_repeatable = idempotency(method) != "IDEMPOTENCY_UNKNOWN";
        assert_eq!(is_repeatable, !never.contains(name.as_str()), "{name}");
    }
    assert!(never.iter().all(|name| contract.contains_key(*name)));
    let expected: BTreeSet<&str> = unary.filter(|name| !never.contains(name)).collect();
    let config = config();
    let parts = configured(&config);
    let found: BTreeSet<&str> = parts.keys().map(String::as_str).collect();
    assert_eq!(found, expected);
}

#[test]
fn service_config_repeats_only_codes_that_are_safe_for_the_method() {
    let known: BTreeMap<String, Code> = (0..=16)
        .map(Code::from_i32)
        // OUT_OF_RANGE of OutOfRange.
        .map(|code| {
            let name = format!("{code:?}")
                .chars()
                .fold(String::new(), |mut name, letter| {
                    if letter.is_uppercase() && !name.is_empty() {
                        name.push('_');
                    }
                    name.push(letter.to_ascii_uppercase());
                    name
                });
            (name, code)
        })
        .collect();
    for (method, part) in configured(&config()) {
        let codes: BTreeSet<i32> = list(&part["retryPolicy"], "retryableStatusCodes")
            .iter()
            .map(|code| known[code.as_str().unwrap()] as i32)
            .collect();
        let mut expected = BTreeSet::from([Code::Unavailable as i32]);
        expected.insert(Code::ResourceExhausted as i32);
        if ABORTED_IS_CONTENTION.contains(&method.as_str()) {
            expected.insert(Code::Aborted as i32);
        }
        assert_eq!(codes, expected, "{method}");
    }
}

#[test]
fn service_config_bridges_a_restart_within_bounds() {
    let config = config();
    for (method, part) in configured(&config) {
        // A call that waits for a connection must end.
        assert_eq!(part["waitForReady"], true, "{method}");
        assert!(seconds(&part["timeout"]) > 0.0, "{method}");
        let policy = &part["retryPolicy"];
        let attempts = policy["maxAttempts"].as_u64().unwrap();
        assert!((2..=ATTEMPTS_MAX).contains(&attempts), "{method}");
        let (longest, factor) = (
            seconds(&policy["maxBackoff"]),
            policy["backoffMultiplier"].as_f64().unwrap(),
        );
        let pauses = std::iter::successors(Some(seconds(&policy["initialBackoff"])), |pause| {
            Some((pause * factor).min(longest))
        });
        let pauses: Vec<f64> = pauses
            .take(usize::try_from(attempts).unwrap() - 1)
            .collect();
        assert!(pauses[0] < 1.0, "{method}: {pauses:?}");
        assert!(pauses.iter().sum::<f64>() >= RESTART_SECONDS, "{method}");
    }
    // The limits of the specification (gRFC A6).
    let throttling = &config["retryThrottling"];
    assert!((1..=1000).contains(&throttling["maxTokens"].as_u64().unwrap()));
    assert!(throttling["tokenRatio"].as_f64().unwrap() > 0.0);
}
