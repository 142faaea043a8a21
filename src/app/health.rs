//! The health report: SERVING while the store passes its verification.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic_health::{ServingStatus, server::HealthReporter};
use tracing::{error, info};

use crate::{
    admin::Readiness,
    gateway::Gateway,
    grpc::{
        GrpcServices,
        v1::{
            account_service_server::AccountServiceServer,
            inquiry_service_server::InquiryServiceServer,
            notice_service_server::NoticeServiceServer,
            transaction_service_server::TransactionServiceServer,
        },
    },
};

/// The time between two verifications of the store (promise 10). Together with
/// [`crate::failover::VERIFY_TIMEOUT`] it is below the 10 s within which a fault is reported.
const STORE_VERIFY_INTERVAL: Duration = Duration::from_secs(4);

/// Reports SERVING while the store passes its verification and the gateway is not stopping.
pub(super) async fn report_health(
    reporter: HealthReporter,
    readiness: watch::Sender<Readiness>,
    gateway: Gateway,
    stopping: CancellationToken,
) {
    // The store was verified when it was opened.
    report(&reporter, true).await;
    gateway.metrics.store_healthy(true);
    let mut was_well = true;
    loop {
        tokio::select! {
            () = tokio::time::sleep(STORE_VERIFY_INTERVAL) => {}
            () = stopping.cancelled() => {
                readiness.send_modify(|readiness| readiness.is_stopping = true);
                return report(&reporter, false).await;
            }
        }
        let verified = gateway.failover.verify_store().await;
        let is_well = verified.is_ok();
        gateway.metrics.store_healthy(is_well);
        readiness.send_modify(|readiness| {
            readiness.store = gateway.failover.store_problem();
            let faults = gateway.failover.part_faults();
            readiness.store_parts = faults.iter().map(ToString::to_string).collect();
        });
        if is_well != was_well {
            match verified {
                Ok(()) => info!("gateway is healthy again"),
                Err(problem) => error!(%problem, "gateway is not healthy"),
            }
            report(&reporter, is_well).await;
        }
        was_well = is_well;
    }
}

/// Reports the health of every service, and of the server as a whole.
async fn report(reporter: &HealthReporter, is_well: bool) {
    let status = if is_well {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    let services = [
        "",
        TransactionServiceServer::<GrpcServices>::NAME,
        InquiryServiceServer::<GrpcServices>::NAME,
        AccountServiceServer::<GrpcServices>::NAME,
        NoticeServiceServer::<GrpcServices>::NAME,
    ];
    for service in services {
        reporter.set_service_status(service, status).await;
    }
}
