//! One OKEBAYAR account: purchases, payments and status checks as statements, and
//! questions with their answers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::{Semaphore, mpsc};
use tracing::{Instrument, Span, info, info_span, warn};

use super::{
    answer::{self, Answer, Reading, Unreadable},
    format::{self, Format},
    inquiry::{self, Asked, Found, Question},
    personal,
    redact::Secrets,
    request::{self, Body, Credentials, TransactionCodes},
    send_by::SendBy,
    signature::sign,
    subject::{self, AccountNumberForms, Mismatch},
    transport::{Transport, TransportError},
    verdict::{self, CodeLists, Heard, Ignored, Refusal},
};
use crate::{
    store::SendPermit,
    telemetry::Metrics,
    transaction::{
        AccountName, AccountNumber, Amount, Details, Finding, InquiriesMade, NotSent, Order,
        ProductCode, ReferenceCode, Source, Statement, StatusCode, Transaction, UnknownCause,
    },
};

/// How one account talks to OKEBAYAR. Its `Debug` shows no secret.
#[derive(Debug)]
pub struct Account {
    /// In which format it talks.
    pub format: Format,
    /// Who asks.
    pub credentials: Credentials,
    /// What the operations are called.
    pub transaction_codes: TransactionCodes,
    /// Codes whose meaning only this deployment knows.
    pub code_lists: CodeLists,
    /// JSON writes amounts as numbers.
    pub json_numbers: bool,
    /// An answer that names another member proves nothing.
    pub verify_user_id: bool,
    /// The zone of OKEBAYAR's times.
    pub zone: TimeZone,
}

/// Talks to OKEBAYAR for one account.
pub struct Client {
    account: Arc<Account>,
    transport: Arc<dyn Transport>,
    observer: Option<Observer>,
    turns: Turns,
}

/// Permits to parse answers, one for each at a time. All accounts of a process share them: the
/// memory that answers take must not grow with the number of accounts.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(READ_AT_ONCE)))
    }
}

/// How many answers are taken apart at once, which for that moment takes many times their
/// length.
const READ_AT_ONCE: usize = 4;
/// The longest answer that is taken apart at once where it came, in bytes.
const LONG_BYTES: usize = 16 * 1024;

/// Who is told of what OKEBAYAR answers, beside whoever asked.
pub struct Observer {
    /// The name of the account.
    pub account: AccountName,
    /// Takes the texts to the partner.
    pub texts: Texts,
    /// Takes times and results.
    pub metrics: Metrics,
    /// OKEBAYAR's host and port.
    pub server: (String, u16),
}

/// Takes OKEBAYAR's texts to the partner (`info`), each with the account that was told.
pub type Texts = mpsc::Sender<(AccountName, String)>;

/// What became of a purchase's POST, and a word for the log.
pub struct Outcome {
    /// What it proves.
    pub statement: Statement,
    /// What went wrong, if anything did; holds no secret.
    pub problem: Option<String>,
}

/// For whom an inquiry is made, and the clock.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The account's name.
    pub account: &'a AccountName,
    /// The time now.
    pub now: fn() -> Timestamp,
}

impl<'a> Asker<'a> {
    fn asked(
        self,
        reference_code: &'a str,
        now: Timestamp,
        forms: AccountNumberForms,
    ) -> Asked<'a> {
        Asked {
            account: self.account,
            reference_code,
            now,
            forms,
        }
    }
}

/// The status code and details of an inquiry's answer, and what was found or why not.
pub type Inquired = (Option<(StatusCode, Details)>, Result<Found, QueryError>);

