//! `AccountService`: questions that move no money.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

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
async fn the_balance_is_what_okebayar_tells_in_both_formats() {
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
async fn an_echo_returns_the_message_in_both_formats() {
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
async fn refused_credentials_are_the_gateways_affair() {
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
async fn an_unreachable_okebayar_was_sent_nothing() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let status = balance(&mut client(&gateway).await).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(
        error_info(&status),
        ("OKEBAYAR_UNREACHABLE".into(), "no".into())
    );
}

/// Answers every request with the status code of the moment, and a balance.
async fn serve(port: u16, code: Arc<AtomicU16>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}") && stream.read_buf(&mut request).await.unwrap() > 0 {}
            let status = format!("{:03}", code.load(Ordering::SeqCst));
            let body =
                format!("{{\"responsecode\":\"{status}\",\"balance\":1.50,\"message\":\"m\"}}");
            let head = format!("content-length: {}\r\nconnection: close", body.len());
            let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
}

/// The table of design section 3, every code of it.
fn expected(code: u16) -> Code {
    match code {
        0 | 1 => Code::Ok,
        400 => Code::NotFound,
        204 | 205 | 206 | 216 | 217 | 232 | 404 => Code::InvalidArgument,
        200 | 203 | 210 | 215 | 233 | 401 | 403 | 405 | 500 | 207 | 211..=213 => {
            Code::FailedPrecondition
        }
        2..=199 | 201 | 202 | 240 => Code::Unavailable,
        208 | 510 => Code::Aborted,
        _ => Code::Internal,
    }
}

#[tokio::test]
async fn every_code_of_an_answer_is_one_grpc_code() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    let code = Arc::new(AtomicU16::new(0));
    serve(world.sandbox_port, Arc::clone(&code)).await;
    let gateway = world.start_gateway().await;
    let mut client = client(&gateway).await;
    let documented = [
        0, 1, 2, 3, 99, 150, 200, 201, 202, 203, 204, 205, 206, 207, 208, 210, 211, 212, 213, 214,
        215, 216, 217, 232, 233, 234, 240, 241, 260, 261, 270, 299, 400, 401, 402, 403, 404, 405,
        500, 510,
    ];
    for number in documented {
        code.store(number, Ordering::SeqCst);
        let answered = balance(&mut client).await;
        let found = answered.as_ref().map_or_else(Status::code, |_| Code::Ok);
        assert_eq!(found, expected(number), "balance {number}");
        if let Ok(answer) = answered {
            let money = answer.balance.unwrap();
            assert_eq!((money.units, money.nanos), (1, 500_000_000));
        }
        let request = EchoRequest {
            account: String::new(),
            message: "m".into(),
        };
        let echoed = client
            .echo(request)
            .await
            .map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(echoed, expected(number), "echo {number}");
    }
    code.store(0, Ordering::SeqCst);
    let request = EchoRequest {
        account: String::new(),
        message: "another".into(),
    };
    assert_eq!(
        client.echo(request).await.unwrap_err().code(),
        Code::Unavailable
    );
}
