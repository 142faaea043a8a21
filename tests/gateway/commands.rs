//! The commands as a user runs them: `dev`, `serve`, `serve --check`, `sandbox`.

use std::path::Path;

use okebayar_gateway::{
    config::Settings,
    sandbox::{PRODUCTS, scenario},
};
use tonic::{Code, Streaming, transport::Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::{
    support::metrics::admin,
    support::{
        process::{CANARY_PIN, PATIENCE, Process},
        redis::Redis,
        world::{
            BINARY, Gateway, PLAIN, StoreKind, World, assert_succeeded, buy, error_info, get,
            order, reference,
        },
    },
};

#[tokio::test]
async fn dev_once_buys_and_shows_how_it_settles() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Process::start(BINARY, &["dev", "--once"], &[], folder.path());
    assert!(dev.ended().await.success(), "{}", dev.text());
    let told = dev.text();
    let pending = told.find("PENDING").expect("it shows that it is pending");
    let succeeded = told.find("SUCCEEDED").expect("it shows the success");
    assert!(
        pending < succeeded && told[succeeded..].contains("serial number "),
        "{told}"
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "it leaves nothing behind"
    );
}

#[tokio::test]
async fn health_and_reflection_answer() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let endpoint =
        tonic::transport::Endpoint::from_shared(format!("http://{}", gateway.grpc)).unwrap();
    let channel = endpoint.connect().await.unwrap();
    for service in [
        "",
        "okebayar.gateway.v1.TransactionService",
        "okebayar.gateway.v1.AccountService",
    ] {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let mut watching = HealthClient::new(channel.clone())
            .watch(request)
            .await
            .unwrap()
            .into_inner();
        while watching.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    }
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(list),
    };
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(futures::stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let answer = answers
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    let MessageResponse::ListServicesResponse(services) = answer else {
        panic!("{answer:?}")
    };
    let names: Vec<String> = services
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    for name in [
        "okebayar.gateway.v1.TransactionService",
        "okebayar.gateway.v1.AccountService",
        "grpc.health.v1.Health",
    ] {
        assert!(names.contains(&name.to_owned()), "{names:?}");
    }
}

#[tokio::test]
async fn a_toml_file_configures_and_the_environment_goes_over_it() {
    let world = World::new(StoreKind::Embedded).await;
    let pin_file = world.path().join("pin");
    std::fs::write(&pin_file, format!("{CANARY_PIN}\n")).unwrap();
    let toml = format!(
        r#"
[grpc]
listen = "127.0.0.1:1"
[callbacks]
listen = "127.0.0.1:0"
[store]
path = "elsewhere/gateway.redb"
[checks]
delays = ["1m", "2m"]
[accounts.main]
url = "http://127.0.0.1:{}/"
userid = "test-member"
pin_file = "{}"
not_received_codes = ["400"]
"#,
        world.sandbox_port,
        pin_file.display()
    );
    let file = world.path().join("gateway.toml");
    std::fs::write(&file, toml).unwrap();
    let overridden = [(
        "OKEBAYAR_GATEWAY__GRPC__LISTEN".to_owned(),
        "127.0.0.1:0".to_owned(),
    )];
    let arguments = ["serve", "--config", file.to_str().unwrap()];
    let gateway = Gateway::start(&arguments, &overridden, world.path()).await;
    assert_succeeded(&buy(&mut gateway.client().await, &reference(), PLAIN).await);
    assert!(world.path().join("elsewhere/gateway.redb").exists());
}

async fn refused(environment: &[(String, String)], arguments: &[&str], folder: &Path) -> String {
    let mut process = Process::start(BINARY, arguments, environment, folder);
    assert!(!process.ended().await.success(), "{}", process.text());
    process.text()
}

#[tokio::test]
async fn check_prints_every_fault_and_the_remedy() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let mut check = Process::start(
        BINARY,
        &["serve", "--check"],
        &world.environment(),
        world.path(),
    );
    assert!(check.ended().await.success(), "{}", check.text());
    assert!(!world.store_file().exists(), "a check makes no store");

    world
        .set("accounts.main.url", "http://okebayar.example/")
        .set("shutdown.drain", "1s");
    world.set("limits.queue", "many").set("store.pth", "x");
    let told = refused(&world.environment(), &["serve", "--check"], world.path()).await;
    for key in ["accounts.main.url: ", "limits.queue: ", "store.pth: "] {
        assert!(told.contains(key), "{told}");
    }
    let told = refused(&[], &["serve"], world.path()).await;
    assert!(
        told.contains("accounts: no OKEBAYAR account is configured"),
        "{told}"
    );
}

