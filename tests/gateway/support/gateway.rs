//! A running gateway.

use std::{net::SocketAddr, path::Path};

use okebayar_gateway::grpc::v1::{Inquiry, Transaction, WatchTransactionRequest};
use serde_json::Value;
use tonic::transport::Channel;

use super::calls::{Client, Inquirer, question};
use super::process::{PATIENCE, Process};

pub const BINARY: &str = env!("CARGO_BIN_EXE_okebayar-gateway");

/// Returns true for a release that requires the opt-in to short times.
pub fn knows_short_times(binary: &str) -> bool {
    binary == BINARY || {
        let mut command = std::process::Command::new(binary);
        command.args(["serve", "--check"]);
        command.env("OKEBAYAR_GATEWAY__ALLOW_SHORT_TIMES", "true");
        let printed = command.output().unwrap();
        !String::from_utf8_lossy(&printed.stderr).contains("allow_short_times")
    }
}

/// A running gateway.
pub struct Gateway {
    pub grpc: SocketAddr,
    pub callbacks: SocketAddr,
    pub admin: SocketAddr,
    pub process: Process,
}

impl Gateway {
    /// Starts a gateway and waits until it listens.
    pub async fn start(
        arguments: &[&str],
        environment: &[(String, String)],
        folder: &Path,
    ) -> Self {
        Self::start_release(BINARY, arguments, environment, folder).await
    }

    /// Starts a gateway by another program: another release, or a shell that executes it.
    pub async fn start_release(
        binary: &str,
        arguments: &[&str],
        environment: &[(String, String)],
        folder: &Path,
    ) -> Self {
        let mut process = Process::start(binary, arguments, environment, folder);
        let (grpc, callbacks, admin) = process
            .line(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                let address = |name: &str| line[name].as_str()?.parse().ok();
                Some((address("grpc")?, address("callbacks")?, address("admin")?))
            })
            .await;
        Self {
            grpc,
            callbacks,
            admin,
            process,
        }
    }

    /// Waits until `/readyz` answers with this status, and returns the text.
    pub async fn readiness(&self, status: u16) -> String {
        let asked = async {
            loop {
                let url = format!("http://{}/readyz", self.admin);
                let answer = reqwest::get(url).await.unwrap();
                let found = answer.status().as_u16();
                let text = answer.text().await.unwrap();
                if found == status {
                    return text;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .unwrap_or_else(|_| panic!("/readyz never answered {status}"))
    }

    pub async fn client(&self) -> Client {
        let channel = Channel::from_shared(format!("http://{}", self.grpc)).unwrap();
        Client::new(channel.connect().await.unwrap())
    }

    pub async fn inquirer(&self) -> Inquirer {
        let channel = Channel::from_shared(format!("http://{}", self.grpc)).unwrap();
        Inquirer::new(channel.connect().await.unwrap())
    }

    /// Inquires for a bill.
    pub async fn bill(&self, product_code: &str, account_number: &str) -> Inquiry {
        let request = question(product_code, account_number);
        let found = self.inquirer().await.inquire_postpaid(request).await;
        found.unwrap().into_inner().inquiry.unwrap()
    }

    /// Watches the transaction until `wanted` accepts it.
    pub async fn until(
        &self,
        reference_code: &str,
        wanted: impl Fn(&Transaction) -> bool,
    ) -> Transaction {
        let mut client = self.client().await;
        let found = async {
            let request = WatchTransactionRequest {
                reference_code: reference_code.to_owned(),
                ..WatchTransactionRequest::default()
            };
            let mut updates = client
                .watch_transaction(request)
                .await
                .unwrap()
                .into_inner();
            let mut last = None;
            while let Some(update) = updates.message().await.unwrap() {
                // A heartbeat has none.
                let Some(transaction) = update.transaction else {
                    continue;
                };
                if wanted(&transaction) {
                    return transaction;
                }
                last = Some(transaction);
            }
            panic!("the watch ended with {last:#?}");
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .expect("the transaction never reached the expected state")
    }

    pub async fn until_final(&self, reference_code: &str) -> Transaction {
        self.until(reference_code, |transaction| transaction.terminal)
            .await
    }
}
