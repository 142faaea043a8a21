//! One call: connects, calls, prints, and returns the outcome.

use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use super::{
    arguments::{CallArguments, CallCommand},
    exit_outcome::ExitOutcome,
    gateway_client::GatewayClient,
    get_balance, list_notices, list_orphan_callbacks,
    printer::Printer,
};

/// Makes one call, prints the answer or the error, and returns the outcome.
pub async fn run(arguments: CallArguments) -> ExitOutcome {
    let printer = Printer::new(arguments.json);
    let Ok(endpoint) = Channel::from_shared(arguments.address.clone()) else {
        printer.problem(&format!(
            "--address: {:?} is not an address; give one such as http://localhost:50051",
            arguments.address
        ));
        return ExitOutcome::Refused;
    };
    let address = address(&endpoint);
    let client = GatewayClient {
        channel: endpoint.connect_lazy(),
        timeout: arguments.timeout,
        account: arguments.account,
        printer,
    };
    let moves_money = arguments.command.moves_money();
    match call(arguments.command, &client).await {
        Ok(outcome) => outcome,
        Err(status) => {
            match unreachable(&status, &address) {
                Some(problem) => client.printer.problem(&problem),
                None => client.printer.error(&status),
            }
            ExitOutcome::of_error(&status, moves_money)
        }
    }
}

/// Makes the call of one subcommand. Every subcommand has an arm of its own, so that a new one
/// does not compile until it is handled.
async fn call(command: CallCommand, client: &GatewayClient) -> Result<ExitOutcome, Status> {
    match command {
        CallCommand::PurchasePrepaid(purchase) => purchase.run(client).await,
        CallCommand::PayPostpaid(payment) => payment.run(client).await,
        CallCommand::GetTransaction(get) => get.run(client).await,
        CallCommand::CheckTransaction(check) => check.run(client).await,
        CallCommand::WatchTransaction(watch) => watch.run(client).await,
        CallCommand::WatchTransactions(watch) => watch.run(client).await,
        CallCommand::ListTransactions(list) => list.run(client).await,
        CallCommand::ResolveTransaction(resolution) => resolution.run(client).await,
        CallCommand::InquirePrepaid(inquiry) => inquiry.run(client).await,
        CallCommand::InquirePostpaid(inquiry) => inquiry.run(client).await,
        CallCommand::GetInquiry(get) => get.run(client).await,
        CallCommand::GetBalance => get_balance::run(client).await,
        CallCommand::Echo(echo) => echo.run(client).await,
        CallCommand::ListNotices(page) => list_notices::run(page, client).await,
        CallCommand::ListOrphanCallbacks(page) => list_orphan_callbacks::run(page, client).await,
    }
}

/// Returns scheme, host and port of the gateway's address, for messages.
fn address(endpoint: &Endpoint) -> String {
    let uri = endpoint.uri();
    let scheme = uri.scheme_str().unwrap_or("http");
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().map(|port| format!(":{port}"));
    format!("{scheme}://{host}{}", port.unwrap_or_default())
}

/// Describes a call that reached no gateway; `None` when a gateway answered.
fn unreachable(status: &Status, address: &str) -> Option<String> {
    let has_details = !status.details().is_empty();
    if has_details || status.code() != Code::Unavailable {
        return None;
    }
    let mut problem = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let text = error.to_string();
        if !problem.contains(&text) && text != "transport error" {
            problem = format!("{problem}: {text}");
        }
        cause = error.source();
    }
    Some(format!(
        "Unavailable: {address} cannot be reached: {problem}; start the gateway, or name \
         another address with --address"
    ))
}