/// Why a status check brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum NothingLearnt {
    /// No answer.
    #[error("{0}")]
    NoAnswer(#[from] TransportError),
    /// An HTTP status outside 2xx.
    #[error("HTTP status {0}")]
    HttpStatus(u16),
    /// An answer that cannot be read.
    #[error("the answer is unreadable: {0}")]
    Unreadable(#[from] Unreadable),
    /// An answer that says nothing about the transaction.
    #[error("the answer was ignored: {0}")]
    Ignored(#[from] Ignored),
    /// An answer without any sign of the transaction, which proves nothing.
    #[error("the answer was ignored: {0}")]
    NoSign(Ignored),
}

impl NothingLearnt {
    /// One word for it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoAnswer(TransportError::NotSent(_)) => "unreachable",
            Self::NoAnswer(TransportError::TooLate) => "too_late",
            Self::NoAnswer(TransportError::TimedOut) => "timed_out",
            Self::NoAnswer(TransportError::Broken(_)) => "broken",
            Self::NoAnswer(TransportError::TooLong(_)) | Self::Unreadable(_) => "unreadable",
            Self::HttpStatus(_) => "http_error",
            Self::Ignored(_) | Self::NoSign(_) => "ignored",
        }
    }
}

/// Why a question that moves no money has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// No usable answer came.
    #[error("{0}")]
    NoAnswer(NothingLearnt),
    /// OKEBAYAR refused.
    #[error("OKEBAYAR answered {code}: {}", code.meaning())]
    Refused {
        /// Its status code.
        code: StatusCode,
        /// What the caller can do.
        refusal: Refusal,
    },
    /// The answer lacks what was asked for.
    #[error("OKEBAYAR's answer has no {0}")]
    Incomplete(&'static str),
    /// The answer to an inquiry is that of a purchase or payment: it may have been one.
    #[error("OKEBAYAR answered an inquiry like a purchase")]
    SoldInstead(Box<Answer>),
    /// An echo returned something else.
    #[error("OKEBAYAR returned another message")]
    OtherMessage,
}

impl Client {
    /// Builds a client of one account, which parses its answers independently of others.
    #[must_use]
    pub fn new(account: Account, transport: Arc<dyn Transport>) -> Self {
        Self {
            account: Arc::new(account),
            transport,
            observer: None,
            turns: Turns::default(),
        }
    }

    /// Parses answers in turn with the other clients of the process.
    #[must_use]
    pub fn in_turn(mut self, turns: Turns) -> Self {
        self.turns = turns;
        self
    }

    /// Tells an observer of every answer.
    #[must_use]
    pub fn observed_by(mut self, observer: Observer) -> Self {
        observer.metrics.await_another_member(&observer.account);
        observer.metrics.await_inquiry_sold(&observer.account);
        let fields = Mismatch::ALONE.map(Mismatch::field);
        observer.metrics.await_difference(&observer.account, fields);
        self.observer = Some(observer);
        self
    }

    /// Sends the purchase or payment that `permit` allows, once. Whatever happens is a
    /// statement: an unknown outcome is not an error.
    ///
    /// Past `send_by` nothing leaves: the outcome is then NOT_SENT.
    pub async fn send(&self, permit: SendPermit, send_by: SendBy) -> Outcome {
        let wanted = permit.into_transaction();
        let body = request::order(&self.account, &wanted).sent_by(send_by);
        let operation = body.operation();
        let (source, finding, problem) = match self.ask(body).await {
            Ok(answer) => {
                let lists = &self.account.code_lists;
                let statement = verdict::of_purchase(&answer, &wanted, lists);
                if let Some(differs) = verdict::difference(&answer, &wanted, lists) {
                    let ours = wanted.order().account_number.as_str();
                    self.report_difference(operation, differs, &answer, ours);
                }
                return Outcome {
                    statement,
                    problem: None,
                };
            }
            Err(NothingLearnt::NoAnswer(error)) => (
                Source::Gateway,
                unsent_or_unknown(&error, &wanted),
                error.to_string(),
            ),
            Err(NothingLearnt::HttpStatus(status)) => (
                Source::Answer,
                Finding::Unknown(UnknownCause::HttpStatus(status)),
                format!("HTTP status {status}"),
            ),
            Err(other) => (
                Source::Answer,
                Finding::Unknown(UnknownCause::Unreadable),
                other.to_string(),
            ),
        };
        Outcome {
            statement: Statement::bare(source, finding),
            problem: Some(problem),
        }
    }

