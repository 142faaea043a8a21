//! The proxy between the gateway and OKEBAYAR.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::world::{PLAIN, StoreKind, World, assert_succeeded, buy, reference};

/// Answers one call as a proxy does, and returns the request.
async fn proxy_one(listener: TcpListener) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        stream.read_buf(&mut request).await.unwrap();
    }
    let body = r#"{"transactionstatus":"000","tracecode":"t1","serialnumber":"1","harga":1}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}

#[tokio::test]
async fn requests_use_configured_proxy() {
    for is_in_file in [false, true] {
        let mut world = World::without_sandbox(StoreKind::Embedded).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = format!("http://user:proxy-password@{address}");
        if is_in_file {
            // A shell cannot set a variable with this account's name.
            world.rename_account("main", "my-shop");
            let file = world.path().join("proxy");
            std::fs::write(&file, format!("{proxy}\n")).unwrap();
            world.set("accounts.my-shop.proxy_file", file.to_str().unwrap());
        } else {
            world.set("accounts.main.proxy", &proxy);
        }
        world.check_rarely();
        let url = format!("http://127.0.0.1:{}/", world.sandbox_port);
        let proxying = tokio::spawn(proxy_one(listener));
        let mut gateway = world.start_gateway().await;
        gateway.process.add_secret("proxy-password".to_owned());
        assert_succeeded(&buy(&mut gateway.client().await, &reference(), PLAIN).await);
        let request = proxying.await.unwrap();
        assert!(
            request.starts_with(&format!("POST {url} HTTP/1.1\r\n")),
            "it names the whole URL"
        );
        // user:proxy-password
        let credentials = "proxy-authorization: Basic dXNlcjpwcm94eS1wYXNzd29yZA==\r\n";
        let has_credentials = request.to_lowercase().contains(&credentials.to_lowercase());
        assert!(has_credentials, "in a file: {is_in_file}");
    }
}

#[tokio::test]
async fn proxy_from_environment_is_ignored() {
    let mut world = World::new(StoreKind::Embedded).await;
    for name in [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "all_proxy",
        "ALL_PROXY",
    ] {
        world
            .variables
            .push((name.to_owned(), "http://127.0.0.1:1".to_owned()));
    }
    let gateway = world.start_gateway().await;
    assert_succeeded(&buy(&mut gateway.client().await, &reference(), PLAIN).await);
}
