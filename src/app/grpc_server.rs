//! The gRPC server: services, layers, reflection and shutdown.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Server, server::TcpIncoming};
use tonic_health::pb::health_server::{Health, HealthServer};

use crate::{
    grpc::{
        DESCRIPTOR, GrpcServices, RefusalLayer,
        v1::{
            account_service_server::AccountServiceServer,
            inquiry_service_server::InquiryServiceServer,
            notice_service_server::NoticeServiceServer,
            transaction_service_server::TransactionServiceServer,
        },
    },
    telemetry::{Metrics, RpcLayer},
};

/// The largest accepted request, in bytes.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// The interval of HTTP/2 keep-alive pings on an idle connection.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Serves gRPC until `stopping`. A connection of `connection_age` gets a GOAWAY: the caller opens
/// another one, perhaps to a new replica, and the calls and watches in flight run to their end on
/// this one. There is no time after which it is closed regardless: that would abort them without a
/// GOAWAY.
pub(super) async fn serve_grpc(
    listener: TcpListener,
    services: GrpcServices,
    health: HealthServer<impl Health>,
    metrics: Metrics,
    connection_age: Duration,
    stopping: CancellationToken,
) -> Result<()> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .context("the reflection service cannot be built")?;
    let transactions = TransactionServiceServer::new(services.clone())
        .max_decoding_message_size(REQUEST_BYTES_MAX);
    let inquiries =
        InquiryServiceServer::new(services.clone()).max_decoding_message_size(REQUEST_BYTES_MAX);
    let notices =
        NoticeServiceServer::new(services.clone()).max_decoding_message_size(REQUEST_BYTES_MAX);
    let accounts = AccountServiceServer::new(services).max_decoding_message_size(REQUEST_BYTES_MAX);
    let descriptors = [DESCRIPTOR, tonic_health::pb::FILE_DESCRIPTOR_SET];
    Server::builder()
        .layer(RpcLayer::new(metrics, &descriptors))
        .layer(RefusalLayer)
        // Without HTTP/1, a peer that sends nothing delays the shutdown (hyper 4170).
        .accept_http1(true)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .max_connection_age(connection_age)
        .add_service(health)
        .add_service(reflection)
        .add_service(transactions)
        .add_service(inquiries)
        .add_service(accounts)
        .add_service(notices)
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            stopping.cancelled(),
        )
        .await
        .context("the gRPC server failed")
}
