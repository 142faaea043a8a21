use std::{collections::BTreeMap, time::Duration};

use jiff::SignedDuration;
use uuid::Uuid;

use super::{Faults, Settings};
use crate::store::{StoreSettings, redis::AcknowledgingReplicas};
use crate::transaction::AccountName;

const GOOD: [(&str, &str); 3] = [
    ("accounts.main.url", "https://okebayar.example/api"),
    ("accounts.main.userid", "member"),
    ("accounts.main.pin", "1234"),
];

fn with(changes: &[(&'static str, &str)]) -> Result<Settings, Faults> {
    let pairs: BTreeMap<&str, String> = GOOD
        .iter()
        .chain(changes)
        .map(|(key, value)| (*key, (*value).to_owned()))
        .collect();
    Settings::from_pairs(pairs)
}

fn faults(changes: &[(&'static str, &str)]) -> String {
    with(changes).err().unwrap().to_string()
}

#[test]
fn a_fault_in_the_longest_purchase_leaves_the_drain_a_known_key() {
    let told = faults(&[("limits.queue_timeout", "soon"), ("shutdown.drain", "2m")]);
    assert!(told.contains("limits.queue_timeout"), "{told}");
    assert!(!told.contains("shutdown.drain"), "{told}");
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let settings = with(&[]).unwrap();
    assert_eq!(settings.default_account.as_str(), "main");
    assert_eq!(settings.schedule.sending, SignedDuration::from_secs(68));
    assert_eq!(settings.drain, Duration::from_secs(68));
    assert_eq!(
        settings.rules.not_received_after,
        SignedDuration::from_secs(613)
    );
}

#[test]
fn every_fault_is_reported_at_once() {
    let faults = faults(&[
        ("grpc.listen", "here"),
        ("limits.sending", "0"),
        ("checks.delays", "1m, soon"),
        ("accounts.main.url", "http://okebayar.example"),
        ("accounts.main.pin", ""),
        ("accounts.main.failed_codes", "204"),
        ("shutdown.drain", "1s"),
        ("grpc.lisen", "0.0.0.0:1"),
    ]);
    for key in [
        "grpc.listen",
        "limits.sending",
        "checks.delays",
        "accounts.main.url",
        "accounts.main.pin",
        "accounts.main.failed_codes",
        "grpc.lisen",
    ] {
        assert!(
            faults.contains(&format!("\n  {key}: ")),
            "{key} in {faults}"
        );
    }
    assert!(
        faults.contains("set accounts.main.allow_plain_http = true"),
        "{faults}"
    );
}

#[test]
fn the_embedded_store_has_a_timeout_and_may_be_made() {
    let embedded = |changes: &[(&'static str, &str)]| match with(changes).unwrap().store {
        StoreSettings::Embedded { settings, .. } => (settings.timeout, settings.must_exist),
        StoreSettings::Redis(_) => panic!("it is not the default"),
    };
    assert_eq!(embedded(&[]), (Duration::from_secs(3), false));
    let set = [("store.must_exist", "true"), ("store.timeout", "1s")];
    assert_eq!(embedded(&set), (Duration::from_secs(1), true));
    let of_redis = [
        ("store.kind", "redis"),
        ("store.url", "redis://localhost"),
        ("store.must_exist", "true"),
    ];
    assert!(faults(&of_redis).contains("store.must_exist: unknown key"));
}

#[test]
fn a_drain_shorter_than_a_purchase_is_refused() {
    assert!(faults(&[("shutdown.drain", "67s")]).contains("shutdown.drain: "));
    assert!(with(&[("shutdown.drain", "68s")]).is_ok());
}

#[test]
fn plain_http_is_for_loopback_only() {
    for url in [
        "http://127.0.0.1:8090/",
        "http://[::1]:8090/",
        "http://localhost/",
    ] {
        assert!(with(&[("accounts.main.url", url)]).is_ok(), "{url}");
    }
    assert!(faults(&[("accounts.main.url", "http://10.0.0.1/")]).contains("plain http"));
}

#[test]
fn the_default_account_must_be_named_among_several() {
    let second = [
        ("accounts.second.url", "https://okebayar.example/api"),
        ("accounts.second.userid", "member2"),
        ("accounts.second.pin", "1234"),
    ];
    assert!(
        faults(&second)
            .contains("default_account: required, because several accounts are configured")
    );
    let named = [&second[..], &[("default_account", "second")]].concat();
    assert_eq!(with(&named).unwrap().default_account.as_str(), "second");
}

#[test]
fn one_user_id_is_one_account() {
    let second = |user_id| {
        [
            ("default_account", "main"),
            ("accounts.second.url", "https://okebayar.example/api"),
            ("accounts.second.userid", user_id),
            ("accounts.second.pin", "1234"),
        ]
    };
    assert!(with(&second("member2")).is_ok());
    for same in ["member", "MEMBER"] {
        let faults = faults(&second(same));
        assert!(
            faults.contains("accounts.second.userid: duplicates the user id of account main"),
            "{faults}"
        );
    }
}

#[test]
fn a_former_name_is_nobody_elses_name() {
    let second = [
        ("default_account", "main"),
        ("accounts.second.url", "https://okebayar.example/api"),
        ("accounts.second.userid", "member2"),
        ("accounts.second.pin", "1234"),
    ];
    let formerly = |main, others| {
        let former = [
            ("accounts.main.formerly", main),
            ("accounts.second.formerly", others),
        ];
        with(&[&second[..], &former[..]].concat())
    };
    let settings = formerly("old, older", "x").unwrap();
    let names = settings.identity(Uuid::nil()).names;
    let name = |text| AccountName::parse(text).unwrap();
    assert_eq!(names.current(&name("older")), &name("main"));
    assert_eq!(names.current(&name("x")), &name("second"));
    for (main, others, problem) in [
        (
            "second",
            "",
            "accounts.main.formerly: second is the name of a configured account",
        ),
        (
            "main",
            "",
            "accounts.main.formerly: main is the name of a configured account",
        ),
        (
            "old, old",
            "",
            "accounts.main.formerly: old is already listed in accounts.main.formerly",
        ),
        (
            "old",
            "old",
            "accounts.second.formerly: old is already listed in accounts.main.formerly",
        ),
        (
            "Old One",
            "",
            "accounts.main.formerly: invalid value \"Old One\"",
        ),
    ] {
        let faults = formerly(main, others).err().unwrap().to_string();
        assert!(faults.contains(problem), "{faults}");
    }
}

#[test]
fn a_secret_in_the_toml_file_is_refused_without_being_shown() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[accounts.main]\npin = \"hush-hush\"\n").unwrap();
    let faults = Settings::load(Some(file.path())).err().unwrap().to_string();
    assert!(
        faults.contains("accounts.main.pin: secrets are not allowed in the TOML file"),
        "{faults}"
    );
    assert!(!faults.contains("hush-hush"));
}

#[test]
fn times_of_watches_and_connections_are_bounded() {
    let limits = with(&[]).unwrap().limits;
    assert_eq!(limits.watch_heartbeat, Duration::from_secs(20));
    assert_eq!(limits.watch_age, Duration::from_mins(30));
    assert_eq!(limits.connection_age, Duration::from_mins(25));
    let all = faults(&[
        ("limits.watchers", "0"),
        ("limits.watch_heartbeat", "601s"),
        ("limits.watch_age", "25h"),
        ("limits.connection_age", "0s"),
    ]);
    for part in [
        "\n  limits.watchers: ",
        "\n  limits.watch_heartbeat: 10m 1s is too long; use at most 10m",
        "\n  limits.watch_age: 25h is too long; use at most 24h",
        "\n  limits.connection_age: invalid value",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
    let late = faults(&[("limits.watch_age", "1m"), ("limits.watch_heartbeat", "1m")]);
    assert!(late.contains("use less than limits.watch_age"), "{late}");
    let retained = |retention: &'static str| {
        with(&[
            ("store.kind", "redis"),
            ("store.url", "redis://localhost"),
            ("store.event_retention", retention),
        ])
    };
    assert!(retained("40s").is_ok());
    let late = retained("39s").err().unwrap().to_string();
    assert!(late.contains("half of store.event_retention"), "{late}");
}

#[test]
fn each_topology_of_redis_requires_its_own_urls() {
    let redis = |changes: &[(&'static str, &'static str)]| {
        let kind = [("store.kind", "redis")];
        let all: Vec<_> = kind.iter().chain(changes).copied().collect();
        with(&all).map(|settings| match settings.store {
            StoreSettings::Redis(settings) => settings,
            StoreSettings::Embedded { .. } => panic!("it is not configured"),
        })
    };
    let refused = |changes: &[(&'static str, &'static str)], part: &str| {
        let refused = redis(changes).unwrap_err().to_string();
        assert!(refused.contains(part), "{part} in {refused}");
        assert!(!refused.contains("hush"), "{refused}");
    };
    let sentinels = "redis://a:26379, redis://b:26379";
    let topology = |name| ("store.topology", name);
    let url = |url| ("store.url", url);
    let primary = ("store.sentinel_primary", "mymaster");
    let settings = redis(&[topology("sentinel"), url(sentinels), primary]).unwrap();
    assert_eq!(settings.topology.name(), "sentinel");
    assert_eq!(settings.acknowledging, AcknowledgingReplicas::AtLeast(0));
    let all = ("store.acknowledging_replicas", "all");
    let settings = redis(&[topology("cluster"), url("rediss://a:1,rediss://b:2"), all]).unwrap();
    assert_eq!(settings.acknowledging, AcknowledgingReplicas::All);

    refused(&[url(sentinels)], "store.url: several URLs");
    refused(&[url("redis://:hush@a:1,rediss://b:2")], "not one scheme");
    refused(
        &[topology("sentinel"), url(sentinels)],
        "store.sentinel_primary: ",
    );
    let without_port = [topology("sentinel"), url("redis://a"), primary];
    refused(&without_port, "usually 26379");
    refused(
        &[topology("cluster"), url("redis://a:1/3")],
        "a cluster has one database",
    );
    refused(
        &[topology("ring"), url("redis://a")],
        "use standalone, sentinel or cluster",
    );
    refused(&[url("redis://a"), all], "set their number");
    let some = ("store.acknowledging_replicas", "some");
    refused(&[url("redis://a"), some], "use all, or a number");
    refused(
        &[url("redis://a"), ("store.username", "u")],
        "set store.password",
    );
    let missing = ("store.tls_ca_file", "/nowhere/ca.pem");
    refused(&[url("rediss://a"), missing], "store.tls_ca_file: ");
}
