//! Promises 7 and 12: a callback is a hint, stored before it is answered.

use okebayar_gateway::grpc::v1::{CheckTransactionRequest, Evidence, Source, State};
use reqwest::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    on_both_stores,
    world::{
        PENDING_FOR_EVER, PENDING_THEN_FAILURE, PENDING_THEN_SUCCESS, SERIAL_NUMBER_LATER, SLOW,
        StoreKind, USER_ID, World, assert_succeeded, buy, get, reference,
    },
};

async fn post(url: &str, body: impl Into<reqwest::Body>) -> StatusCode {
    reqwest::Client::new()
        .post(url)
        .body(body)
        .send()
        .await
        .unwrap()
        .status()
}

async fn a_forged_success_changes_no_state_and_is_in_the_timeline(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let before = buy(&mut client, &code, PENDING_FOR_EVER).await;
    assert_eq!(before.state(), State::Pending);

    let by_get = format!(
        "{}?tracecode=forged&referencecode={code}&status=000&serialnumber=1234",
        world.callback_url()
    );
    assert_eq!(reqwest::get(&by_get).await.unwrap().status(), 200);
    let body = format!(
        r#"{{"tracecode":"forged2","referencecode":"{code}","status":"000","serialnumber":"1234"}}"#
    );
    assert_eq!(post(&world.callback_url(), body).await, 200);
    // Each was checked with OKEBAYAR, which calls the purchase pending.
    assert!(world.ledger_when(&code, "checks=1").await.checks >= 1);
    let after = gateway
        .until(&code, |transaction| {
            transaction
                .timeline
                .iter()
                .any(|entry| entry.source() == Source::Check)
        })
        .await;
    assert_eq!(after.state(), State::Pending);
    assert!(!after.r#final && after.serial_number.is_empty() && after.price.is_none());
    assert_eq!(after.trace_code, before.trace_code);
    assert_eq!(after.reported_status_code, "000");
    let reports: Vec<_> = after
        .timeline
        .iter()
        .filter(|entry| entry.source() == Source::Callback)
        .collect();
    assert_eq!(reports.len(), 2);
    assert!(
        reports
            .iter()
            .all(|entry| !entry.believed && entry.status_code == "000")
    );

    // The same again is folded: another count, not another entry.
    assert_eq!(reqwest::get(&by_get).await.unwrap().status(), 200);
    let again = get(&mut client, &code).await.unwrap();
    assert_eq!(again.revision, after.revision);
    assert_eq!(again.timeline.len(), after.timeline.len());
}

async fn a_true_callback_is_confirmed_and_settles(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let cases = [
        (PENDING_THEN_SUCCESS, State::Succeeded),
        (PENDING_THEN_FAILURE, State::Failed),
        (SERIAL_NUMBER_LATER, State::Succeeded),
    ];
    for (account_number, state) in cases {
        let code = reference();
        buy(&mut client, &code, account_number).await;
        let transaction = gateway.until_final(&code).await;
        assert_eq!(transaction.state(), state, "{account_number}");
        let sources: Vec<Source> = transaction.timeline.iter().map(Evidence::source).collect();
        assert!(sources.contains(&Source::Callback) && sources.contains(&Source::Check));
    }
}

/// The answer is late, and a callback and a caller ask for a check meanwhile.
async fn no_check_overtakes_a_post_that_is_being_answered(kind: StoreKind) {
    let mut world = World::without_sandbox(kind).await;
    let slow = ["--settle-after", "8s"];
    world.sandbox = Some(world.sandbox_with(world.sandbox_port, USER_ID, &slow).await);
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let code = reference();
    let mut client = gateway.client().await;
    let buying = tokio::spawn({
        let (mut client, code) = (client.clone(), code.clone());
        async move { buy(&mut client, &code, SLOW).await }
    });
    world.ledger_when(&code, "received=1").await;
    let body = format!(r#"{{"referencecode":"{code}","status":"000"}}"#);
    assert_eq!(post(&world.callback_url(), body).await, 200);
    let reported = get(&mut client, &code).await.unwrap();
    let known = (reported.state(), reported.reported_status_code.as_str());
    assert_eq!(known, (State::Sending, "000"), "it is stored at once");
    let request = CheckTransactionRequest {
        account: String::new(),
        reference_code: code.clone(),
    };
    let answer = client.check_transaction(request).await.unwrap();
    assert!(!answer.into_inner().checked);
    let still = get(&mut client, &code).await.unwrap();
    assert_eq!(still.state(), State::Sending, "the answer came too soon");

    assert_succeeded(&buying.await.unwrap());
    // What the callback asked for comes once the answer is there.
    let ledger = world.ledger_when(&code, "checks=1").await;
    assert!(ledger.checks >= 1, "{ledger:?}");
    assert_eq!((ledger.received, ledger.checks_in_flight), (1, 0));
}

#[tokio::test]
async fn a_success_without_serial_number_is_final_once_it_came() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("checks.serial_number", "1h");
    let gateway = world.start_gateway().await;
    let code = reference();
    let transaction = buy(&mut gateway.client().await, &code, SERIAL_NUMBER_LATER).await;
    assert_eq!(transaction.state(), State::Succeeded);
    assert!(transaction.serial_number_pending && !transaction.r#final);
    assert!(!transaction.safe_to_refund);
    assert_succeeded(&gateway.until_final(&code).await);
}

#[tokio::test]
async fn a_serial_number_that_never_comes_is_given_up() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("checks.serial_number", "50ms,50ms");
    let gateway = world.start_gateway().await;
    let code = reference();
    // 001 for ever.
    buy(&mut gateway.client().await, &code, "080000009001").await;
    let transaction = gateway.until_final(&code).await;
    assert_eq!(transaction.state(), State::Succeeded);
    assert!(transaction.serial_number_missing && !transaction.serial_number_pending);
    assert_eq!(world.ledger(&code).await.checks, 2);
}

#[tokio::test]
async fn a_trusted_callback_settles_without_a_check() {
    let mut world = World::new(StoreKind::Embedded).await;
    world
        .check_rarely()
        .set("accounts.main.callback_trusted", "true")
        .set("callbacks.allow", "127.0.0.1");
    let gateway = world.start_gateway().await;
    let code = reference();
    buy(&mut gateway.client().await, &code, PENDING_THEN_SUCCESS).await;
    assert_succeeded(&gateway.until_final(&code).await);
    assert_eq!(world.ledger(&code).await.checks, 0);
}

#[tokio::test]
async fn the_secret_of_the_address_is_required() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let open = world.callback_url();
    let secret = world.secret().to_owned();
    world.set("accounts.main.callback_secret", &secret);
    world.start_sandbox().await;
    world.check_rarely();
    let mut gateway = world.start_gateway().await;
    gateway.process.add_secret(secret.clone());
    let query = "?referencecode=unknown-1234&status=000";
    for wrong in [
        open.clone(),
        format!("{open}/wrong"),
        open.replace("main", "other"),
    ] {
        assert_eq!(
            reqwest::get(format!("{wrong}{query}"))
                .await
                .unwrap()
                .status(),
            404,
            "{wrong}"
        );
    }
    let right = format!("{open}/{secret}{query}");
    assert_eq!(reqwest::get(right).await.unwrap().status(), 200);
    let code = reference();
    buy(&mut gateway.client().await, &code, PENDING_THEN_SUCCESS).await;
    assert_succeeded(&gateway.until_final(&code).await);
}

