//! `dev`: runs gateway and sandbox on loopback, and buys one product through the real gRPC port,
//! printing every change.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    ambient::Ambient,
    app::App,
    config::Settings,
    grpc::v1::{
        self, PurchasePrepaidRequest, WatchTransactionRequest,
        transaction_service_client::TransactionServiceClient,
    },
    sandbox::{self, CallbackMethod, Sandbox, scenario},
};

/// The folder of the store, in the current folder.
const DATA_FOLDER: &str = "okebayar-data";
const GRPC: &str = "127.0.0.1:50051";
const CALLBACKS: &str = "127.0.0.1:8080";
const ADMIN: &str = "127.0.0.1:9464";
const SANDBOX: &str = "127.0.0.1:8090";
/// Any free port.
const FREE: &str = "127.0.0.1:0";

const USER_ID: &str = "dev-member";
const DEPOSIT: u64 = 10_000_000;
const PRODUCT: &str = "PULSA10";
/// A scenario of the sandbox: pending, then success by callback.
const ACCOUNT_NUMBER: &str = "080000000002";
/// A bill of the sandbox, for the commands to try next.
const BILL_PRODUCT: &str = "HPLNPASCA";
const BILL_CUSTOMER: &str = "512345678902";
/// The longest that the purchase may take until it is final.
const PURCHASE_TIMEOUT: Duration = Duration::from_secs(30);

/// Starts gateway and sandbox, buys one product, and prints commands to try next. With `once`, it
/// uses free ports and a temporary store, and ends after the purchase.
///
/// # Errors
/// When something cannot be started, or the purchase does not end SUCCEEDED.
pub(super) async fn run(
    once: bool,
    registry: Registry,
    ambient: Ambient,
    stopping: CancellationToken,
) -> Result<()> {
    let folder = tempfile::tempdir().context("a temporary folder cannot be created")?;
    let data = if once {
        folder.path()
    } else {
        Path::new(DATA_FOLDER)
    };
    let pin = (ambient.random)().to_string();
    let (sandbox, sandbox_url) = start_sandbox(once, &pin, ambient, &stopping).await?;
    let settings = settings(once, data, &sandbox_url, pin)?;
    let app = App::start(settings, registry, ambient, stopping.clone()).await?;
    sandbox.register_callback(format!("http://{}/callbacks/main", app.callbacks));
    println!(
        "gateway   gRPC on {}, callbacks on {}, metrics on {}",
        app.grpc, app.callbacks, app.admin
    );
    println!("sandbox   {sandbox_url} (stands in for OKEBAYAR)");
    println!(
        "store     {}",
        if once {
            "temporary".into()
        } else {
            data.display().to_string()
        }
    );

    let address = app.grpc.to_string();
    let running = tokio::spawn(app.run());
    let reference_code = (ambient.random)().to_string();
    let bought = buy(&address, &reference_code);
    let bought = tokio::time::timeout(PURCHASE_TIMEOUT, bought)
        .await
        .unwrap_or_else(|_| bail!("the purchase was not final within {PURCHASE_TIMEOUT:?}"));
    if once || bought.is_err() {
        stopping.cancel();
    } else {
        println!("\n{}", next_steps(&address, &reference_code));
    }
    running.await.context("the gateway panicked")??;
    bought
}

/// Starts the sandbox, and returns it with its URL.
async fn start_sandbox(
    once: bool,
    pin: &str,
    ambient: Ambient,
    stopping: &CancellationToken,
) -> Result<(Arc<Sandbox>, String)> {
    let listener = TcpListener::bind(if once { FREE } else { SANDBOX })
        .await
        .with_context(|| format!("the sandbox cannot listen on {SANDBOX}; free that port"))?;
    let url = format!("http://{}/", listener.local_addr()?);
    let settings = sandbox::SandboxSettings {
        user_id: USER_ID.to_owned(),
        pin: pin.into(),
        deposit: DEPOSIT,
        settle_after: scenario::SETTLE_AFTER_DEFAULT,
        late_after: scenario::LATE_AFTER_DEFAULT,
        check_delay: Duration::ZERO,
        callback_method: CallbackMethod::Post,
        inquiry_valid: scenario::INQUIRY_VALID_DEFAULT,
        not_found_code: scenario::NOT_FOUND_DEFAULT,
    };
    let sandbox = Sandbox::new(settings, None, ambient, stopping.clone())?;
    tokio::spawn(Arc::clone(&sandbox).serve(listener));
    Ok((sandbox, url))
}

