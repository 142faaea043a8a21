//! Encryption at rest.

use std::{path::PathBuf, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::grpc::v1::{
    CheckTransactionRequest, ListOrphanCallbacksRequest, PurchasePrepaidRequest, TransactionState,
    notice_service_client::NoticeServiceClient,
};
use okebayar_gateway::store::{
    BoundedList, CasResult, EncryptionKey, EncryptionKeys, Expiry, Store,
    redis::{RedisSettings, RedisStore, RedisTopology},
};
use tonic::Code;

use super::contract::{identity, redis_settings};
use crate::support::{
    accounts::{done, refused},
    bills::ANNA,
    calls::prepaid_question,
    failover::stop,
    on_both_stores,
    process::Process,
    redis::Redis,
    store_command::{Target, store_done, store_refused},
    stored_bytes::{everything, holds},
    world::{
        BINARY, PENDING_FOR_EVER, PLAIN, StoreKind, WATER, World, assert_refused, assert_succeeded,
        bought, buy, get, order, pay, reference,
    },
};

/// Writes a file of a key whose bytes are all this one.
fn key_file(world: &World, id: &str, base64: &str) -> PathBuf {
    let file = world.path().join(format!("{id}.key"));
    std::fs::write(&file, format!("{base64}\n")).unwrap();
    file
}

const KEY_1: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const KEY_2: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

fn use_keys(world: &mut World, keys: &[(&str, &str)]) {
    let named = named(world, keys).join(",");
    world.set("store.encryption_key_files", &named);
}

/// Configures keys that only decrypt.
fn use_keys_to_decrypt(world: &mut World, keys: &[(&str, &str)]) {
    let named = named(world, keys).join(",");
    world.set("store.encryption_key_files", &format!("none,{named}"));
}

fn named(world: &World, keys: &[(&str, &str)]) -> Vec<String> {
    let named = keys.iter().map(|(id, base64)| {
        let file = key_file(world, id, base64);
        format!("{id}:{}", file.display())
    });
    named.collect()
}

/// Returns everything that the store holds.
async fn stored(world: &World) -> Vec<u8> {
    match &world.redis {
        Some(redis) => everything(redis).await,
        None => std::fs::read(world.store_file()).unwrap(),
    }
}

/// Every record, event, note and item: nothing of a customer is readable.
async fn customer_data_is_encrypted(kind: StoreKind) {
    let mut world = World::new(kind).await;
    use_keys(&mut world, &[("k1", KEY_1)]);
    let mut gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let recipient = "082233445566";
    let plain = buy(&mut client, &reference(), recipient).await;
    let code = reference();
    let question = prepaid_question(&code, "HPLNPRA20", "512345678901");
    let inquired = gateway.inquirer().await.inquire_prepaid(question).await;
    let inquiry = inquired.unwrap().into_inner().inquiry.unwrap();
    let request = PurchasePrepaidRequest {
        product_code: "HPLNPRA20".to_owned(),
        inquiry_code: inquiry.inquiry_code.clone(),
        ..order(&code, "512345678901")
    };
    let token = bought(client.purchase_prepaid(request).await.unwrap().into_inner());
    let bill = gateway.bill(WATER, ANNA).await;
    let paid = pay(&mut client, &reference(), &bill).await.unwrap();
    let orphan = format!(
        "{}?referencecode=orphan-00001&status=000",
        world.callback_url()
    );
    assert_eq!(reqwest::get(orphan).await.unwrap().status(), 200);
    for transaction in [&plain, &token, &paid] {
        assert_eq!(transaction.state(), TransactionState::Succeeded);
    }
    assert!(!plain.serial_number.is_empty() && !token.serial_number.is_empty());
    gateway.process.kill().await;

    let bytes = stored(&world).await;
    let mut secret = vec![recipient, "512345678901", ANNA, "orphan-00001"];
    secret.extend([plain.serial_number.as_str(), token.serial_number.as_str()]);
    for text in secret {
        assert!(!holds(&bytes, text), "{text} is readable");
    }
    assert!(
        holds(&bytes, "sealed:"),
        "the notes are not what was searched"
    );
    // What it reads again is what it wrote.
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let again = get(&mut client, &token.reference_code).await.unwrap();
    assert_eq!(again.serial_number, token.serial_number);
}

async fn record_of_missing_key_is_neither_sent_nor_overwritten(kind: StoreKind) {
    let mut world = World::new(kind).await;
    use_keys(&mut world, &[("k1", KEY_1)]);
    world.check_rarely();
    let mut first = world.start_gateway().await;
    let (settled, open) = (reference(), reference());
    buy(&mut first.client().await, &settled, PLAIN).await;
    buy(&mut first.client().await, &open, PENDING_FOR_EVER).await;
    first.process.kill().await;

    world.unset("store.encryption_key_files");
    let output = refused(&world, &["serve"]).await;
    assert!(
        output.contains("encrypted with the keys [\"k1\"]"),
        "{output}"
    );
    // Every copy of the key is lost, and the operator says so.
    world.set("store.encryption_key_files", "none");
    let mut without = world.start_gateway().await;
    let mut client = without.client().await;
    for (code, number) in [(&settled, PLAIN), (&open, PENDING_FOR_EVER)] {
        let again = client.purchase_prepaid(order(code, number)).await;
        let status = assert_refused(again, Code::Unavailable, "STORE_UNAVAILABLE", "maybe");
        assert!(
            status.message().contains("encrypted with a key"),
            "{status}"
        );
        let read = get(&mut client, code).await;
        assert_refused(read, Code::Unavailable, "STORE_UNAVAILABLE", "maybe");
        let report = format!("{}?referencecode={code}&status=204", world.callback_url());
        assert_eq!(reqwest::get(report).await.unwrap().status(), 503);
        assert_eq!(world.ledger(code).await.received, 1);
    }
    // Others are served.
    assert_succeeded(&buy(&mut client, &reference(), PLAIN).await);
    without.process.kill().await;
    let logged = without.process.text();
    assert!(logged.contains("k1"), "the log names the key: {logged}");

    // Rotation: the new key writes, the old one reads.
    use_keys(&mut world, &[("k2", KEY_2), ("k1", KEY_1)]);
    let mut rotated = world.start_gateway().await;
    let mut client = rotated.client().await;
    assert_succeeded(&buy(&mut client, &settled, PLAIN).await);
    let pending = buy(&mut client, &open, PENDING_FOR_EVER).await;
    assert_eq!(pending.state(), TransactionState::Pending);
    let new = reference();
    assert_succeeded(&buy(&mut client, &new, PLAIN).await);
    rotated.process.kill().await;
    use_keys(&mut world, &[("k2", KEY_2)]);
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    assert_succeeded(&get(&mut client, &new).await.unwrap());
    let read = get(&mut client, &settled).await;
    assert_refused(read, Code::Unavailable, "STORE_UNAVAILABLE", "maybe");
    for code in [&settled, &open, &new] {
        assert_eq!(world.ledger(code).await.received, 1);
    }
}

#[tokio::test]
async fn key_is_rejected_for_store_of_schema_3() {
    let mut world = World::new(StoreKind::Redis).await;
    world.redis.as_ref().unwrap().use_schema_3().await;
    use_keys(&mut world, &[("k1", KEY_1)]);
    let output = refused(&world, &["serve"]).await;
    assert!(
        output.contains("run okebayar-gateway store upgrade first"),
        "{output}"
    );
}

/// An orphan whose key is gone hides no other one, but might name what the end of the guard releases.
async fn unreadable_orphan_is_not_listed_and_releases_nothing(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let address = world.callback_url();
    let report = async |code: &str| {
        let report = format!("{address}?referencecode={code}&status=000");
        assert_eq!(reqwest::get(report).await.unwrap().status(), 200);
    };
    let mut gateway = None;
    for (keys, orphans) in [
        ([("k1", KEY_1)], ["of-k1-000001", "of-k1-000002"]),
        ([("k2", KEY_2)], ["of-k2-000001", "of-k2-000002"]),
    ] {
        drop(gateway.take());
        use_keys(&mut world, &keys);
        gateway = Some(world.start_gateway().await);
        for orphan in orphans {
            report(orphan).await;
        }
    }
    let mut gateway = gateway.unwrap();
    let url = format!("http://{}", gateway.grpc);
    let mut client = NoticeServiceClient::connect(url).await.unwrap();
    let (mut listed, mut request) = (Vec::new(), ListOrphanCallbacksRequest::default());
    request.page_size = 1;
    loop {
        let page = client.list_orphan_callbacks(request.clone()).await;
        let page = page.unwrap().into_inner();
        let codes = page.orphan_callbacks.into_iter();
        listed.extend(codes.map(|orphan| orphan.reference_code));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(listed, ["of-k2-000002", "of-k2-000001"]);
    gateway.process.kill().await;
    let logged = gateway.process.text();
    assert!(
        logged.contains("unreadable items are not listed"),
        "{logged}"
    );

    let end = ["guard", "end", "--reason", "test"];
    let output = refused(&world, &end).await;
    assert!(
        output.contains("an orphan callback cannot be read and may name any quarantined"),
        "{output}"
    );
    use_keys(&mut world, &[("k2", KEY_2), ("k1", KEY_1)]);
    done(&world, &end).await;
}

/// Another key under a known id would make every record unreadable, one by one.
async fn another_key_under_known_id_is_refused_at_start(kind: StoreKind) {
    let mut world = World::new(kind).await;
    use_keys(&mut world, &[("k1", KEY_1)]);
    let mut gateway = world.start_gateway().await;
    let code = reference();
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    gateway.process.kill().await;
    use_keys(&mut world, &[("k1", KEY_2)]);
    let output = refused(&world, &["serve"]).await;
    assert!(
        output.contains("was used with another key \"k1\" than the one configured"),
        "{output}"
    );
    use_keys(&mut world, &[("k1", KEY_1)]);
    let gateway = world.start_gateway().await;
    assert_succeeded(&get(&mut gateway.client().await, &code).await.unwrap());
}

/// Returns true when the record of a reference code is encrypted.
async fn is_encrypted(world: &World, code: &str) -> bool {
    let redis = world.redis.as_ref().unwrap();
    let name = code.replace('-', "").to_lowercase();
    let keys: Vec<String> = redis
        .ask(&["KEYS", &format!("okb:*:tx:{name}")])
        .await
        .unwrap();
    let body: Vec<u8> = redis.ask(&["HGET", &keys[0], "body"]).await.unwrap();
    body[0] == 0xE1
}

/// Encryption is enabled and stopped while gateways run: at every step each of them reads what the
/// others wrote, and goes on with it.
#[tokio::test]
async fn encryption_is_enabled_and_stopped_without_an_error() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely();
    let plain = world.start_gateway().await;
    use_keys_to_decrypt(&mut world, &[("k1", KEY_1)]);
    let decrypting = world.start_replica().await;
    let mut there = decrypting.client().await;
    let first = reference();
    buy(&mut there, &first, PENDING_FOR_EVER).await;
    assert!(!is_encrypted(&world, &first).await);
    get(&mut plain.client().await, &first).await.unwrap();
    // Nothing is encrypted yet, so a gateway without keys may still start.
    world.unset("store.encryption_key_files");
    drop(world.start_replica().await);
    drop(plain);

    use_keys(&mut world, &[("k1", KEY_1)]);
    let mut encrypting = world.start_gateway().await;
    let mut here = encrypting.client().await;
    let (second, inquired) = (reference(), reference());
    buy(&mut here, &second, PENDING_FOR_EVER).await;
    assert!(is_encrypted(&world, &second).await);
    let question = prepaid_question(&inquired, "HPLNPRA20", "512345678901");
    let answer = encrypting.inquirer().await.inquire_prepaid(question).await;
    let inquiry = answer.unwrap().into_inner().inquiry.unwrap();
    // The other gateway goes on with the record and with the inquiry.
    let check = CheckTransactionRequest {
        reference_code: second.clone(),
        ..CheckTransactionRequest::default()
    };
    let checked = there.check_transaction(check).await.unwrap().into_inner();
    assert!(checked.checked);
    assert!(!is_encrypted(&world, &second).await, "it was not saved");
    let request = PurchasePrepaidRequest {
        product_code: "HPLNPRA20".to_owned(),
        inquiry_code: inquiry.inquiry_code.clone(),
        ..order(&inquired, "512345678901")
    };
    let token = bought(there.purchase_prepaid(request).await.unwrap().into_inner());
    assert_eq!(token.state(), TransactionState::Succeeded);
    get(&mut here, &inquired).await.unwrap();

    encrypting.process.kill().await;
    use_keys_to_decrypt(&mut world, &[("k1", KEY_1)]);
    let stopped = world.start_gateway().await;
    let mut here = stopped.client().await;
    for code in [&first, &second, &inquired] {
        get(&mut here, code).await.unwrap();
        assert_eq!(world.ledger(code).await.received, 1);
    }
    let last = reference();
    assert_succeeded(&buy(&mut here, &last, PLAIN).await);
    assert!(!is_encrypted(&world, &last).await);
}

/// One gateway encrypts already, another only decrypts: both compare and set the same note.
#[tokio::test]
async fn note_is_compared_by_a_gateway_that_only_decrypts() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let open = async |keys: EncryptionKeys| {
        let hour = SignedDuration::from_hours(1);
        let settings = RedisSettings {
            keys: Arc::new(keys),
            ..redis_settings(&redis.url, RedisTopology::Standalone, hour)
        };
        RedisStore::open(settings, &identity()).await.unwrap()
    };
    let key = || vec![EncryptionKey::parse("k1", KEY_1).unwrap()];
    let encrypting = open(EncryptionKeys::new(key())).await;
    let decrypting = open(EncryptionKeys::only_decrypting(key())).await;
    let (name, expiry) = (
        "inquired:reference1",
        Expiry {
            now: Timestamp::UNIX_EPOCH,
            until: Timestamp::MAX,
        },
    );
    let mut known = None;
    for (store, text) in [(&encrypting, "1"), (&decrypting, "2"), (&encrypting, "3")] {
        let put = store.put_note(name, known, text, expiry).await.unwrap();
        assert_eq!(put, CasResult::Done, "{text}");
        known = Some(text);
    }
    assert_eq!(decrypting.note(name).await.unwrap().as_deref(), Some("3"));
    // A pass of retention reads the oldest item of a list, and leaves one that it cannot read.
    encrypting.push(BoundedList::Orphans, "{}").await.unwrap();
    let keyless = open(EncryptionKeys::only_decrypting(Vec::new())).await;
    let oldest = keyless.oldest_item(BoundedList::Orphans).await.unwrap();
    assert!(oldest.unwrap().starts_with("sealed:"));
}