#[tokio::test]
async fn what_is_no_callback_is_refused() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    let _gateway = world.start_gateway().await;
    let url = world.callback_url();
    for body in [
        "",
        "status=000",
        r#"{"status":"000"}"#,
        r#"{"referencecode":"unknown-1234"}"#,
        r#"{"referencecode":"unknown-1234","status":"fine"}"#,
        r#"{"referencecode":"unknown-1234","status":"000","transactionstatus":"200"}"#,
    ] {
        assert_eq!(post(&url, body).await, 400, "{body}");
    }
    assert_eq!(post(&url, vec![b' '; 100_000]).await, 413);
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 400);
    // Any case of a known name, and a reference code that nobody knows: kept.
    assert_eq!(
        post(&url, r#"{"ReferenceCode":"unknown-1234","STATUS":"000"}"#).await,
        200
    );
}

#[tokio::test]
async fn a_form_is_a_callback_like_the_same_query() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let form = "application/x-www-form-urlencoded";
    for (content_type, status) in [
        (Some(form), "001"),
        (
            Some("Application/X-WWW-Form-Urlencoded; charset=utf-8"),
            "002",
        ),
        (Some("text/plain"), "003"),
        (None, "000"),
    ] {
        let code = reference();
        buy(&mut client, &code, PENDING_FOR_EVER).await;
        let body = format!(
            "tracecode=t%2D1&ReferenceCode={code}&status={status}&serialnumber=12+34&info=a%26b"
        );
        let mut request = reqwest::Client::new().post(world.callback_url());
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let answer = request.body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{content_type:?}");
        let transaction = get(&mut client, &code).await.unwrap();
        assert_eq!(transaction.reported_status_code, status, "{content_type:?}");
    }
    // Some clients call every body a form.
    let code = reference();
    buy(&mut client, &code, PENDING_FOR_EVER).await;
    let answer = reqwest::Client::new()
        .post(world.callback_url())
        .header("content-type", form)
        .body(format!(r#" {{"referencecode":"{code}","status":"000"}}"#))
        .send();
    assert_eq!(answer.await.unwrap().status(), 200);
    let transaction = get(&mut client, &code).await.unwrap();
    assert_eq!(transaction.reported_status_code, "000");
    // What a form lacks, or says twice, is refused as in a query.
    for body in ["referencecode=unknown-1234", "status=000", "a=b", "="] {
        assert_eq!(post(&world.callback_url(), body).await, 400, "{body}");
    }
    let twice = "referencecode=unknown-1234&status=000&transactionstatus=200";
    assert_eq!(post(&world.callback_url(), twice).await, 400);
}

#[tokio::test]
async fn a_head_request_is_no_callback() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let before = buy(&mut client, &code, PENDING_FOR_EVER).await;
    let url = format!("{}?referencecode={code}&status=000", world.callback_url());
    let with_secret = url.replace("main?", "main/a-secret?");
    for url in [&url, &with_secret] {
        for method in [reqwest::Method::HEAD, reqwest::Method::PUT] {
            let asked = reqwest::Client::new().request(method.clone(), url).send();
            let answer = asked.await.unwrap();
            assert_eq!(answer.status(), 405, "{method} {url}");
            assert_eq!(answer.headers()["allow"], "GET, POST", "{method} {url}");
        }
    }
    let after = get(&mut client, &code).await.unwrap();
    assert_eq!(after.reported_status_code, "");
    assert_eq!(after.revision, before.revision);
    let metrics = reqwest::get(format!("http://{}/metrics", gateway.admin)).await;
    let metrics = metrics.unwrap().text().await.unwrap();
    assert!(!metrics.contains("okebayar_callbacks_total{"), "{metrics}");
    // The same by GET counts.
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 200);
    let after = get(&mut client, &code).await.unwrap();
    assert_eq!(after.reported_status_code, "000");
}

