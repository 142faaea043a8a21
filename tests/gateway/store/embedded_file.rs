//! The file of the embedded store: validation, creation, and a full disk.

use std::{fs, time::Duration};

use tonic::Code;

use crate::support::{
    process::Process,
    world::{
        BINARY, Gateway, PLAIN, StoreKind, World, assert_succeeded, buy, buy_until_taken, order,
        reference,
    },
};

/// The length of the database's header before its first page, in bytes.
const HEAD_BYTES: usize = 4096;

/// Starts a gateway that must fail, and returns its output.
async fn refused(world: &World) -> String {
    let mut gateway = Process::start(BINARY, &["serve"], &world.environment(), world.path());
    let ended = gateway.ended().await;
    assert!(!ended.success(), "{}", gateway.text());
    gateway.text()
}

async fn stop(gateway: &mut Gateway) {
    gateway.process.signal("-TERM");
    let ended = gateway.process.ended().await;
    assert!(ended.success(), "{}", gateway.process.text());
}

#[tokio::test]
async fn file_of_another_format_is_rejected_and_left_unchanged() {
    let world = World::new(StoreKind::Embedded).await;
    let code = reference();
    let mut gateway = world.start_gateway().await;
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    stop(&mut gateway).await;
    let whole = fs::read(world.store_file()).unwrap();
    let damaged: [&[u8]; 4] = [
        b"",
        b"no store",
        b"a text that is longer than the head of a store is",
        &whole[..whole.len() / 2],
    ];
    for bytes in damaged {
        fs::write(world.store_file(), bytes).unwrap();
        let output = refused(&world).await;
        assert!(output.contains("gateway.redb.restore"), "{output}");
        assert_eq!(fs::read(world.store_file()).unwrap(), bytes);
    }
    fs::write(world.store_file(), &whole).unwrap();
    let gateway = world.start_gateway().await;
    let again = buy(&mut gateway.client().await, &code, PLAIN).await;
    assert_succeeded(&again);
    assert_eq!(world.ledger(&code).await.received, 1);
}

/// The database library panics over such a file at each start.
#[tokio::test]
async fn backup_replaces_corrupt_file() {
    let world = World::new(StoreKind::Embedded).await;
    let code = reference();
    let mut gateway = world.start_gateway().await;
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    stop(&mut gateway).await;
    let whole = fs::read(world.store_file()).unwrap();
    let mut damaged = whole.clone();
    damaged[HEAD_BYTES..].fill(0xFF);
    fs::write(world.store_file(), &damaged).unwrap();
    let output = refused(&world).await;
    assert!(output.contains("panicked"), "{output}");
    assert!(output.contains("gateway.redb.restore"), "{output}");
    let backup = world.store_file().with_extension("redb.restore");
    fs::write(&backup, &whole).unwrap();
    let gateway = world.start_gateway().await;
    assert!(!backup.exists());
    let replaced = world.store_file().with_extension("redb.replaced");
    assert_eq!(fs::read(replaced).unwrap(), damaged);
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    assert_eq!(world.ledger(&code).await.received, 1);
}

#[tokio::test]
async fn empty_backup_is_rejected_and_store_is_kept() {
    let world = World::new(StoreKind::Embedded).await;
    let mut gateway = world.start_gateway().await;
    let code = reference();
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    stop(&mut gateway).await;
    let backup = world.store_file().with_extension("redb.restore");
    fs::write(&backup, b"").unwrap();
    let output = refused(&world).await;
    assert!(
        output.contains("gateway.redb.restore is not a complete store"),
        "{output}"
    );
    fs::remove_file(&backup).unwrap();
    let gateway = world.start_gateway().await;
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    assert_eq!(world.ledger(&code).await.received, 1);
}

#[tokio::test]
async fn missing_file_is_rejected_when_store_must_exist() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world.set("store.must_exist", "true");
    let output = refused(&world).await;
    assert!(
        output.contains("store.must_exist") && output.contains("mount the volume"),
        "{output}"
    );
    assert!(!world.store_file().exists());
    world.set("store.must_exist", "false");
    stop(&mut world.start_gateway().await).await;
    world.set("store.must_exist", "true");
    stop(&mut world.start_gateway().await).await;
}

#[tokio::test]
async fn crash_during_creation_leaves_no_partial_store() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    for turn in 0..12_u64 {
        let path = format!("turn-{turn}/gateway.redb");
        world.set("store.path", &path);
        let mut gateway = Process::start(BINARY, &["serve"], &world.environment(), world.path());
        tokio::time::sleep(Duration::from_millis(5 * turn)).await;
        gateway.kill().await;
        // Leftovers do not prevent a start, and none is a partial store.
        stop(&mut world.start_gateway().await).await;
        let folder = world.path().join(format!("turn-{turn}"));
        let left: Vec<_> = fs::read_dir(folder).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
    // A leftover of a crash during creation.
    fs::create_dir_all(world.store_file().parent().unwrap()).unwrap();
    fs::write(world.store_file().with_extension("redb.making"), b"half").unwrap();
    world.set("store.path", "okebayar-data/gateway.redb");
    stop(&mut world.start_gateway().await).await;
    assert!(!world.store_file().with_extension("redb.making").exists());
}

/// Limits the size of files that the process may write: writes fail as on a full disk.
fn limit_files(gateway: &Gateway, bytes: &str) {
    let pid = gateway.process.pid().to_string();
    let limit = format!("--fsize={bytes}:unlimited");
    let limited = std::process::Command::new("prlimit")
        .args(["--pid", &pid, &limit])
        .status()
        .unwrap();
    assert!(limited.success());
}

#[tokio::test]
async fn store_recovers_when_disk_has_space_again() {
    let world = World::new(StoreKind::Embedded).await;
    // The signal that accompanies the limit stays ignored after exec.
    let command = format!("trap '' XFSZ; exec {BINARY} serve");
    let arguments = ["-c", &command];
    let environment = world.environment();
    let mut gateway = Gateway::start_release("sh", &arguments, &environment, world.path()).await;
    let mut client = gateway.client().await;
    let codes = [reference(), reference(), reference()];
    assert_succeeded(&buy(&mut client, &codes[0], PLAIN).await);

    limit_files(&gateway, "4096");
    for _ in 0..3 {
        let refused = client.purchase_prepaid(order(&codes[1], PLAIN)).await;
        assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    }
    let output = gateway.readiness(503).await;
    assert!(output.contains("gateway.redb"), "{output}");
    assert_eq!(world.ledger(&codes[1]).await.received, 0);
    // No other process can open the file while it is closed.
    let output = refused(&world).await;
    assert!(output.contains("store.path"), "{output}");

    limit_files(&gateway, "unlimited");
    for code in &codes {
        assert_succeeded(&buy_until_taken(&mut client, code, PLAIN).await);
        let ledger = world.ledger(code).await;
        assert_eq!((ledger.received, ledger.executed), (1, 1));
    }
    gateway.readiness(200).await;
    stop(&mut gateway).await;
}