/// Builds the settings of the gateway: the sandbox is its only account.
fn settings(once: bool, data: &Path, sandbox_url: &str, pin: String) -> Result<Settings> {
    let address = |fixed: &str| {
        if once {
            FREE.to_owned()
        } else {
            fixed.to_owned()
        }
    };
    Ok(Settings::from_pairs([
        ("grpc.listen", address(GRPC)),
        ("callbacks.listen", address(CALLBACKS)),
        ("admin.listen", address(ADMIN)),
        (
            "store.path",
            data.join("gateway.redb").display().to_string(),
        ),
        ("accounts.main.url", sandbox_url.to_owned()),
        ("accounts.main.userid", USER_ID.to_owned()),
        ("accounts.main.pin", pin),
        // The sandbox settles within seconds: checks need not wait for minutes.
        ("checks.unknown_first", "2s".to_owned()),
        ("checks.pending_first", "10s".to_owned()),
        ("checks.interval_min", "2s".to_owned()),
    ])?)
}

/// Buys one product and watches it to its end, printing every revision.
///
/// # Errors
/// When the purchase is refused, or does not end SUCCEEDED.
async fn buy(address: &str, reference_code: &str) -> Result<()> {
    let mut client = TransactionServiceClient::connect(format!("http://{address}"))
        .await
        .with_context(|| format!("the gateway does not answer gRPC on {address}"))?;
    println!("\nbuying    {PRODUCT} for {ACCOUNT_NUMBER}, reference code {reference_code}");
    let request = PurchasePrepaidRequest {
        reference_code: reference_code.to_owned(),
        product_code: PRODUCT.to_owned(),
        account_number: ACCOUNT_NUMBER.to_owned(),
        ..PurchasePrepaidRequest::default()
    };
    let answer = client
        .purchase_prepaid(request)
        .await
        .context("the purchase was refused")?;
    let mut latest = answer
        .into_inner()
        .transaction
        .context("the answer holds no transaction")?;
    show(&latest);
    let request = WatchTransactionRequest {
        reference_code: reference_code.to_owned(),
        after_revision: latest.revision,
        ..WatchTransactionRequest::default()
    };
    let mut updates = client.watch_transaction(request).await?.into_inner();
    while let Some(update) = updates.message().await? {
        // A heartbeat has none.
        if let Some(transaction) = update.transaction {
            show(&transaction);
            latest = transaction;
        }
    }
    if latest.state() != v1::TransactionState::Succeeded || !latest.terminal {
        bail!(
            "the purchase ended {}: {}",
            latest.state().as_str_name(),
            latest.status_meaning
        );
    }
    Ok(())
}

/// Prints one revision of the transaction on one line.
fn show(transaction: &v1::Transaction) {
    let state = transaction
        .state()
        .as_str_name()
        .trim_start_matches("TRANSACTION_STATE_");
    let mut facts = vec![format!(
        "{} {}",
        transaction.status_code, transaction.status_meaning
    )];
    if !transaction.reported_status_code.is_empty() && !transaction.terminal {
        let code = &transaction.reported_status_code;
        facts.push(format!(
            "a callback reports {code}, to be confirmed by a status check"
        ));
    }
    if !transaction.serial_number.is_empty() {
        facts.push(format!("serial number {}", transaction.serial_number));
    }
    if let Some(price) = &transaction.price {
        facts.push(format!("price IDR {}", price.units));
    }
    println!(
        "revision {} {state:<10} {}",
        transaction.revision,
        facts.join("; ")
    );
}

/// Describes what to try next, with commands that can be copied.
fn next_steps(address: &str, reference_code: &str) -> String {
    format!(
        "The gateway keeps serving; Ctrl-C stops it. Try these in another terminal (okebayar-gateway stands for
`cargo run --quiet --`):

  buy the same again: \"replayed: true\" shows that no second purchase was made
    okebayar-gateway call --address http://{address} purchase-prepaid {reference_code} {PRODUCT} {ACCOUNT_NUMBER}

  inquire about a bill, and pay it by its inquiry_code
    okebayar-gateway call --address http://{address} inquire-postpaid {BILL_PRODUCT} {BILL_CUSTOMER} --contact-number 0812
    okebayar-gateway call --address http://{address} pay-postpaid order-2026-000002 <inquiry_code> --total 108000 \\
      --account-number {BILL_CUSTOMER} --watch

  read the sandbox's ledger: OKEBAYAR executed the purchase once
    curl http://{SANDBOX}/ledger/{reference_code}

  choose another behaviour by account number: see the scenario table in README.md"
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::arguments::Cli;

    #[test]
    fn printed_commands_can_be_run() {
        let text = next_steps(GRPC, "order-2026-000001").replace("\\\n", " ");
        let commands: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("okebayar-gateway "))
            .collect();
        assert_eq!(commands.len(), 3, "{text}");
        for command in &commands {
            let parsed = Cli::try_parse_from(command.split_whitespace());
            assert!(parsed.is_ok(), "{command}: {:?}", parsed.err());
        }
        let payment = commands.iter().find(|command| command.contains("pay-"));
        let customer = format!("--account-number {BILL_CUSTOMER}");
        assert!(payment.unwrap().contains(&customer), "{text}");
    }
}
