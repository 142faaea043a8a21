//! The helm chart and the Dockerfile: rendered by the real Helm engine, valid for Kubernetes, and
//! consistent with the binary.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{
    process::PATIENCE,
    tls::Authority,
    world::{BINARY, StoreKind, World},
};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Returns a command for a program that `.ci/install-tools` installed.
fn tool(name: &str) -> Command {
    let program = root("target/tools/python/bin").join(name);
    assert!(program.exists(), "{name} is missing: run `make tools`");
    let mut command = Command::new(program);
    command.kill_on_drop(true);
    command
}

async fn output(mut command: Command) -> Output {
    let output = tokio::time::timeout(PATIENCE * 2, command.output()).await;
    output.expect("the command timed out").unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Renders the chart with one of its value sets and changes; returns the error if it is rejected.
pub(super) async fn render(values: &str, changes: &Value) -> Result<Vec<Value>, String> {
    render_as(&[], values, changes).await
}

/// Renders the chart as [`render`] does, with options of `render.py`.
async fn render_as(options: &[&str], values: &str, changes: &Value) -> Result<Vec<Value>, String> {
    let rendered = render_all(options, values, changes).await?;
    Ok(rendered["documents"].as_array().unwrap().clone())
}

/// Renders the chart and returns its documents and notes.
pub(super) async fn render_all(
    options: &[&str],
    values: &str,
    changes: &Value,
) -> Result<Value, String> {
    let folder = tempfile::tempdir().unwrap();
    let over = folder.path().join("over.json");
    std::fs::write(&over, changes.to_string()).unwrap();
    let mut command = tool("python");
    command
        .arg(root("tests/helm/render.py"))
        .args(options)
        .arg(root("helm/okebayar-gateway"))
        .arg(root(&format!("helm/okebayar-gateway/values-{values}.yaml")))
        .arg(&over)
        .env("HELM_DRIVER", "memory");
    let output = output(command).await;
    if !output.status.success() {
        return Err(text(&output.stderr));
    }
    let rendered: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!rendered["notes"].as_str().unwrap().is_empty());
    Ok(rendered)
}

/// Returns the only document of a kind, selected by name if there are several.
pub(super) fn find<'a>(documents: &'a [Value], kind: &str, name_end: &str) -> &'a Value {
    let mut found = documents.iter().filter(|document| {
        let name = document["metadata"]["name"].as_str().unwrap();
        document["kind"] == kind && name.ends_with(name_end)
    });
    let first = found
        .next()
        .unwrap_or_else(|| panic!("no {kind} {name_end}"));
    assert!(found.next().is_none(), "several {kind} {name_end}");
    first
}

fn kinds(documents: &[Value]) -> BTreeMap<&str, usize> {
    let mut kinds = BTreeMap::new();
    for document in documents {
        *kinds.entry(document["kind"].as_str().unwrap()).or_default() += 1;
    }
    kinds
}

/// Validates documents strictly against Kubernetes' own schemas: unknown fields are errors.
async fn assert_valid(documents: &[Value], case: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.yaml");
    let parts: Vec<String> = documents.iter().map(ToString::to_string).collect();
    std::fs::write(&file, parts.join("\n---\n")).unwrap();
    for version in ["1.29", "1.33"] {
        let mut command = tool("kubernetes-validate");
        command.args(["--strict", "-k", version]).arg(&file);
        let output = output(command).await;
        let printed = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{case} on {version}: {printed}");
    }
}

/// Returns every container of every pod, with its pod.
fn containers(documents: &[Value]) -> Vec<(&Value, &Value)> {
    let pod = |document: &'_ Value| match document["kind"].as_str() {
        Some("Pod") => document["spec"].is_object(),
        _ => document["spec"]["template"]["spec"].is_object(),
    };
    documents
        .iter()
        .filter(|document| pod(document))
        .flat_map(|document| {
            let spec = match document["kind"].as_str() {
                Some("Pod") => &document["spec"],
                _ => &document["spec"]["template"]["spec"],
            };
            let containers = spec["containers"].as_array().unwrap();
            containers.iter().map(move |container| (spec, container))
        })
        .collect()
}

