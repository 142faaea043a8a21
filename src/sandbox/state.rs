//! The sandbox and how it behaves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use jiff::tz::TimeZone;
use secrecy::SecretString;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use super::{
    answer::WireFormat,
    api,
    billing::Billings,
    book::{Book, SandboxPurchase},
    misprint::Misprints,
    server,
};
use crate::ambient::Ambient;

/// How callbacks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CallbackMethod {
    /// Query parameters.
    Get,
    /// A body in the format of the purchase.
    Post,
}

/// How the sandbox behaves.
pub struct SandboxSettings {
    /// The member id that is right.
    pub user_id: String,
    /// The PIN that is right.
    pub pin: SecretString,
    /// The deposit at first, in rupiah.
    pub deposit: u64,
    /// The time after which a pending purchase is settled.
    pub settle_after: Duration,
    /// The time after which a client no longer waits for an answer.
    pub late_after: Duration,
    /// How long each status check takes to be answered.
    pub check_delay: Duration,
    /// How callbacks are made.
    pub callback_method: CallbackMethod,
    /// How long an inquiry may be used.
    pub inquiry_valid: Duration,
    /// The status code with which a check about an unknown reference code is answered.
    pub not_found_code: u16,
}

/// The sandbox. A library and a program: `dev` runs it in its own process.
pub struct Sandbox {
    pub(super) settings: SandboxSettings,
    pub(super) book: Book,
    pub(super) misprints: Misprints,
    pub(super) billings: Billings,
    pub(super) not_found_code: AtomicU16,
    pub(super) callback_url: watch::Sender<Option<String>>,
    pub(super) http: reqwest::Client,
    pub(super) ambient: Ambient,
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
}

/// The longest a callback's receiver may take.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(10);

/// OKEBAYAR's times are in WIB.
pub(super) const WIB_OFFSET_HOURS: i8 = 7;

impl Sandbox {
    /// A sandbox that calls back to `callback_url`, if there is one.
    ///
    /// # Errors
    /// When no HTTP client can be made on this machine.
    pub fn new(
        settings: SandboxSettings,
        callback_url: Option<String>,
        ambient: Ambient,
        stopping: CancellationToken,
    ) -> Result<Arc<Self>, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(CALLBACK_TIMEOUT)
            .build()?;
        Ok(Arc::new(Self {
            book: Book::new(settings.deposit),
            misprints: Misprints::default(),
            billings: Billings::default(),
            not_found_code: AtomicU16::new(settings.not_found_code),
            settings,
            callback_url: watch::Sender::new(callback_url),
            http,
            ambient,
            tasks: TaskTracker::new(),
            stopping,
        }))
    }

    /// Registers the partner's callback address.
    pub fn register_callback(&self, url: String) {
        self.callback_url.send_replace(Some(url));
    }

    /// Serves until it is stopped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        server::serve(self, listener).await;
    }

    /// Returns the status code with which a check about an unknown reference code is answered.
    pub(super) fn not_found_code(&self) -> u16 {
        self.not_found_code.load(Ordering::Relaxed)
    }

    pub(super) fn time(&self) -> String {
        let now =
            (self.ambient.now)().to_zoned(TimeZone::fixed(jiff::tz::offset(WIB_OFFSET_HOURS)));
        now.strftime("%y%m%d%H%M%S%3f").to_string()
    }

    pub(super) fn trace_code(&self) -> String {
        (self.ambient.random)().simple().to_string()
    }

    /// Gives a purchase its later status in time, and calls back as its script
    /// says.
    pub(super) fn settle_later(
        self: &Arc<Self>,
        reference_code: &str,
        purchase: &SandboxPurchase,
        format: WireFormat,
    ) {
        let script = purchase.script;
        if script.later.is_none() && script.callbacks.is_empty() {
            return;
        }
        let sandbox = Arc::clone(self);
        let (reference_code, trace_code) = (reference_code.to_owned(), purchase.trace_code.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(sandbox.settings.settle_after) => {}
                () = sandbox.stopping.cancelled() => return,
            }
            sandbox.book.settle(&reference_code, &trace_code);
            if let Some(purchase) = sandbox.book.find(&reference_code, Some(&trace_code)) {
                for status in script.callbacks {
                    sandbox
                        .call_back(&reference_code, &purchase, *status, format)
                        .await;
                }
            }
        });
    }

    async fn call_back(
        &self,
        reference_code: &str,
        purchase: &SandboxPurchase,
        status: u16,
        format: WireFormat,
    ) {
        let Some(url) = self.callback_url.borrow().clone() else {
            return;
        };
        let Ok(mut url) = url.parse::<reqwest::Url>() else {
            warn!("the callback URL cannot be read");
            return;
        };
        let report = api::report(reference_code, purchase, status);
        let request = match self.settings.callback_method {
            CallbackMethod::Get => {
                url.query_pairs_mut().extend_pairs(report.pairs());
                self.http.get(url)
            }
            CallbackMethod::Post => self
                .http
                .post(url)
                .header("content-type", format.content_type())
                .body(report.write_callback(format)),
        };
        let answer = request.send().await.map(|answer| answer.status().as_u16());
        self.book.called_back(reference_code);
        match answer {
            Ok(http_status) => info!(reference_code, http_status, "sandbox called back"),
            Err(error) => {
                warn!(reference_code, error = %error.without_url(), "sandbox could not call back");
            }
        }
    }
}