/// An operator puts the key itself where its file belongs, or forgets its id.
#[tokio::test]
async fn key_in_the_place_of_its_file_is_never_shown() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    for keys in [
        format!("k1:{KEY_1}"),
        KEY_1.to_owned(),
        format!("none,{KEY_1}:k1"),
    ] {
        world.set("store.encryption_key_files", &keys);
        let environment = world.environment();
        let arguments = ["serve", "--check"];
        let mut process = Process::start(BINARY, &arguments, &environment, world.path());
        assert!(!process.ended().await.success());
        let output = process.text();
        assert!(
            output.contains("store.encryption_key_files: entry"),
            "{output}"
        );
        assert!(!output.contains(KEY_1), "{output}");
    }
}

#[tokio::test]
async fn faulty_keys_are_reported_and_not_quoted() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let short = "c2hvcnQtc2VjcmV0";
    let (good, bad) = (key_file(&world, "k1", KEY_1), key_file(&world, "k2", short));
    let (good, bad) = (good.display(), bad.display());
    world.set(
        "store.encryption_key_files",
        &format!("k1:{good},k1:{good},k2:{bad},K3:{good},/no/id,k4:/no/such/file"),
    );
    let arguments = ["serve", "--check"];
    let mut process = Process::start(BINARY, &arguments, &world.environment(), world.path());
    assert!(!process.ended().await.success());
    let output = process.text();
    for part in [
        "entry 2 (id k1): the id is named twice",
        "entry 3 (id k2): it must hold 32 bytes in base64",
        "entry 4: the id must be 1 to 16",
        "entry 5: it names no id",
        "entry 6 (id k4): its file cannot be read: No such file",
    ] {
        assert!(output.contains(part), "{part} in {output}");
    }
    assert!(
        !output.contains(short) && !output.contains(KEY_1),
        "{output}"
    );
}