#[tokio::test]
async fn value_sets_render_valid_and_restricted() {
    for (values, kind, count) in [
        ("dev", "StatefulSet", 10),
        ("staging", "Deployment", 11),
        ("production", "Deployment", 14),
        ("sentinel", "Deployment", 14),
        ("cluster", "Deployment", 14),
    ] {
        let documents = render(values, &json!({})).await.unwrap();
        assert_eq!(documents.len(), count, "{values}: {:?}", kinds(&documents));
        assert_valid(&documents, values).await;
        find(&documents, kind, "gateway");
        for (pod, container) in containers(&documents) {
            assert_eq!(pod["automountServiceAccountToken"], false, "{values}");
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
            assert_eq!(
                pod["securityContext"]["seccompProfile"]["type"],
                "RuntimeDefault"
            );
            let security = &container["securityContext"];
            assert_eq!(security["readOnlyRootFilesystem"], true);
            assert_eq!(security["allowPrivilegeEscalation"], false);
            assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
            assert!(container["resources"]["limits"]["memory"].is_string());
        }
        assert!(
            !kinds(&documents).contains_key("Secret"),
            "existing Secrets only"
        );
        for document in &documents {
            let labels = &document["metadata"]["labels"];
            for label in ["name", "instance", "version", "managed-by", "part-of"] {
                let label = format!("app.kubernetes.io/{label}");
                assert!(labels[&label].is_string(), "{values} {label}: {document}");
            }
        }
    }
}

#[tokio::test]
async fn chart_values_change_their_resources() {
    let on = json!({ "enabled": true });
    let off = json!({ "enabled": false });
    let parents = json!([{ "name": "public" }]);
    let cases = [
        (json!({ "autoscaling": on }), "HorizontalPodAutoscaler", 1),
        (json!({ "disruptionBudget": off }), "PodDisruptionBudget", 0),
        (json!({ "networkPolicy": off }), "NetworkPolicy", 0),
        (json!({ "callbacks": { "ingress": off } }), "Ingress", 0),
        (
            json!({ "callbacks": { "httpRoute": { "enabled": true, "host": "x.example", "parentRefs": parents } } }),
            "HTTPRoute",
            1,
        ),
        (
            json!({ "monitoring": { "serviceMonitor": off } }),
            "ServiceMonitor",
            0,
        ),
        (
            json!({ "monitoring": { "prometheusRule": on } }),
            "PrometheusRule",
            1,
        ),
        (
            json!({ "monitoring": { "dashboards": on } }),
            "ConfigMap",
            2,
        ),
        (
            json!({ "sandbox": { "enabled": true, "pinSecret": { "name": "s", "key": "pin" } } }),
            "Deployment",
            2,
        ),
        (
            json!({
                "extraEnv": [{ "name": "A", "value": "1" }],
                "extraVolumes": [{ "name": "tmp", "emptyDir": {} }],
                "extraVolumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
                "image": { "digest": format!("sha256:{}", "a".repeat(64)) },
                "nodeSelector": { "disk": "fast" },
                "tolerations": [{ "key": "k", "operator": "Exists" }],
                "podAnnotations": { "a": "b" },
                "podLabels": { "c": "d" },
                "priorityClassName": "high",
                "service": { "annotations": { "e": "f" } },
            }),
            "Deployment",
            1,
        ),
    ];
    for (changes, kind, count) in cases {
        let documents = render("staging", &changes).await.unwrap();
        let found = kinds(&documents).get(kind).copied().unwrap_or_default();
        assert_eq!(found, count, "{changes}");
        assert_valid(&documents, &changes.to_string()).await;
    }
    let default = render("staging", &json!({})).await.unwrap();
    let changed = render(
        "staging",
        &json!({ "settings": { "limits": { "queue": 7 }, "store": { "failover_guard": "1h" } } }),
    )
    .await;
    let checksum = |documents: &[Value]| {
        let pod = &find(documents, "Deployment", "gateway")["spec"]["template"];
        pod["metadata"]["annotations"]["checksum/config"].clone()
    };
    assert_ne!(
        checksum(&default),
        checksum(&changed.unwrap()),
        "a change rolls the pods"
    );
}

