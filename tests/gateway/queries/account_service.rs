//! `AccountService`: queries that move no money.

use okebayar_gateway::grpc::v1::{
    EchoRequest, GetBalanceRequest, GetBalanceResponse,
    account_service_client::AccountServiceClient,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;

use crate::support::world::{
    DEPOSIT, Gateway, PLAIN, PRODUCT_PRICE, StoreKind, World, buy, error_info, reference,
};

async fn client(gateway: &Gateway) -> AccountServiceClient<Channel> {
    AccountServiceClient::connect(format!("http://{}", gateway.grpc))
        .await
        .unwrap()
}

async fn balance(client: &mut AccountServiceClient<Channel>) -> Result<GetBalanceResponse, Status> {
    Ok(client
        .get_balance(GetBalanceRequest::default())
        .await?
        .into_inner())
}

#[tokio::test]
async fn balance_is_returned_in_both_formats() {
    for format in ["json", "xml"] {
        let mut world = World::new(StoreKind::Embedded).await;
        world.set("accounts.main.format", format);
        let gateway = world.start_gateway().await;
        let mut client = client(&gateway).await;
        let before = balance(&mut client).await.unwrap();
        let money = before.balance.unwrap();
        assert_eq!(
            (money.currency_code.as_str(), money.units, money.nanos),
            ("IDR", DEPOSIT, 0)
        );
        assert!(before.response_time.is_some() && !before.trace_code.is_empty());
        buy(&mut gateway.client().await, &reference(), PLAIN).await;
        let after = balance(&mut client).await.unwrap().balance.unwrap();
        assert_eq!(after.units, DEPOSIT - PRODUCT_PRICE);
    }
}

#[tokio::test]
async fn echo_returns_message_in_both_formats() {
    for format in ["json", "xml"] {
        let mut world = World::new(StoreKind::Embedded).await;
        world.set("accounts.main.format", format);
        let gateway = world.start_gateway().await;
        let mut client = client(&gateway).await;
        for message in ["ping", "a <b> & \"c\" \\ 'd'", &"x".repeat(256)] {
            let request = EchoRequest {
                account: "main".into(),
                message: message.into(),
            };
            assert_eq!(
                client.echo(request).await.unwrap().into_inner().message,
                message
            );
        }
        for message in ["", " blank", "two\nlines", "é", &"x".repeat(257)] {
            let request = EchoRequest {
                account: "nobody".into(),
                message: message.into(),
            };
            let status = client.echo(request).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
            let violations = status.get_details_bad_request().unwrap().field_violations;
            let fields: Vec<&str> = violations
                .iter()
                .map(|violation| violation.field.as_str())
                .collect();
            assert_eq!(fields, ["account", "message"], "{message:?}");
        }
    }
}

#[tokio::test]
async fn rejected_credentials_are_reported_as_gateway_fault() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("accounts.main.pin", "another-pin");
    let gateway = world.start_gateway().await;
    let status = balance(&mut client(&gateway).await).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(
        error_info(&status),
        ("GATEWAY_CREDENTIALS".into(), "maybe".into())
    );
    let metadata = status.get_details_error_info().unwrap().metadata;
    assert_eq!(metadata["status_code"], "207");
}

#[tokio::test]
async fn unreachable_okebayar_is_reported_as_not_sent() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let status = balance(&mut client(&gateway).await).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(
        error_info(&status),
        ("OKEBAYAR_UNREACHABLE".into(), "no".into())
    );
}

/// Answers one echo request with another message.
async fn serve(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") && stream.read_buf(&mut request).await.unwrap() > 0 {}
        let body = r#"{"responsecode":"000","message":"m"}"#;
        let head = format!("content-length: {}\r\nconnection: close", body.len());
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
}

#[tokio::test]
async fn echo_of_another_message_is_rejected() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    serve(world.sandbox_port).await;
    let gateway = world.start_gateway().await;
    let request = EchoRequest {
        account: String::new(),
        message: "another".into(),
    };
    let status = client(&gateway).await.echo(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(error_info(&status).0, "NO_USABLE_ANSWER");
}