    /// Asks for the status of a transaction, under whose reference code `inquired` was
    /// made as well.
    ///
    /// # Errors
    /// [`NothingLearnt`] when the answer does not say anything about it.
    pub async fn check(
        &self,
        asked: &Transaction,
        inquired: &InquiriesMade,
    ) -> Result<Statement, NothingLearnt> {
        let trace_code = asked.status().trace_code;
        let body = request::check(&self.account, asked, trace_code.as_ref());
        let answer = self.ask(body).await?;
        let (about, lists) = (asked, &self.account.code_lists);
        let asked = verdict::Asked {
            transaction: about,
            inquired,
        };
        let ignored = match verdict::of_check(&answer, asked, lists) {
            Ok(statement) => return Ok(statement),
            Err(ignored) => ignored,
        };
        let shown = verdict::of_ignored_check(&answer, lists, ignored);
        if let Ignored::Differs(differs) = ignored {
            let ours = about.order().account_number.as_str();
            self.report_difference("check", differs, &answer, ours);
            return shown.ok_or(ignored.into());
        }
        // Stored once: such an answer settles nothing (promise 16).
        match shown.filter(|_| !about.evidence().shows_receipt()) {
            Some(shown) => Ok(shown),
            None if verdict::shows_no_sign(&answer, lists, ignored) => {
                Err(NothingLearnt::NoSign(ignored))
            }
            None => Err(ignored.into()),
        }
    }

    /// Asks for the status of a reference code of which nothing else is known.
    ///
    /// # Errors
    /// [`NothingLearnt`] when the answer does not say anything about it.
    pub async fn check_unknown(
        &self,
        reference_code: &ReferenceCode,
    ) -> Result<Heard, NothingLearnt> {
        let body = request::check_unknown(&self.account, reference_code.as_str());
        let answer = self.ask(body).await?;
        Ok(verdict::of_unknown(&answer, reference_code.as_str())?)
    }

    /// Inquires before a prepaid purchase. Beside what was found, or why not, it tells
    /// the status code that was answered.
    pub async fn inquire_prepaid(
        &self,
        reference_code: &str,
        product_code: &ProductCode,
        account_number: &AccountNumber,
        asker: Asker<'_>,
    ) -> Inquired {
        let body =
            request::prepaid_inquiry(&self.account, reference_code, product_code, account_number);
        let read = |answer, now| {
            let for_whom =
                asker.asked(reference_code, now, self.account.code_lists.account_numbers);
            inquiry::found_prepaid(answer, &for_whom, product_code, account_number)
        };
        let about = (reference_code, product_code, account_number);
        let is_sale = |answer: &Answer| inquiry::is_prepaid_sale(answer, about);
        self.inquire(body, account_number.as_str(), asker, is_sale, read)
            .await
    }

    /// Inquires for a bill. Beside what was found, or why not, it tells the status code
    /// that was answered.
    pub async fn inquire_postpaid(
        &self,
        reference_code: &str,
        question: &Question,
        asker: Asker<'_>,
    ) -> Inquired {
        let body = request::postpaid_inquiry(&self.account, reference_code, question);
        let read = |answer, now| {
            let for_whom =
                asker.asked(reference_code, now, self.account.code_lists.account_numbers);
            inquiry::found_postpaid(answer, &for_whom, question)
        };
        let account_number = question.customer.account_number();
        let about = (reference_code, &question.product_code, account_number);
        let is_sale = |answer: &Answer| inquiry::is_payment(answer, about);
        self.inquire(body, account_number.as_str(), asker, is_sale, read)
            .await
    }

