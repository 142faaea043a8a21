//! The sandbox and its state: settings, books, ledger, and what tests change at run time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use jiff::tz::TimeZone;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    billing::Billings, book::Book, ledger::SandboxLedger, misprint::Misprints,
    settings::SandboxSettings,
};
use crate::ambient::Ambient;

/// The sandbox. It is a library as well as a program: `dev` runs it in the gateway's process.
pub struct Sandbox {
    pub(super) settings: SandboxSettings,
    pub(super) book: Book,
    pub(super) ledger: SandboxLedger,
    pub(super) misprints: Misprints,
    pub(super) billings: Billings,
    pub(super) not_found_code: AtomicU16,
    pub(super) callback_url: watch::Sender<Option<String>>,
    pub(super) http: reqwest::Client,
    pub(super) ambient: Ambient,
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
}

/// The time-out of a callback.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(10);

/// The offset of WIB, the time zone of OKEBAYAR, from UTC.
pub(super) const WIB_OFFSET_HOURS: i8 = 7;

impl Sandbox {
    /// Creates a sandbox that sends callbacks to `callback_url`, if one is given.
    ///
    /// # Errors
    /// Returns the error of the HTTP client when it cannot be created on this machine.
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
            ledger: SandboxLedger::default(),
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

    /// Returns the status code of a check about an unknown reference code.
    pub(super) fn not_found_code(&self) -> u16 {
        self.not_found_code.load(Ordering::Relaxed)
    }

    /// Returns the current time in the notation of answers.
    pub(super) fn time(&self) -> String {
        let now =
            (self.ambient.now)().to_zoned(TimeZone::fixed(jiff::tz::offset(WIB_OFFSET_HOURS)));
        now.strftime("%y%m%d%H%M%S%3f").to_string()
    }

    /// Generates a trace code.
    pub(super) fn trace_code(&self) -> String {
        (self.ambient.random)().simple().to_string()
    }
}
