//! `call`: the gateway's own client, one subcommand for each RPC.
//!
//! Reads are taken up again when the connection breaks; a purchase never is: that is
//! the caller's to do, under the same reference code.

mod arguments;
mod exit_outcome;
mod progress;
mod show;

use std::time::Duration;

use anyhow::{Context, bail};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

pub use arguments::{CallArguments, CallCommand};
use arguments::{
    GetTransactionArguments, PayPostpaidArguments, PurchasePrepaidArguments,
    ResolveTransactionArguments,
};
pub use exit_outcome::ExitOutcome;

use self::{progress::Progress, show::Printer};
use crate::grpc::v1::{
    self, account_service_client::AccountServiceClient,
    inquiry_service_client::InquiryServiceClient, notice_service_client::NoticeServiceClient,
    transaction_service_client::TransactionServiceClient,
};

/// The pause before a watch that broke off is taken up again.
const WATCH_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How often in a row a watch is taken up again in vain.
const WATCH_TRIES_MAX: u32 = 30;

/// Makes one call, prints what it brings, and says how it ended.
pub async fn run(arguments: CallArguments) -> ExitOutcome {
    let printer = Printer::new(arguments.json);
    let Ok(endpoint) = Channel::from_shared(arguments.address.clone()) else {
        printer.problem(&format!(
            "--address: {:?} is no address; give one such as http://localhost:50051",
            arguments.address
        ));
        return ExitOutcome::Refused;
    };
    let address = address(&endpoint);
    let caller = Caller {
        channel: endpoint.connect_lazy(),
        timeout: arguments.timeout,
        account: arguments.account,
        printer,
        progress: Progress::new(),
    };
    let moves_money = arguments.command.moves_money();
    match caller.call(arguments.command).await {
        Ok(outcome) => outcome,
        Err(status) => {
            match unreachable(&status, &address) {
                Some(problem) => caller.printer.problem(&problem),
                None => caller.printer.error(&status),
            }
            ExitOutcome::of_error(&status, moves_money)
        }
    }
}