    async fn inquire(
        &self,
        body: Body,
        account_number: &str,
        asker: Asker<'_>,
        is_sale: impl Fn(&Answer) -> bool,
        read: impl Fn(Answer, Timestamp) -> Result<Found, QueryError>,
    ) -> Inquired {
        let operation = body.operation();
        let answer = match self.question(body).await {
            Ok(answer) => answer,
            Err(error) => return (None, Err(error)),
        };
        let Some(code) = answer.status_code() else {
            return (None, Err(QueryError::Incomplete("status")));
        };
        let answered = (code, answer.details.clone());
        if is_sale(&answer) {
            let sold = QueryError::SoldInstead(Box::new(answer));
            return (Some(answered), Err(sold));
        }
        let found = refused(&answer).and_then(|()| read(answer.clone(), (asker.now)()));
        if let Err(QueryError::NoAnswer(NothingLearnt::Ignored(Ignored::Differs(differs)))) = &found
        {
            self.report_difference(operation, *differs, &answer, account_number);
        }
        (Some(answered), found)
    }

    /// Asks for the deposit, under a reference code of the gateway's own.
    ///
    /// # Errors
    /// [`QueryError`] when there is no answer that holds a balance.
    pub async fn balance(&self, reference_code: &str) -> Result<(Amount, Details), QueryError> {
        let body = request::balance(&self.account, reference_code);
        let details = self.query(body).await?.details;
        let balance = details.balance.ok_or(QueryError::Incomplete("balance"))?;
        Ok((balance, details))
    }

    /// Has a message returned, under a reference code of the gateway's own.
    ///
    /// # Errors
    /// [`QueryError`] when it does not come back as it was.
    pub async fn echo(&self, reference_code: &str, message: &str) -> Result<(), QueryError> {
        let body = request::echo(&self.account, reference_code, message);
        // What looks like a secret was removed from the answer: compare without it.
        let message = body.secrets().strip_free_text(message).into_owned();
        let answer = self.question(body).await?;
        // An echo's answer has no status printed, but a refusal has one.
        refused(&answer)?;
        match answer.message {
            Some(returned) if returned == message => Ok(()),
            Some(_) => Err(QueryError::OtherMessage),
            None => Err(QueryError::Incomplete("message")),
        }
    }

    /// The answer to a question, if it is for us.
    async fn question(&self, body: Body) -> Result<Answer, QueryError> {
        let answer = self.ask(body).await.map_err(QueryError::NoAnswer)?;
        if answer.names_another_member {
            return Err(QueryError::NoAnswer(Ignored::AboutAnotherMember.into()));
        }
        Ok(answer)
    }

    async fn query(&self, body: Body) -> Result<Answer, QueryError> {
        let answer = self.question(body).await?;
        if answer.status_code().is_none() {
            return Err(QueryError::Incomplete("status"));
        }
        refused(&answer)?;
        Ok(answer)
    }

