//! `health`: checks by the standard health protocol whether a gateway serves.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// The longest that a gateway may take to connect, and to answer.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// Checks whether the gateway at an address serves.
///
/// # Errors
/// When it does not serve, or does not answer.
pub(super) async fn run(address: String) -> Result<()> {
    let endpoint = Channel::from_shared(address.clone())
        .context("--address: give one such as http://127.0.0.1:50051")?
        .connect_timeout(HEALTH_TIMEOUT)
        .timeout(HEALTH_TIMEOUT);
    let channel = endpoint.connect().await;
    let channel = channel.with_context(|| format!("the gateway at {address} does not answer"))?;
    let answer = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await?
        .into_inner();
    match answer.status() {
        ServingStatus::Serving => Ok(()),
        other => bail!(
            "the gateway at {address} is {}; its /readyz names the reason",
            other.as_str_name()
        ),
    }
}