#[tokio::test]
async fn a_redis_that_may_forget_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let redis = Redis::start_with(folder.path(), &options).await;
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world
        .set("store.kind", "redis")
        .set("store.url", &redis.url);
    let told = refused(&world.environment(), &["serve"], world.path()).await;
    assert!(told.contains("set maxmemory-policy noeviction"), "{told}");
}

/// Waits until the health of the gateway as a whole is reported so.
async fn health_becomes(health: &mut Streaming<HealthCheckResponse>, wanted: ServingStatus) {
    let reported = async { while health.message().await.unwrap().unwrap().status() != wanted {} };
    tokio::time::timeout(PATIENCE, reported)
        .await
        .unwrap_or_else(|_| panic!("the health never became {wanted:?}"));
}

#[tokio::test]
async fn a_redis_that_may_forget_from_now_on_takes_no_claim() {
    let world = World::new(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let endpoint = Endpoint::from_shared(format!("http://{}", gateway.grpc)).unwrap();
    let mut health = HealthClient::new(endpoint.connect().await.unwrap());
    let watching = health.watch(HealthCheckRequest::default()).await;
    let mut health = watching.unwrap().into_inner();
    health_becomes(&mut health, ServingStatus::Serving).await;
    let before = buy(&mut client, &reference(), PLAIN).await;
    assert_succeeded(&before);

    let policy = async |name| {
        let set = ["CONFIG", "SET", "maxmemory-policy", name];
        world.redis.as_ref().unwrap().command(&set).await;
    };
    policy("allkeys-lru").await;
    health_becomes(&mut health, ServingStatus::NotServing).await;
    let (status, problem) = admin(&gateway, "/readyz").await;
    assert_eq!(status, 503);
    assert!(
        problem.contains("set maxmemory-policy noeviction"),
        "{problem}"
    );
    let codes = [reference(), reference(), reference()];
    for code in &codes {
        let refused = client.purchase_prepaid(order(code, PLAIN)).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
        assert_eq!(error_info(&refused).0, "STORE_UNAVAILABLE", "{refused}");
        assert_eq!(world.ledger(code).await.received, 0);
    }
    // It still answers what is read.
    assert_eq!(
        get(&mut client, &before.reference_code).await.unwrap(),
        before
    );

    policy("noeviction").await;
    health_becomes(&mut health, ServingStatus::Serving).await;
    assert_eq!(admin(&gateway, "/readyz").await, (200, "ready\n".into()));
    for code in &codes {
        assert_succeeded(&buy(&mut client, code, PLAIN).await);
        assert_eq!(world.ledger(code).await.received, 1);
    }
}

#[tokio::test]
async fn a_store_of_another_member_is_refused() {
    for kind in [StoreKind::Embedded, StoreKind::Redis] {
        let mut world = World::without_sandbox(kind).await;
        let mut gateway = world.start_gateway().await;
        gateway.process.kill().await;
        world.set("accounts.main.userid", "another-member");
        let told = refused(&world.environment(), &["serve"], world.path()).await;
        assert!(told.contains("account:main"), "{told}");
    }
}

#[tokio::test]
async fn an_embedded_store_is_for_one_process() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let _first = world.start_gateway().await;
    world.set("callbacks.listen", "127.0.0.1:0");
    let told = refused(&world.environment(), &["serve"], world.path()).await;
    assert!(
        told.contains("store.path") && told.contains("gateway.redb"),
        "{told}"
    );
}