    /// Reads a callback's fields.
    ///
    /// # Errors
    /// [`Unreadable`] when they contradict each other.
    pub fn read_report(&self, fields: answer::Fields) -> Result<Answer, Unreadable> {
        let Credentials { user_id, pin } = &self.account.credentials;
        let about = fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("referencecode"));
        let reference_code = about.map_or("", |(_, code)| code.trim());
        let secrets = Secrets::new(pin.clone(), sign(user_id, pin, reference_code));
        self.account.interpret(fields, &secrets)
    }

    /// Counts and logs an answer that names our reference code and another account number,
    /// product or inquiry than ours, for which alone it proves nothing.
    pub fn report_difference(
        &self,
        operation: &'static str,
        differs: Mismatch,
        answer: &Answer,
        account_number: &str,
    ) {
        if let Some(observer) = &self.observer {
            observer.differs(operation, differs, answer, account_number);
        }
    }

    /// The name of a text that cannot be sent back to the letter, if there is one.
    #[must_use]
    pub fn unsendable(&self, order: &Order) -> Option<&'static str> {
        request::unsendable(&self.account, order)
    }

    /// The codes whose meaning only this deployment knows.
    #[must_use]
    pub fn code_lists(&self) -> &CodeLists {
        &self.account.code_lists
    }

    async fn ask(&self, body: Body) -> Result<Answer, NothingLearnt> {
        let (operation, began) = (body.operation(), Instant::now());
        let (span, asked) = (self.span(&body), body.personal().to_vec());
        let answer = self.answer(body).instrument(span.clone()).await;
        match &answer {
            Ok(answer) => {
                if answer.status.is_some() {
                    let code = answer.status_code().map(|code| code.to_string());
                    span.record("okebayar.status", code.as_deref().unwrap_or(OTHER_STATUS));
                }
                span.record("http.response.status_code", 200);
            }
            Err(nothing) => {
                if let NothingLearnt::HttpStatus(status) = nothing {
                    span.record("http.response.status_code", status);
                }
                span.record("error.type", nothing.kind());
                span.record("otel.status_code", "ERROR");
            }
        }
        if let Some(observer) = &self.observer {
            observer.observe(operation, &answer, began.elapsed(), &asked);
        }
        answer
    }

    /// The HTTP client's span of one POST.
    fn span(&self, body: &Body) -> Span {
        let observer = self.observer.as_ref();
        let server = observer.map(|observer| &observer.server);
        info_span!(
            "POST",
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            http.request.method = "POST",
            http.response.status_code = tracing::field::Empty,
            server.address = server.map(|server| server.0.as_str()),
            server.port = server.map(|server| server.1),
            error.type = tracing::field::Empty,
            okebayar.account = observer.map(|observer| observer.account.as_str()),
            okebayar.transactioncode = body.transaction_code(),
            okebayar.productcode = body.product_code(),
            okebayar.status = tracing::field::Empty,
        )
    }

    async fn answer(&self, body: Body) -> Result<Answer, NothingLearnt> {
        let secrets = body.secrets().clone();
        let http = self.transport.post(body).await?;
        if !(200..300).contains(&http.status) {
            return Err(NothingLearnt::HttpStatus(http.status));
        }
        let turn = Arc::clone(&self.turns.0).acquire_owned().await;
        let account = Arc::clone(&self.account);
        let is_long = http.body.len() > LONG_BYTES;
        let read = move || {
            // SUBTLE: a caller may give up and drop this future, but the parse goes on: the permit
            // goes with the parse.
            let _turn = turn;
            account.read(http.body, &secrets)
        };
        let answer = if is_long {
            // Beside the threads that serve everything else.
            let reading = tokio::task::spawn_blocking(read).await;
            reading.unwrap_or_else(|_| {
                Err(Unreadable::Malformed {
                    format: "an answer",
                    problem: "its reader failed".to_owned(),
                })
            })?
        } else {
            read()?
        };
        if answer.left_out > 0 {
            let left_out = answer.left_out;
            info!(left_out, "an answer has more names than a record keeps");
        }
        Ok(answer)
    }
}

impl Account {
    fn read(&self, body: Vec<u8>, secrets: &Secrets) -> Result<Answer, Unreadable> {
        let fields = format::read_answer(&body)?;
        drop(body);
        self.interpret(fields, secrets)
    }

    fn interpret(&self, fields: answer::Fields, secrets: &Secrets) -> Result<Answer, Unreadable> {
        let user_id = self.credentials.user_id.as_str();
        let reading = Reading {
            zone: &self.zone,
            secrets,
            member: self.verify_user_id.then_some(user_id),
        };
        answer::interpret_for(fields, &reading)
    }
}

