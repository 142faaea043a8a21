//! The safe bounds of `[retention]`.

use okebayar_gateway::config::Settings;

const REQUIRED: [(&str, &str); 3] = [
    ("accounts.main.url", "https://okebayar.example/"),
    ("accounts.main.userid", "member"),
    ("accounts.main.pin", "1234"),
];

/// Returns the faults of a configuration, one in each line.
fn faults(changes: &[(&'static str, &str)]) -> String {
    let pairs = REQUIRED.iter().chain(changes);
    let pairs: Vec<(&str, String)> = pairs
        .map(|(key, value)| (*key, (*value).to_owned()))
        .collect();
    match Settings::from_pairs(pairs) {
        Ok(_) => String::new(),
        Err(faults) => faults.to_string(),
    }
}

#[test]
fn retention_outlasts_what_may_still_need_a_record() {
    let redis = [("store.kind", "redis"), ("store.url", "redis://localhost")];
    let with = |change: (&'static str, &'static str)| faults(&[redis[0], redis[1], change]);
    for (key, value, expected) in [
        ("retention.final", "719h", "checks.age_max"),
        ("retention.final", "1h", "store.event_retention"),
        ("retention.final", "8761h", "at most 8760h"),
        ("store.failover_guard", "2000h", "retention.final"),
        ("store.failover_guard", "10000h", "retention.lists"),
        ("checks.give_up_after", "1000h", "retention.final"),
        ("store.event_retention", "900h", "retention.final"),
        ("retention.tombstones", "2159h", "at least 2160h"),
        ("retention.not_sent", "23h", "retention.not_sent"),
        ("limits.queue_timeout", "25h", "retention.not_sent"),
        ("retention.lists", "839h", "retention.lists"),
        ("retention.renewal_interval", "13h", "at most 12h"),
        ("retention.interval", "0s", "retention.interval"),
    ] {
        let told = with((key, value));
        assert!(told.contains(expected), "{key} = {value}: {told}");
    }
    assert_eq!(with(("retention.final", "721h")), "");
    let long = [
        ("retention.final", "8760h"),
        ("retention.tombstones", "87600h"),
    ];
    assert_eq!(faults(&long), "");
    // A tombstone outlasts what it stands for.
    let told = faults(&[
        ("retention.final", "8760h"),
        ("retention.tombstones", "2160h"),
    ]);
    assert!(told.contains("retention.tombstones"), "{told}");
}

#[test]
fn short_retention_requires_opt_in() {
    let short = [
        ("retention.final", "1s"),
        ("retention.tombstones", "1s"),
        ("retention.not_sent", "1s"),
        ("retention.lists", "1s"),
    ];
    for (key, _) in short {
        assert!(faults(&short).contains(key), "{key}");
    }
    let allowed: Vec<_> = short
        .into_iter()
        .chain([("allow_short_times", "true")])
        .collect();
    assert_eq!(faults(&allowed), "");
}
