//! The values of the chart for each topology of Redis.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::helm_chart::{find, render, render_all};

/// Returns the text of a file that a pod mounts from a Secret, in the form `secret/key`.
fn mounted(documents: &[Value], path: &str) -> Option<String> {
    let pod = &find(documents, "Deployment", "gateway")["spec"]["template"]["spec"];
    let mut mounts = pod["containers"][0]["volumeMounts"].as_array()?.iter();
    let (folder, file) = path.rsplit_once('/')?;
    let mount = mounts.find(|mount| mount["mountPath"] == folder)?;
    let mut volumes = pod["volumes"].as_array()?.iter();
    let volume = volumes.find(|volume| volume["name"] == mount["name"])?;
    let mut items = volume["secret"]["items"].as_array()?.iter();
    let item = items.find(|item| item["path"] == file)?;
    let name = volume["secret"]["secretName"].as_str()?;
    Some(format!("{name}/{}", item["key"].as_str()?))
}

/// Returns the section `store` of a rendered configuration.
fn store_section(documents: &[Value]) -> BTreeMap<String, String> {
    let map = find(documents, "ConfigMap", "gateway");
    let toml = map["data"]["gateway.toml"].as_str().unwrap();
    let (_, section) = toml.split_once("[store]\n").unwrap();
    let section = section.split("\n[").next().unwrap().trim();
    let pairs = section.lines().map(|line| line.split_once(" = ").unwrap());
    pairs
        .map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

#[tokio::test]
async fn topologies_of_redis_are_configured_with_mounted_secrets() {
    for (values, expected) in [
        (
            "sentinel",
            &[
                ("topology", "sentinel"),
                ("sentinel_primary", "okebayar"),
                ("username", "okebayar"),
                ("password_file", "okebayar-redis/password"),
                ("sentinel_username", "okebayar"),
                ("sentinel_password_file", "okebayar-redis/sentinel-password"),
                ("acknowledging_replicas", "all"),
            ][..],
        ),
        (
            "cluster",
            &[
                ("topology", "cluster"),
                ("username", "okebayar"),
                ("password_file", "okebayar-redis/password"),
                ("tls_ca_file", "okebayar-redis-ca/ca.crt"),
                ("tls_cert_file", "okebayar-redis-client/tls.crt"),
                ("tls_key_file", "okebayar-redis-client/tls.key"),
                ("acknowledging_replicas", "all"),
            ],
        ),
        ("production", &[]),
    ] {
        let documents = render(values, &json!({})).await.unwrap();
        let mut section = store_section(&documents);
        for common in ["kind", "partitions", "failover_guard"] {
            assert!(section.remove(common).is_some(), "{values} {common}");
        }
        let url = section.remove("url").unwrap_or_default();
        assert_eq!(
            url.split(',').count(),
            if values == "production" { 1 } else { 3 }
        );
        for (key, value) in &mut section {
            if key.ends_with("_file") {
                *value = mounted(&documents, value).unwrap_or_else(|| panic!("{key}: {value}"));
            }
        }
        let expected: BTreeMap<String, String> = expected
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(section, expected, "{values}");
    }
    // The count is a number in the configuration.
    let two = json!({ "store": { "redis": { "acknowledgingReplicas": 2 } } });
    let documents = render("cluster", &two).await.unwrap();
    let map = find(&documents, "ConfigMap", "gateway");
    let toml = map["data"]["gateway.toml"].as_str().unwrap();
    assert!(toml.contains("\nacknowledging_replicas = 2\n"), "{toml}");
}

/// A failover may then lose claims, which the notes say.
#[tokio::test]
async fn notes_warn_of_claims_without_acknowledgement() {
    for (values, replicas, warns) in [
        ("sentinel", json!(0), true),
        ("cluster", json!(0), true),
        ("cluster", json!("all"), false),
        ("production", json!(0), false),
    ] {
        let changes = json!({ "store": { "redis": { "acknowledgingReplicas": replicas } } });
        let rendered = render_all(&[], values, &changes).await.unwrap();
        let notes = rendered["notes"].as_str().unwrap();
        let warned = notes.contains("store.redis.acknowledgingReplicas is 0");
        assert_eq!(warned, warns, "{values} {replicas}: {notes}");
    }
}

#[tokio::test]
async fn network_policy_admits_redis_and_its_sentinels_only() {
    let redis =
        json!([{ "podSelector": { "matchLabels": { "app.kubernetes.io/name": "redis" } } }]);
    let own = json!([{ "podSelector": { "matchLabels": { "app.kubernetes.io/name": "redis-sentinel" } } }]);
    let none = json!({});
    let no_own = json!({ "networkPolicy": { "sentinels": [] } });
    for (values, changes, sentinels) in [
        ("sentinel", &none, Some(&own)),
        ("sentinel", &no_own, Some(&redis)),
        ("cluster", &none, None),
        ("production", &none, None),
    ] {
        let documents = render(values, changes).await.unwrap();
        let policy = find(&documents, "NetworkPolicy", "gateway");
        let to = |port: u64| {
            let mut rules = policy["spec"]["egress"].as_array().unwrap().iter();
            let rule =
                rules.find(|rule| rule["ports"] == json!([{ "port": port, "protocol": "TCP" }]));
            rule.map(|rule| rule["to"].clone())
        };
        assert_eq!(to(6379).as_ref(), Some(&redis), "{values}");
        assert_eq!(to(26379).as_ref(), sentinels, "{values} {changes}");
        // Only the nodes of a cluster use its bus.
        assert_eq!(to(16379), None, "{values}");
    }
}

#[tokio::test]
async fn keys_of_encryption_are_mounted_and_named_in_order() {
    let encryption = json!({"secretName": "okebayar-keys", "keyIds": ["none", "k2", "k1"]});
    let values = json!({"store": {"encryption": encryption}});
    let documents = render("production", &values).await.unwrap();
    let files = store_section(&documents).remove("encryption_key_files");
    assert_eq!(
        files.unwrap(),
        r#"["none", "k2:/run/secrets/encryption/k2", "k1:/run/secrets/encryption/k1"]"#
    );
    let pod = &find(&documents, "Deployment", "gateway")["spec"]["template"]["spec"];
    let named = |list: &Value| {
        let mut entries = list.as_array().unwrap().iter();
        entries.find(|entry| entry["name"] == "encryption").cloned()
    };
    let mount = named(&pod["containers"][0]["volumeMounts"]).unwrap();
    assert_eq!(mount["mountPath"], "/run/secrets/encryption");
    let volume = named(&pod["volumes"]).unwrap();
    assert_eq!(volume["secret"]["secretName"], "okebayar-keys");
}