#[tokio::test]
async fn xml_with_any_root_is_a_callback() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let code = reference();
    buy(&mut gateway.client().await, &code, PENDING_FOR_EVER).await;
    let body = format!(
        "{{ <?xml version='1.0'?>\n<Notify><ReferenceCode>{code}</ReferenceCode>\
         <status>000</status><serialnumber/></Notify> }}"
    );
    assert_eq!(post(&world.callback_url(), body).await, 200);
    let transaction = get(&mut gateway.client().await, &code).await.unwrap();
    assert_eq!(transaction.reported_status_code, "000");
    assert_eq!(
        post(&world.callback_url(), "<a><status>000</status></a>").await,
        400
    );
}

#[tokio::test]
async fn only_allowed_senders_may_call_and_only_trusted_proxies_may_name_them() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world.set("callbacks.allow", "203.0.113.0/24, 2001:db8::/32");
    let mut gateway = world.start_gateway().await;
    let call = |port: u16, forwarded: Option<&'static str>| async move {
        let url =
            format!("http://127.0.0.1:{port}/callbacks/main?referencecode=unknown-1&status=000");
        let mut request = reqwest::Client::new().get(url);
        if let Some(forwarded) = forwarded {
            request = request.header("x-forwarded-for", forwarded);
        }
        request.send().await.unwrap().status().as_u16()
    };
    let port = gateway.callbacks.port();
    assert_eq!(call(port, None).await, 404);
    assert_eq!(
        call(port, Some("203.0.113.7")).await,
        404,
        "nobody trusts this proxy"
    );
    gateway.process.kill().await;

    world.set("callbacks.trusted_proxies", "127.0.0.1, 10.0.0.0/8");
    let gateway = world.start_gateway().await;
    let port = gateway.callbacks.port();
    for (forwarded, status) in [
        (None, 404),
        (Some("203.0.113.7"), 200),
        (Some("2001:db8::1"), 200),
        (Some("198.51.100.1"), 404),
        (Some("203.0.113.7, 10.1.2.3"), 200),
        (Some("203.0.113.7, 198.51.100.1"), 404),
        (Some("198.51.100.1, 203.0.113.7"), 200),
        (Some("nonsense"), 404),
        (Some(""), 404),
    ] {
        assert_eq!(call(port, forwarded).await, status, "{forwarded:?}");
    }
}