/// Returns the address of the gateway, without what else the address may hold.
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
    if has_details || status.code() != tonic::Code::Unavailable {
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

/// The longest that a gateway may take to say how it is.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks a gateway whether it serves, by the standard health protocol.
///
/// # Errors
/// When it does not, or cannot be asked.
pub async fn health(address: String) -> anyhow::Result<()> {
    let endpoint = Channel::from_shared(address)
        .context("--address: give one such as http://127.0.0.1:50051")?
        .connect_timeout(HEALTH_TIMEOUT)
        .timeout(HEALTH_TIMEOUT);
    let mut client = HealthClient::new(endpoint.connect().await.context("it does not answer")?);
    let answer = client
        .check(HealthCheckRequest::default())
        .await?
        .into_inner();
    match answer.status() {
        ServingStatus::Serving => Ok(()),
        other => bail!("it is {}", other.as_str_name()),
    }
}

struct Caller {
    channel: Channel,
    timeout: Option<Duration>,
    account: Option<String>,
    printer: Printer,
    progress: Progress,
}

impl Caller {
    /// Makes one call. Every command has an arm of its own, so that a new one does not
    /// compile until it is handled.
    async fn call(&self, command: CallCommand) -> Result<ExitOutcome, Status> {
        let account = self.account.clone().unwrap_or_default();
        let accounts: Vec<String> = self.account.iter().cloned().collect();
        match command {
            CallCommand::PurchasePrepaid(purchase) => self.purchase(purchase, account).await,
            CallCommand::PayPostpaid(payment) => self.pay(payment, account).await,
            CallCommand::GetTransaction(get) => self.get(get, account).await,
            CallCommand::CheckTransaction { reference_code } => {
                self.check(account, reference_code).await
            }
            CallCommand::WatchTransaction {
                reference_code,
                after_revision,
            } => {
                self.watch(v1::WatchTransactionRequest {
                    account,
                    reference_code,
                    after_revision,
                })
                .await
            }
            CallCommand::WatchTransactions { cursor } => {
                self.watch_all(v1::WatchTransactionsRequest { accounts, cursor })
                    .await
            }
            CallCommand::ListTransactions(list) => {
                let request = self.request(list.message(accounts));
                self.show(self.transactions().list_transactions(request))
                    .await
            }
            CallCommand::ResolveTransaction(ruling) => self.resolve(ruling, account).await,
            CallCommand::InquirePrepaid(inquiry) => {
                let request = self.request(inquiry.message(account));
                self.show(self.inquiries().inquire_prepaid(request)).await
            }
            CallCommand::InquirePostpaid(inquiry) => {
                let request = self.request(inquiry.message(account));
                self.show(self.inquiries().inquire_postpaid(request)).await
            }
            CallCommand::GetBalance => {
                let request = self.request(v1::GetBalanceRequest { account });
                self.show(self.accounts().get_balance(request)).await
            }
            CallCommand::Echo { message } => {
                let request = self.request(v1::EchoRequest { account, message });
                self.show(self.accounts().echo(request)).await
            }
            CallCommand::ListNotices {
                page_size,
                page_token,
            } => {
                let request = self.request(v1::ListNoticesRequest {
                    accounts,
                    page_size,
                    page_token,
                });
                self.show(self.notices().list_notices(request)).await
            }
            CallCommand::ListOrphanCallbacks {
                page_size,
                page_token,
            } => {
                let request = self.request(v1::ListOrphanCallbacksRequest {
                    accounts,
                    page_size,
                    page_token,
                });
                self.show(self.notices().list_orphan_callbacks(request))
                    .await
            }
        }
    }

    async fn purchase(
        &self,
        purchase: PurchasePrepaidArguments,
        account: String,
    ) -> Result<ExitOutcome, Status> {
        let watch = purchase.wait.watch;
        let request = self.request(purchase.message(account));
        let answer = self
            .wait(self.transactions().purchase_prepaid(request))
            .await?;
        self.printer.print(&answer);
        self.follow(answer.transaction, watch).await
    }

    async fn pay(
        &self,
        payment: PayPostpaidArguments,
        account: String,
    ) -> Result<ExitOutcome, Status> {
        let watch = payment.wait.watch;
        let request = self.request(payment.message(account));
        let answer = self.wait(self.transactions().pay_postpaid(request)).await?;
        self.printer.print(&answer);
        self.follow(answer.transaction, watch).await
    }

    async fn get(
        &self,
        get: GetTransactionArguments,
        account: String,
    ) -> Result<ExitOutcome, Status> {
        let request = self.request(get.message(account));
        let answer = self
            .wait(self.transactions().get_transaction(request))
            .await?;
        Ok(self.printed(&answer, answer.transaction.as_ref()))
    }

    async fn check(&self, account: String, reference_code: String) -> Result<ExitOutcome, Status> {
        let request = self.request(v1::CheckTransactionRequest {
            account,
            reference_code,
        });
        let answer = self
            .wait(self.transactions().check_transaction(request))
            .await?;
        Ok(self.printed(&answer, answer.transaction.as_ref()))
    }

    async fn resolve(
        &self,
        ruling: ResolveTransactionArguments,
        account: String,
    ) -> Result<ExitOutcome, Status> {
        let message = match ruling.message(account) {
            Ok(message) => message,
            Err(problem) => {
                self.printer.problem(&problem);
                return Ok(ExitOutcome::Refused);
            }
        };
        let request = self.request(message);
        let answer = self
            .wait(self.transactions().resolve_transaction(request))
            .await?;
        Ok(self.printed(&answer, answer.transaction.as_ref()))
    }

    /// Makes a call that is about no one transaction, and prints the answer.
    async fn show<T: show::ContractMessage>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<ExitOutcome, Status> {
        let answer = self.wait(call).await?;
        Ok(self.printed(&answer, None))
    }

    fn inquiries(&self) -> InquiryServiceClient<Channel> {
        InquiryServiceClient::new(self.channel.clone())
    }

    fn accounts(&self) -> AccountServiceClient<Channel> {
        AccountServiceClient::new(self.channel.clone())
    }

    fn notices(&self) -> NoticeServiceClient<Channel> {
        NoticeServiceClient::new(self.channel.clone())
    }

    fn transactions(&self) -> TransactionServiceClient<Channel> {
        TransactionServiceClient::new(self.channel.clone())
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        request
    }

    async fn wait<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Status> {
        let answered = self.progress.during("waiting for the gateway", call).await;
        answered.map(Response::into_inner)
    }

    fn printed(
        &self,
        answer: &impl show::ContractMessage,
        transaction: Option<&v1::Transaction>,
    ) -> ExitOutcome {
        self.printer.print(answer);
        transaction.map_or(ExitOutcome::Done, ExitOutcome::of)
    }

    /// Follows a purchase to the end of its watch, if that is wanted.
    async fn follow(
        &self,
        transaction: Option<v1::Transaction>,
        watch: bool,
    ) -> Result<ExitOutcome, Status> {
        let transaction = transaction.unwrap_or_default();
        if !watch {
            return Ok(ExitOutcome::of(&transaction));
        }
        let outcome = ExitOutcome::of(&transaction);
        let request = v1::WatchTransactionRequest {
            account: transaction.account,
            reference_code: transaction.reference_code,
            after_revision: transaction.revision,
        };
        let printed = Some(transaction.revision);
        self.watch_from(request, outcome, printed, 0).await
    }

    async fn watch(&self, request: v1::WatchTransactionRequest) -> Result<ExitOutcome, Status> {
        // One that never began is not taken up again.
        self.watch_from(request, ExitOutcome::Done, None, WATCH_TRIES_MAX)
            .await
    }

    /// Prints every revision but the `printed` one, which a watch that is resumed at its
    /// end tells again.
    async fn watch_from(
        &self,
        mut request: v1::WatchTransactionRequest,
        mut outcome: ExitOutcome,
        mut printed: Option<i64>,
        mut tries: u32,
    ) -> Result<ExitOutcome, Status> {
        loop {
            let opened = self.transactions().watch_transaction(request.clone()).await;
            let ended = match opened {
                Ok(updates) => {
                    let mut updates = updates.into_inner();
                    loop {
                        match self.next(&mut updates).await {
                            Ok(Some(update)) => {
                                tries = 0;
                                let transaction = update.transaction.clone().unwrap_or_default();
                                request.after_revision = transaction.revision;
                                outcome = ExitOutcome::of(&transaction);
                                if printed.replace(transaction.revision)
                                    != Some(transaction.revision)
                                {
                                    self.printer.print(&update);
                                }
                            }
                            Ok(None) => return Ok(outcome),
                            Err(status) => break status,
                        }
                    }
                }
                Err(status) => status,
            };
            self.may_watch_again(ended, &mut tries).await?;
        }
    }

    async fn watch_all(
        &self,
        mut request: v1::WatchTransactionsRequest,
    ) -> Result<ExitOutcome, Status> {
        let mut tries = WATCH_TRIES_MAX;
        loop {
            let opened = self
                .transactions()
                .watch_transactions(request.clone())
                .await;
            let ended = match opened {
                Ok(updates) => {
                    let mut updates = updates.into_inner();
                    loop {
                        match self.next(&mut updates).await {
                            Ok(Some(update)) => {
                                tries = 0;
                                request.cursor.clone_from(&update.cursor);
                                self.printer.print(&update);
                            }
                            Ok(None) => return Ok(ExitOutcome::Done),
                            Err(status) => break status,
                        }
                    }
                }
                Err(status) => status,
            };
            self.may_watch_again(ended, &mut tries).await?;
        }
    }

    async fn next<T>(&self, updates: &mut Streaming<T>) -> Result<Option<T>, Status> {
        let next = updates.message();
        self.progress.during("watching", next).await
    }

    /// A broken connection and a gateway that stops are worth another try.
    async fn may_watch_again(&self, ended: Status, tries: &mut u32) -> Result<(), Status> {
        let may = matches!(
            ended.code(),
            tonic::Code::Unavailable | tonic::Code::Cancelled | tonic::Code::Unknown
        );
        *tries += 1;
        if !may || *tries > WATCH_TRIES_MAX {
            return Err(ended);
        }
        let pause = tokio::time::sleep(WATCH_AGAIN_AFTER);
        self.progress
            .during("the watch broke off; again", pause)
            .await;
        Ok(())
    }
}
