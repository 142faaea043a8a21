//! The sandbox: its settings, its books, and what it was told while it runs.

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

/// The sandbox. A library and a program: `dev` runs it in its own process.
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
}