#[tokio::test]
async fn sender_whom_a_trusted_proxy_names_with_a_port_is_read() {
    let forwarded = [
        ("203.0.113.7:4711", 200),
        ("203.0.113.7:4711, 10.1.2.3:99", 200),
        ("\"203.0.113.7:4711\"", 200),
        ("[2001:db8::1]:443", 200),
        ("\"[2001:db8::1]:443\"", 200),
        ("\"[2001:db8::1]\"", 200),
        ("[2001:db8::1]", 200),
        ("[::ffff:203.0.113.7]:443", 200),
        ("198.51.100.1:4711", 404),
        ("203.0.113.7:1, 198.51.100.1:1", 404),
        ("[2001:db9::1]:443", 404),
        ("203.0.113.7:", 404),
        ("203.0.113.7:99999", 404),
        ("203.0.113.7:4711:1", 404),
        ("[203.0.113.7]:1", 404),
        ("[2001:db8::1", 404),
        ("[2001:db8::1]x", 404),
        ("\"203.0.113.7", 404),
        ("unknown", 404),
        ("_hidden", 404),
    ];
    for (listen, proxies) in [
        ("127.0.0.1:0", "127.0.0.1, 10.0.0.0/8"),
        ("[::1]:0", "::1, 10.0.0.0/8"),
    ] {
        let mut world = World::without_sandbox(StoreKind::Embedded).await;
        world
            .set("callbacks.listen", listen)
            .set("callbacks.allow", "203.0.113.0/24, 2001:db8::/32")
            .set("callbacks.trusted_proxies", proxies);
        let gateway = world.start_gateway().await;
        let address = gateway.callbacks;
        let url = format!("http://{address}/callbacks/main?referencecode=unknown-1&status=000");
        for (forwarded, status) in forwarded {
            // Header names have no case.
            let request = reqwest::Client::new().get(&url);
            let answer = request.header("X-FORWARDED-FOR", forwarded).send().await;
            assert_eq!(answer.unwrap().status(), status, "{listen}: {forwarded}");
        }
    }
}

#[tokio::test]
async fn the_most_talkative_log_tells_no_callback_address() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world.variables.push(("RUST_LOG".into(), "trace".into()));
    let open = world.callback_url();
    let secret = world.secret().to_owned();
    world.set("accounts.main.callback_secret", &secret);
    let mut gateway = world.start_gateway().await;
    // It reads the same in an address with escapes.
    let escaped: Vec<String> = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let escaped = escaped.concat();
    let query = "referencecode=unknown-1234&status=000";
    for (path, status) in [
        (secret.clone(), 200),
        (escaped.clone(), 200),
        (format!("{secret}x"), 404),
        (format!("{secret}/"), 404),
        (format!("{secret}/x"), 404),
        (format!("{secret}%2F"), 404),
        (format!("{secret}%00"), 404),
        // Not UTF-8.
        (format!("{secret}%FF"), 404),
        (secret.to_uppercase(), 404),
    ] {
        let url = format!("{open}/{path}?{query}");
        let answer = reqwest::get(&url).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        let told = answer.text().await.unwrap();
        assert!(!told.contains(&secret), "{told}");
        // A callback that is malformed, and one that comes twice.
        let answer = reqwest::get(format!("{open}/{path}?status=000&status=200")).await;
        let expected = if status == 200 { 400 } else { 404 };
        assert_eq!(answer.unwrap().status(), expected, "{path}");
    }
    gateway.process.add_secret(secret);
    gateway.process.add_secret(escaped);
    gateway.process.kill().await;
    let told = gateway.process.text();
    assert!(told.contains("callback rejected"), "{told}");
}