#[tokio::test]
async fn contradictory_chart_values_are_rejected() {
    let cases = [
        ("staging", json!({ "replcias": 3 }), "replcias"),
        ("staging", json!({ "store": { "kind": "sqlite" } }), "kind"),
        (
            "staging",
            json!({ "store": { "redis": { "urlSecret": { "name": "" } } } }),
            "name",
        ),
        (
            "staging",
            json!({ "store": { "redis": { "url": "redis://other:6379" } } }),
            "url",
        ),
        (
            "sentinel",
            json!({ "store": { "redis": { "url": "redis://:password@host:6379" } } }),
            "url",
        ),
        (
            "sentinel",
            json!({ "store": { "redis": { "sentinelPrimary": "" } } }),
            "sentinelPrimary",
        ),
        (
            "staging",
            json!({ "store": { "redis": { "topology": "replicated" } } }),
            "topology",
        ),
        (
            "staging",
            json!({ "store": { "redis": { "acknowledgingReplicas": "all" } } }),
            "acknowledgingReplicas",
        ),
        (
            "staging",
            json!({ "accounts": { "main": { "pin": "1234" } } }),
            "pin",
        ),
        (
            "staging",
            json!({ "accounts": { "main": { "formerly": ["Old One"] } } }),
            "formerly",
        ),
        ("staging", json!({ "settings": { "limit": {} } }), "limit"),
        (
            "staging",
            json!({ "settings": { "allow_short_times": true } }),
            "allow_short_times",
        ),
        (
            "staging",
            json!({ "settings": { "store": { "partitions": "7" } } }),
            "partitions",
        ),
        (
            "staging",
            json!({ "callbacks": { "ingress": { "enabled": true, "host": "" } } }),
            "host",
        ),
        ("dev", json!({ "replicas": 2 }), "replicas"),
        (
            "dev",
            json!({ "autoscaling": { "enabled": true } }),
            "enabled",
        ),
        (
            "production",
            json!({ "store": { "kind": "embedded" } }),
            "kind",
        ),
        (
            "production",
            json!({ "sandbox": { "enabled": true, "pinSecret": { "name": "s", "key": "k" } } }),
            "enabled",
        ),
    ];
    for (values, changes, named) in cases {
        let refused = render(values, &changes).await;
        let why = refused.expect_err(&changes.to_string());
        assert!(why.contains(named), "{changes}: {why}");
    }
}

#[tokio::test]
async fn rendered_configuration_passes_check() {
    let renamed = json!({ "accounts": { "main": { "formerly": ["old", "older"] } } });
    for values in ["dev", "staging", "production", "sentinel", "cluster"] {
        let documents = render(values, &renamed).await.unwrap();
        let map = find(&documents, "ConfigMap", "gateway");
        let toml = map["data"]["gateway.toml"].as_str().unwrap();
        assert!(toml.contains("formerly = [\"old\", \"older\"]"), "{toml}");
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("gateway.toml");
        std::fs::write(&config, toml).unwrap();
        // Secrets are mounted in a pod; here they are at another path.
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "1234").unwrap();
        let callback = folder.path().join("callback");
        std::fs::write(&callback, "0123456789abcdef\n").unwrap();
        let authority = Authority::create(folder.path(), "authority");
        let pem = authority.file();
        let mut command = Command::new(BINARY);
        command
            .args(["serve", "--check", "--offline", "--config"])
            .arg(&config);
        command.env("OKEBAYAR_GATEWAY__ACCOUNTS__MAIN__PIN_FILE", &secret);
        for (key, file) in [
            ("password", &secret),
            ("sentinel_password", &secret),
            ("tls_ca", &pem),
            ("tls_cert", &pem),
            ("tls_key", &pem),
        ] {
            if toml.contains(&format!("\n{key}_file = ")) {
                let variable = format!("OKEBAYAR_GATEWAY__STORE__{}_FILE", key.to_uppercase());
                command.env(variable, file);
            }
        }
        if ["staging", "production"].contains(&values) {
            command.env("OKEBAYAR_GATEWAY__STORE__URL", "redis://localhost");
        }
        if values != "dev" {
            command.env(
                "OKEBAYAR_GATEWAY__ACCOUNTS__MAIN__CALLBACK_SECRET_FILE",
                &callback,
            );
        }
        let output = output(command).await;
        assert!(
            output.status.success(),
            "{values}: {}",
            text(&output.stderr)
        );
    }
}

