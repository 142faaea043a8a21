//! A server that serves only clients with a certificate of its authority.

use redis::{Client, ClientTlsConfig, RedisResult, TlsCertificates};

use crate::support::{
    redis::Redis,
    tls::{Authority, Certificate, TlsPort},
};

async fn ping(url: &str, trusted: &Authority, own: Option<&Certificate>) -> RedisResult<String> {
    let read = |path| std::fs::read(path).unwrap();
    let client_tls = own.map(|own| ClientTlsConfig {
        client_cert: read(&own.certificate),
        client_key: read(&own.key),
    });
    let certificates = TlsCertificates {
        client_tls,
        root_cert: Some(read(&trusted.file())),
    };
    let client = Client::build_with_tls(url, certificates)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    redis::cmd("PING").query_async(&mut connection).await
}

#[tokio::test]
async fn certificates_of_both_ends_are_required() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::create(folder.path(), "ours");
    let foreign = Authority::create(folder.path(), "foreign");
    let tls = TlsPort::new(&ours);
    let arguments: Vec<&str> = tls.arguments.iter().map(String::as_str).collect();
    let _redis = Redis::start_with(folder.path(), &arguments).await;
    let own = ours.issue("gateway", "client");
    assert_eq!(ping(&tls.url(), &ours, Some(&own)).await.unwrap(), "PONG");

    let stranger = foreign.issue("gateway", "client");
    assert!(ping(&tls.url(), &ours, Some(&stranger)).await.is_err());
    assert!(ping(&tls.url(), &ours, None).await.is_err());
    assert!(ping(&tls.url(), &foreign, Some(&own)).await.is_err());
}
