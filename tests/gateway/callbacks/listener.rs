//! The callback listener: permitted senders, accepted forms, and rejections.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    callbacks::post,
    world::{
        PENDING_FOR_EVER, PENDING_THEN_SUCCESS, StoreKind, World, assert_succeeded, buy, get,
        reference,
    },
};

#[tokio::test]
async fn callback_without_secret_is_rejected() {
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
async fn malformed_callback_is_rejected() {
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
    // Known names in any case, and an unknown reference code: stored.
    assert_eq!(
        post(&url, r#"{"ReferenceCode":"unknown-1234","STATUS":"000"}"#).await,
        200
    );
}

#[tokio::test]
async fn form_body_is_read_like_query() {
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
    // Some clients label every body as a form.
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
    // A form with missing or repeated fields is rejected like a query.
    for body in ["referencecode=unknown-1234", "status=000", "a=b", "="] {
        assert_eq!(post(&world.callback_url(), body).await, 400, "{body}");
    }
    let twice = "referencecode=unknown-1234&status=000&transactionstatus=200";
    assert_eq!(post(&world.callback_url(), twice).await, 400);
}

#[tokio::test]
async fn head_and_put_requests_are_rejected() {
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
    // The same request by GET counts.
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 200);
    let after = get(&mut client, &code).await.unwrap();
    assert_eq!(after.reported_status_code, "000");
}

#[tokio::test]
async fn xml_body_is_read_under_any_root() {
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
async fn forwarded_sender_is_believed_only_from_trusted_proxy() {
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
        "the proxy is not trusted"
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
async fn forwarded_sender_with_port_is_parsed() {
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
            // Header names are case-insensitive.
            let request = reqwest::Client::new().get(&url);
            let answer = request.header("X-FORWARDED-FOR", forwarded).send().await;
            assert_eq!(answer.unwrap().status(), status, "{listen}: {forwarded}");
        }
    }
}

#[tokio::test]
async fn trace_log_omits_callback_secret() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world.variables.push(("RUST_LOG".into(), "trace".into()));
    let open = world.callback_url();
    let secret = world.secret().to_owned();
    world.set("accounts.main.callback_secret", &secret);
    let mut gateway = world.start_gateway().await;
    // A percent-encoded address is equal.
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
        let printed = answer.text().await.unwrap();
        assert!(!printed.contains(&secret), "{printed}");
        // A malformed callback, and a repeated one.
        let answer = reqwest::get(format!("{open}/{path}?status=000&status=200")).await;
        let expected = if status == 200 { 400 } else { 404 };
        assert_eq!(answer.unwrap().status(), expected, "{path}");
    }
    gateway.process.add_secret(secret);
    gateway.process.add_secret(escaped);
    gateway.process.kill().await;
    let printed = gateway.process.text();
    assert!(printed.contains("callback rejected"), "{printed}");
}

#[tokio::test]
async fn callback_rate_is_limited() {
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
async fn slow_senders_do_not_delay_other_callbacks() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world
        .set("callbacks.read_timeout", "300ms")
        .set("callbacks.connections", "2");
    let gateway = world.start_gateway().await;
    let head = b"POST /callbacks/main HTTP/1.1\r\nhost: gateway\r\n";
    let connect = || async { TcpStream::connect(gateway.callbacks).await.unwrap() };

    // The maximum number of connections never finish their heads; another caller is served once
    // they time out.
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
        // Closed by the gateway, with or without a 408.
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
