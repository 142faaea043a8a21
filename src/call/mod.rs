//! `call`: the gateway's own client, one subcommand for each RPC.
//!
//! Reads are taken up again when the connection breaks; a purchase never is: that is
//! the caller's to do, under the same reference code.

mod arguments;
mod outcome;
mod progress;
mod show;

use std::time::Duration;

use anyhow::{Context, bail};
use jiff::SignedDuration;
use tonic::{Request, Response, Status, Streaming, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

pub use arguments::{Arguments, Command};
pub use outcome::Outcome;

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
pub async fn run(arguments: Arguments) -> Outcome {
    let printer = Printer::new(arguments.json);
    let Ok(endpoint) = Channel::from_shared(arguments.address.clone()) else {
        printer.problem(&format!(
            "--address: {:?} is no address; give one such as http://localhost:50051",
            arguments.address
        ));
        return Outcome::Refused;
    };
    let caller = Caller {
        channel: endpoint.connect_lazy(),
        timeout: arguments.timeout.map(SignedDuration::unsigned_abs),
        account: arguments.account,
        printer,
        progress: Progress::new(),
    };
    let moves_money = arguments.command.moves_money();
    match caller.call(arguments.command).await {
        Ok(outcome) => outcome,
        Err(status) => {
            caller.printer.error(&status);
            Outcome::of_error(&status, moves_money)
        }
    }
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
    async fn call(&self, command: Command) -> Result<Outcome, Status> {
        let account = self.account.clone().unwrap_or_default();
        let accounts: Vec<String> = self.account.iter().cloned().collect();
        match command {
            Command::PurchasePrepaid(purchase) => {
                let watch = purchase.wait.watch;
                let request = self.request(purchase.message(account));
                let mut client = self.transactions();
                let answer = self.wait(client.purchase_prepaid(request)).await?;
                self.printer.print(&answer);
                self.follow(answer.transaction, watch).await
            }
            Command::PayPostpaid(payment) => {
                let watch = payment.wait.watch;
                let request = self.request(payment.message(account));
                let mut client = self.transactions();
                let answer = self.wait(client.pay_postpaid(request)).await?;
                self.printer.print(&answer);
                self.follow(answer.transaction, watch).await
            }
            Command::GetTransaction(get) => {
                let request = self.request(get.message(account));
                let answer = self
                    .wait(self.transactions().get_transaction(request))
                    .await?;
                Ok(self.printed(&answer, answer.transaction.as_ref()))
            }
            Command::CheckTransaction { reference_code } => {
                let request = self.request(v1::CheckTransactionRequest {
                    account,
                    reference_code,
                });
                let mut client = self.transactions();
                let answer = self.wait(client.check_transaction(request)).await?;
                Ok(self.printed(&answer, answer.transaction.as_ref()))
            }
            Command::WatchTransaction {
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
            Command::WatchTransactions { cursor } => {
                self.watch_all(v1::WatchTransactionsRequest { accounts, cursor })
                    .await
            }
            Command::ListTransactions(list) => {
                let request = self.request(list.message(accounts));
                let answer = self
                    .wait(self.transactions().list_transactions(request))
                    .await?;
                Ok(self.printed(&answer, None))
            }
            Command::ResolveTransaction(ruling) => {
                let request = self.request(ruling.message(account));
                let mut client = self.transactions();
                let answer = self.wait(client.resolve_transaction(request)).await?;
                Ok(self.printed(&answer, answer.transaction.as_ref()))
            }
            other => self.ask(other, account, accounts).await,
        }
    }

    /// The calls that are about no transaction.
    async fn ask(
        &self,
        command: Command,
        account: String,
        accounts: Vec<String>,
    ) -> Result<Outcome, Status> {
        let channel = self.channel.clone();
        match command {
            Command::InquirePrepaid(inquiry) => {
                let request = self.request(inquiry.message(account));
                let mut client = InquiryServiceClient::new(channel);
                let answer = self.wait(client.inquire_prepaid(request)).await?;
                Ok(self.printed(&answer, None))
            }
            Command::InquirePostpaid(inquiry) => {
                let request = self.request(inquiry.message(account));
                let mut client = InquiryServiceClient::new(channel);
                let answer = self.wait(client.inquire_postpaid(request)).await?;
                Ok(self.printed(&answer, None))
            }
            Command::Echo { message } => {
                let request = self.request(v1::EchoRequest { account, message });
                let mut client = AccountServiceClient::new(channel);
                let answer = self.wait(client.echo(request)).await?;
                Ok(self.printed(&answer, None))
            }
            Command::ListNotices {
                page_size,
                page_token,
            } => {
                let request = self.request(v1::ListNoticesRequest {
                    accounts,
                    page_size,
                    page_token,
                });
                let mut client = NoticeServiceClient::new(channel);
                let answer = self.wait(client.list_notices(request)).await?;
                Ok(self.printed(&answer, None))
            }
            _ => {
                let request = self.request(v1::GetBalanceRequest { account });
                let mut client = AccountServiceClient::new(channel);
                let answer = self.wait(client.get_balance(request)).await?;
                Ok(self.printed(&answer, None))
            }
        }
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

    fn printed(&self, answer: &impl show::Named, transaction: Option<&v1::Transaction>) -> Outcome {
        self.printer.print(answer);
        transaction.map_or(Outcome::Done, Outcome::of)
    }

    /// Follows a purchase to the end of its watch, if that is wanted.
    async fn follow(
        &self,
        transaction: Option<v1::Transaction>,
        watch: bool,
    ) -> Result<Outcome, Status> {
        let transaction = transaction.unwrap_or_default();
        if !watch {
            return Ok(Outcome::of(&transaction));
        }
        let outcome = Outcome::of(&transaction);
        let request = v1::WatchTransactionRequest {
            account: transaction.account,
            reference_code: transaction.reference_code,
            after_revision: transaction.revision,
        };
        // A watch after the last revision ends without a word.
        self.watch_from(request, outcome, 0).await
    }

    async fn watch(&self, request: v1::WatchTransactionRequest) -> Result<Outcome, Status> {
        // One that never began is not taken up again.
        self.watch_from(request, Outcome::Done, WATCH_TRIES_MAX)
            .await
    }

    async fn watch_from(
        &self,
        mut request: v1::WatchTransactionRequest,
        mut outcome: Outcome,
        mut tries: u32,
    ) -> Result<Outcome, Status> {
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
                                outcome = self.printed(&update, Some(&transaction));
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
    ) -> Result<Outcome, Status> {
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
                            Ok(None) => return Ok(Outcome::Done),
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