#[tokio::test]
async fn the_rate_of_callbacks_is_bounded() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world.set("callbacks.rate_per_second", "3");
    let _gateway = world.start_gateway().await;
    let url = format!(
        "{}?referencecode=unknown-1&status=000",
        world.callback_url()
    );
    let calls = (0..50).map(|_| reqwest::get(&url));
    let answers = futures::future::join_all(calls).await;
    let count = |status: u16| {
        answers
            .iter()
            .filter(|answer| answer.as_ref().unwrap().status() == status)
            .count()
    };
    assert!(
        count(200) >= 3 && count(429) > 0,
        "{} and {}",
        count(200),
        count(429)
    );
    assert_eq!(count(200) + count(429), 50);
}

#[tokio::test]
async fn slow_senders_hold_nothing_up() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world
        .set("callbacks.read_timeout", "300ms")
        .set("callbacks.connections", "2");
    let gateway = world.start_gateway().await;
    let head = b"POST /callbacks/main HTTP/1.1\r\nhost: gateway\r\n";
    let connect = || async { TcpStream::connect(gateway.callbacks).await.unwrap() };

    // As many as may connect never finish their heads; another caller is served
    // once their time is up.
    let (mut first, mut second) = (connect().await, connect().await);
    first.write_all(head).await.unwrap();
    second.write_all(&head[..10]).await.unwrap();
    let url = format!(
        "{}?referencecode=unknown-1&status=000",
        world.callback_url()
    );
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 200);
    for mut slow in [first, second] {
        let mut answer = Vec::new();
        // Closed by the gateway, whether it says 408 first or not.
        let _ = slow.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }

    let mut slow = connect().await;
    slow.write_all(head).await.unwrap();
    slow.write_all(b"content-length: 100\r\n\r\n{\"status\":")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = slow.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

/// Asserts that a callback about a transaction is refused, because it cannot be stored.
async fn assert_not_stored(url: &str) {
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(
        answer.text().await.unwrap(),
        "callback not stored; retry later\n"
    );
}

#[tokio::test]
async fn a_callback_that_cannot_be_stored_is_answered_503() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let before = buy(&mut client, &code, PENDING_FOR_EVER).await;
    let url = format!("{}?referencecode={code}&status=000", world.callback_url());
    // Redis answers what is read, and takes no write.
    let redis = world.redis.as_ref().unwrap();
    let replicas = async |wanted| {
        let set = ["CONFIG", "SET", "min-replicas-to-write", wanted];
        redis.command(&set).await;
    };
    replicas("1").await;
    assert_not_stored(&url).await;
    assert_eq!(get(&mut client, &code).await.unwrap(), before);
    replicas("0").await;
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 200);
    let transaction = get(&mut client, &code).await.unwrap();
    assert_eq!(transaction.reported_status_code, "000");
}

#[tokio::test]
async fn a_callback_on_a_full_disk_is_answered_503() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely();
    let mut gateway = world.start_gateway_on_full_disk().await;
    let code = reference();
    let before = buy(&mut gateway.client().await, &code, PENDING_FOR_EVER).await;
    let url = format!("{}?referencecode={code}&status=000", world.callback_url());
    gateway.process.limit_file_size(Some(1));
    assert_not_stored(&url).await;
    gateway.process.kill().await;

    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    assert_eq!(get(&mut client, &code).await.unwrap(), before);
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 200);
    let transaction = get(&mut client, &code).await.unwrap();
    assert_eq!(transaction.reported_status_code, "000");
}

#[tokio::test]
async fn a_callback_while_the_store_hangs_is_answered_503() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely().set("store.timeout", "300ms");
    let gateway = world.start_gateway().await;
    let code = reference();
    buy(&mut gateway.client().await, &code, PENDING_FOR_EVER).await;
    let url = format!("{}?referencecode={code}&status=000", world.callback_url());
    world.redis.as_ref().unwrap().freeze();
    assert_not_stored(&url).await;
    world.redis.as_ref().unwrap().thaw();
    let stored = async {
        while reqwest::get(&url).await.unwrap().status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::support::process::PATIENCE, stored)
        .await
        .unwrap();
    let transaction = get(&mut gateway.client().await, &code).await.unwrap();
    assert_eq!(transaction.reported_status_code, "000");
}

on_both_stores!(
    a_forged_success_changes_no_state_and_is_in_the_timeline,
    a_true_callback_is_confirmed_and_settles,
    no_check_overtakes_a_post_that_is_being_answered,
);