#[tokio::test]
async fn chart_ports_probes_and_commands_exist_in_binary() {
    let documents = render("dev", &json!({})).await.unwrap();
    let gateway = &find(&documents, "StatefulSet", "gateway")["spec"]["template"]["spec"];
    let container = &gateway["containers"][0];
    let ports: BTreeMap<&str, u64> = container["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| {
            (
                port["name"].as_str().unwrap(),
                port["containerPort"].as_u64().unwrap(),
            )
        })
        .collect();
    let toml = find(&documents, "ConfigMap", "gateway")["data"]["gateway.toml"]
        .as_str()
        .unwrap();
    for (name, port) in &ports {
        assert!(
            toml.contains(&format!("[{name}]\nlisten = \"0.0.0.0:{port}\"")),
            "{name}"
        );
    }
    for document in documents
        .iter()
        .filter(|document| document["kind"] == "Service")
    {
        for port in document["spec"]["ports"].as_array().unwrap() {
            let target = port["targetPort"].as_str().unwrap();
            let known = ports.get(target).copied();
            let expected = known.or((target == "okebayar").then_some(8090));
            assert_eq!(port["port"].as_u64(), expected, "{document}");
        }
    }
    // The termination grace period covers preStop, the drain, and a margin.
    let grace = gateway["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert_eq!(grace, 5 + 68 + 10);

    let world = World::new(StoreKind::Embedded).await;
    let running = world.start_gateway().await;
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let get = &container[probe]["httpGet"];
        assert_eq!(get["port"], "admin");
        let url = format!("http://{}{}", running.admin, get["path"].as_str().unwrap());
        assert_eq!(
            reqwest::get(url).await.unwrap().status().as_u16(),
            200,
            "{probe}"
        );
    }
    let run = async |arguments: &Value, change: (&str, &str)| {
        let arguments = arguments.as_array().unwrap().iter();
        let arguments =
            arguments.map(|argument| argument.as_str().unwrap().replace(change.0, change.1));
        let mut command = Command::new(BINARY);
        command.args(arguments).kill_on_drop(true);
        output(command).await
    };
    let pause = &container["lifecycle"]["preStop"]["exec"]["command"];
    assert_eq!(pause[0], "/usr/local/bin/okebayar-gateway");
    let pause = json!(pause.as_array().unwrap()[1..]);
    assert!(run(&pause, ("5s", "1ms")).await.status.success());
    let health = &find(&documents, "Pod", "test-health")["spec"]["containers"][0]["args"];
    let address = running.grpc.to_string();
    assert!(
        run(health, ("okebayar-gateway-grpc:50051", &address))
            .await
            .status
            .success()
    );
    let sandbox = &find(&documents, "Deployment", "sandbox")["spec"]["template"]["spec"];
    let help = json!(
        [
            sandbox["containers"][0]["args"]
                .as_array()
                .unwrap()
                .as_slice(),
            &[json!("--help")]
        ]
        .concat()
    );
    assert!(run(&help, ("", "")).await.status.success());
}

#[test]
fn chart_readme_documents_every_value() {
    let readme = std::fs::read_to_string(root("helm/okebayar-gateway/README.md")).unwrap();
    let schema = std::fs::read_to_string(root("helm/okebayar-gateway/values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let mut missing = Vec::new();
    tell(&schema, "", &readme, &mut missing);
    assert_eq!(missing, Vec::<String>::new());
}

/// Collects every value without a row.
fn tell(schema: &Value, path: &str, readme: &str, missing: &mut Vec<String>) {
    let Some(properties) = schema["properties"].as_object() else {
        if !readme.contains(&format!("| `{path}` |")) {
            missing.push(path.to_owned());
        }
        return;
    };
    for (name, below) in properties {
        if path.is_empty() && name == "global" {
            continue;
        }
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        tell(below, &path, readme, missing);
    }
}

#[tokio::test]
async fn embedded_store_must_exist_on_chart_upgrade() {
    let set = |value: bool| json!({ "store": { "embedded": { "mustExist": value } } });
    let none = json!({});
    for (options, changes, expected) in [
        (&[][..], &none, false),
        (&["--upgrade"][..], &none, true),
        (&["--upgrade"][..], &set(false), false),
        (&[][..], &set(true), true),
    ] {
        let documents = render_as(options, "dev", changes).await.unwrap();
        let config = find(&documents, "ConfigMap", "gateway");
        let toml = config["data"]["gateway.toml"].as_str().unwrap();
        let line = format!("must_exist = {expected}\n");
        assert!(toml.contains(&line), "{options:?} {changes}: {toml}");
        // Until the value is set permanently, a rollback to the first install reverts it.
        let rendered = render_all(options, "dev", changes).await.unwrap();
        let notes = rendered["notes"].as_str().unwrap();
        let asks = notes.contains("Set store.embedded.mustExist: true");
        assert_eq!(asks, *changes == none, "{options:?} {changes}: {notes}");
    }
}

#[tokio::test]
async fn dockerfile_passes_hadolint() {
    let mut command = tool("hadolint");
    command.arg(root("Dockerfile"));
    let output = output(command).await;
    assert!(output.status.success(), "{}", text(&output.stdout));
}