on_both_stores!(
    customer_data_is_encrypted,
    another_key_under_known_id_is_refused_at_start,
    unreadable_orphan_is_not_listed_and_releases_nothing,
    record_of_missing_key_is_neither_sent_nor_overwritten,
);

/// A copy to a store without keys would write everything in plain text.
#[tokio::test]
async fn encrypted_store_is_copied_in_plain_text_only_by_order() {
    let mut world = World::new(StoreKind::Embedded).await;
    use_keys(&mut world, &[("k1", KEY_1)]);
    let gateway = world.start_gateway().await;
    let code = reference();
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    stop(gateway).await;
    let redis = Redis::start(world.path()).await;
    let target = Target::redis(&world, &redis.url);
    let refused = store_refused(&world, &target.arguments()).await;
    assert!(refused.contains("--decrypt"), "{refused}");
    assert_eq!(redis.count().await, 0);
    // Nothing is marked.
    stop(world.start_gateway().await).await;
    let permitted = [&target.arguments()[..], &["--decrypt"]].concat();
    store_done(&world, &permitted).await;
    target.configure(&mut world);
    world.unset("store.encryption_key_files");
    let gateway = world.start_gateway().await;
    get(&mut gateway.client().await, &code).await.unwrap();
}

/// A store of schema 3 encrypts nothing, so the target would have to break its promise.
#[tokio::test]
async fn schema_3_is_not_copied_to_a_target_with_keys() {
    let world = World::new(StoreKind::Redis).await;
    world.redis.as_ref().unwrap().use_schema_3().await;
    stop(world.start_gateway().await).await;
    let redis = Redis::start(world.path()).await;
    let target = Target::redis(&world, &redis.url);
    let file = key_file(&world, "k1", KEY_1);
    let settings = std::fs::read_to_string(&target.file).unwrap();
    let keys = format!("encryption_key_files = \"k1:{}\"\n", file.display());
    std::fs::write(&target.file, settings + &keys).unwrap();
    let refused = store_refused(&world, &target.arguments()).await;
    assert!(refused.contains("store upgrade"), "{refused}");
    assert_eq!(redis.count().await, 0);
    stop(world.start_gateway().await).await;
}
