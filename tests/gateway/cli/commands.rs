//! The commands as a user runs them: `dev`, `serve`, `serve --check`, `sandbox`, `health`.

use std::path::Path;

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
    repository::documents::document,
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
async fn dev_once_buys_and_prints_every_state() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Process::start(BINARY, &["dev", "--once"], &[], folder.path());
    assert!(dev.ended().await.success(), "{}", dev.text());
    let told = dev.text();
    let pending = told.find("PENDING").expect("dev prints PENDING");
    let succeeded = told.find("SUCCEEDED").expect("dev prints SUCCEEDED");
    assert!(
        pending < succeeded && told[succeeded..].contains("serial number "),
        "{told}"
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "dev leaves files behind"
    );
}

#[tokio::test]
async fn health_and_reflection_list_services() {
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
async fn environment_overrides_the_toml_file() {
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
async fn serve_check_prints_every_fault_and_the_remedy() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let mut check = Process::start(
        BINARY,
        &["serve", "--check"],
        &world.environment(),
        world.path(),
    );
    assert!(check.ended().await.success(), "{}", check.text());
    assert!(
        !world.store_file().exists(),
        "serve --check creates a store"
    );

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
async fn serve_check_prints_faults_as_in_readme() {
    let readme = document("README.md");
    let (_, configuration) = readme.split_once("```toml\n").unwrap();
    let (configuration, _) = configuration.split_once("```").unwrap();
    let (_, shown) = readme
        .split_once("```text\nerror: invalid configuration:")
        .unwrap();
    let (shown, _) = shown.split_once("\n```").unwrap();
    let kept = configuration
        .lines()
        .filter(|line| !line.starts_with("callback_secret_file"))
        .map(|line| line.replace("https://", "http://"));
    let faulty = kept.chain(["[limits]".to_owned(), "queue = \"many\"".to_owned()]);
    let folder = tempfile::tempdir().unwrap();
    let faulty = faulty.collect::<Vec<_>>().join("\n");
    std::fs::write(folder.path().join("gateway.toml"), faulty).unwrap();
    let arguments = ["serve", "--check", "--config", "gateway.toml"];
    let printed = refused(&[], &arguments, folder.path()).await;
    assert_eq!(printed, format!("error: invalid configuration:{shown}"));
}

#[tokio::test]
async fn start_is_rejected_when_redis_may_evict() {
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

/// Waits until the health service reports a status of the gateway as a whole.
async fn health_becomes(health: &mut Streaming<HealthCheckResponse>, wanted: ServingStatus) {
    let reported = async { while health.message().await.unwrap().unwrap().status() != wanted {} };
    tokio::time::timeout(PATIENCE, reported)
        .await
        .unwrap_or_else(|_| panic!("the health never became {wanted:?}"));
}

#[tokio::test]
async fn claim_is_rejected_while_store_may_evict() {
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
    // Reads are still answered.
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
async fn store_is_refused_when_it_belongs_to_another_member() {
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
async fn embedded_store_is_refused_while_another_process_has_it_open() {
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
async fn sandbox_names_the_variable_when_the_pin_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let told = refused(&[], &["sandbox", "--listen", "127.0.0.1:0"], folder.path()).await;
    assert!(told.contains("OKEBAYAR_SANDBOX_PIN"), "{told}");
}