impl Observer {
    fn observe(
        &self,
        operation: &'static str,
        answer: &Result<Answer, NothingLearnt>,
        took: Duration,
        asked: &[String],
    ) {
        let result = match answer {
            Ok(answer) if answer.names_another_member => "another_member",
            Ok(answer) => answer.status_code().map_or("no_status", verdict::class),
            Err(nothing) => nothing.kind(),
        };
        self.metrics
            .operation(&self.account, operation, result, took);
        let Ok(answer) = answer else {
            return;
        };
        if answer.names_another_member {
            warn!(
                account = %self.account,
                operation,
                userid = answer.user_id.as_deref().map(shortened),
                "answer is for another member and proves nothing; if OKEBAYAR masks the userid, \
                 set accounts.<name>.verify_userid = false"
            );
            self.metrics.another_member(&self.account, operation);
            // Its deposit and its texts are not ours.
            return;
        }
        if let Some(balance) = answer.details.balance {
            self.metrics.balance(&self.account, balance);
        }
        if let Some(info) = &answer.details.info {
            self.tell(info, answer, asked);
        }
    }
}

impl Observer {
    /// Has a text to the partner kept, unless it is about one customer. Nothing waits for
    /// that; one too many at once is lost.
    fn tell(&self, info: &str, answer: &Answer, asked: &[String]) {
        if personal::is_about_one(info, answer, asked) {
            self.metrics.notice(&self.account, "about_customer");
            return;
        }
        let text = (self.account.clone(), info.to_owned());
        if self.texts.try_send(text).is_err() {
            self.metrics.notice(&self.account, "lost");
        }
    }

    /// Reports an answer that names another account number, product or inquiry than was asked
    /// about.
    fn differs(
        &self,
        operation: &'static str,
        differs: Mismatch,
        answer: &Answer,
        account_number: &str,
    ) {
        self.metrics.difference(&self.account, differs.field());
        let named = answer.account_number.as_deref();
        if let (Mismatch::AccountNumber, Some(named)) = (differs, named) {
            warn!(
                account = %self.account,
                operation,
                named = verdict::masked(named),
                asked = verdict::masked(account_number),
                is_same_mobile_number = subject::same_mobile(named, account_number),
                "answer names another accnumber than was asked about and proves nothing; if it \
                 is the same mobile number in another form, set \
                 accounts.<name>.account_number_forms = \"msisdn\""
            );
        } else if differs != Mismatch::ProductCode {
            warn!(
                account = %self.account,
                operation,
                field = differs.field(),
                named = differs.named(answer).as_deref().map(shortened),
                "answer names another customer or inquiry than was asked about and proves \
                 nothing; ask OKEBAYAR with the trace code"
            );
        } else {
            warn!(
                account = %self.account,
                operation,
                productcode = answer.product_code.as_deref().map(shortened),
                "answer names another productcode than was asked about and proves nothing; ask \
                 OKEBAYAR for the product code that its answers name, and buy that"
            );
        }
    }
}

/// What a span shows of a status that is none: its text may be long, and hold anything.
const OTHER_STATUS: &str = "_OTHER";

/// Returns as much of a text as a log line needs.
fn shortened(text: &str) -> String {
    text.chars().take(USER_ID_CHARS_MAX).collect()
}

/// The longest user id or product code that is logged, in characters.
const USER_ID_CHARS_MAX: usize = 64;

fn refused(answer: &Answer) -> Result<(), QueryError> {
    let Some(code) = answer.status_code() else {
        return Ok(());
    };
    verdict::of_query(code).map_err(|refusal| QueryError::Refused { code, refusal })
}

fn unsent_or_unknown(error: &TransportError, wanted: &Transaction) -> Finding {
    match error {
        TransportError::NotSent(_) => Finding::NotSent {
            attempt: wanted.attempt(),
            why: NotSent::Unreachable,
        },
        TransportError::TooLate => Finding::NotSent {
            attempt: wanted.attempt(),
            why: NotSent::Overloaded,
        },
        TransportError::TimedOut => Finding::Unknown(UnknownCause::TimedOut),
        TransportError::Broken(_) => Finding::Unknown(UnknownCause::Broken),
        TransportError::TooLong(_) => Finding::Unknown(UnknownCause::Unreadable),
    }
}