#[tokio::test]
async fn a_sandbox_without_a_pin_says_what_to_set() {
    let folder = tempfile::tempdir().unwrap();
    let told = refused(&[], &["sandbox", "--listen", "127.0.0.1:0"], folder.path()).await;
    assert!(told.contains("OKEBAYAR_SANDBOX_PIN"), "{told}");
}

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_readme_tells_every_scenario_and_product() {
    let readme = document("README.md");
    for row in &scenario::SCENARIOS {
        let line = format!("| `{}` | {} |", row.account_number, row.description);
        assert!(readme.contains(&line), "{line}");
    }
    assert!(readme.contains(scenario::CODE_PREFIX));
    for (product, _) in PRODUCTS {
        assert!(readme.contains(&format!("`{product}`")), "{product}");
    }
}

#[test]
fn every_documented_key_exists_and_its_default_is_the_real_one() {
    // A row: | `key` | default | meaning |.
    let text = document("docs/CONFIGURATION.md");
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let mut cells = line.split('|').map(|cell| cell.trim().trim_matches('`'));
            (cells.nth(1).unwrap(), cells.next().unwrap())
        });
    // Of two stores one is configured at a time: here the one with more keys.
    let required = [
        ("store.kind", "redis"),
        ("store.url", "redis://localhost"),
        ("accounts.main.url", "https://okebayar.example/"),
        ("accounts.main.userid", "member"),
        ("accounts.main.pin", "1234"),
    ];
    let embedded = ["store.path", "store.must_exist"];
    let defaults = rows.filter(|(key, default)| *default != "none" && !embedded.contains(key));
    let all: std::collections::BTreeMap<&str, &str> = defaults.chain(required).collect();
    assert!(all.len() > 30, "{all:?}");
    let read = |pairs: Vec<(&str, &str)>| {
        let owned = pairs
            .into_iter()
            .map(|(key, value)| (key, value.to_owned()));
        let settings = Settings::from_pairs(owned).unwrap_or_else(|faults| panic!("{faults}"));
        format!("{settings:?}")
    };
    assert_eq!(read(all.into_iter().collect()), read(required.to_vec()));
}

/// The promises of the design, numbered from 1.
const PROMISES: usize = 18;

#[test]
fn the_reliability_page_has_every_promise_with_its_tests_and_limits() {
    let text = document("docs/RELIABILITY.md");
    let (_, promises) = text.split_once("\n## The promises\n").unwrap();
    let (promises, _) = promises.split_once("\n## ").unwrap();
    let sections: Vec<&str> = promises.split("\n### ").skip(1).collect();
    assert_eq!(sections.len(), PROMISES);
    for (number, section) in (1..).zip(sections) {
        let title = format!("Promise {number}: ");
        assert!(section.starts_with(&title), "{title}{section}");
        for part in ["\n- Rests on: ", "\n- Shown by: `", "\n- Not covered:"] {
            assert!(section.contains(part), "{title}{part}");
        }
        let (_, shown_by) = section.split_once("\n- Shown by: ").unwrap();
        let (shown_by, _) = shown_by.split_once("\n- Not covered:").unwrap();
        assert!(shown_by.contains("::"), "{title}{shown_by}");
    }
}

#[test]
fn the_sources_cite_no_promise_that_there_is_not() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut cited = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for citation in text.split("romise").skip(1) {
                // "promise 3", "promises 4 and 16", "promises 1, 2, 9".
                let citation = citation.trim_start_matches('s');
                let end = citation.find(|c: char| !c.is_ascii_digit() && !" ,and".contains(c));
                let numbers = citation[..end.unwrap_or(citation.len())]
                    .split(|c: char| !c.is_ascii_digit())
                    .filter_map(|number| number.parse::<usize>().ok());
                for number in numbers {
                    assert!((1..=PROMISES).contains(&number), "{}", path.display());
                    cited += 1;
                }
            }
        }
    }
    assert!(cited > 30, "{cited}");
}

#[test]
fn every_test_that_the_reliability_page_names_exists() {
    let text = document("docs/RELIABILITY.md");
    let named = text.split('`').filter_map(|code| code.split_once("::"));
    let named: Vec<_> = named
        .filter(|(file, _)| !["", "store"].contains(file) && !file.starts_with(char::is_uppercase))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    for (file, test) in named {
        let source = if file.starts_with("src/") {
            document(file)
        } else {
            document(&format!("tests/gateway/{file}.rs"))
        };
        assert!(source.contains(&format!("fn {test}(")), "{file}::{test}");
    }
}
