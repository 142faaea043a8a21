//! The task that makes passes, and the conditions of each step.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{interruption::Interruption, lease::PassLease, retention::Retention};
use crate::failover::KnownEpoch;

/// The pause after a step, as a multiple of the time that the step took, and its bounds: a slow store
/// is left to the purchases for most of the time.
const PAUSE_FACTOR: u32 = 4;
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// The time by which the lease outlasts the pause between two passes.
const LEASE_EXTRA: Duration = Duration::from_secs(1);

/// The state of the passes of one process.
pub(super) struct Passes {
    pub(super) retention: Arc<Retention>,
    lease: PassLease,
    /// The epoch in which the pass began.
    epoch: Option<KnownEpoch>,
    /// The time of the last renewal of notes.
    pub(super) renewed_at: Option<Instant>,
    /// The place at which the removal of tombstones continues, and the end of the last one.
    pub(super) sweep_from: Option<String>,
    pub(super) swept_at: Option<Instant>,
    /// The longest time by which a record that this pass found outlives its end.
    pub(super) lag: SignedDuration,
    /// The end of the last pass that was complete.
    complete_at: Option<Instant>,
    /// The reason of the last interruption, which is logged once.
    logged: Option<&'static str>,
}

/// Makes passes until the gateway stops, while this process holds the lease.
pub async fn run(retention: Arc<Retention>) {
    let interval = retention.settings.interval;
    let lasts = interval * 2 + LEASE_EXTRA;
    let lease = PassLease::new((retention.ambient.random)(), lasts);
    let mut passes = Passes {
        lease,
        epoch: None,
        renewed_at: None,
        sweep_from: None,
        swept_at: None,
        lag: SignedDuration::ZERO,
        complete_at: None,
        logged: None,
        retention,
    };
    passes.retention.metrics.retention.await_first();
    while !passes.retention.stopping.is_cancelled() {
        let result = passes.pass().await;
        passes.report(&result);
        tokio::select! {
            () = passes.retention.stopping.cancelled() => {}
            () = tokio::time::sleep(interval) => {}
        }
    }
    let now = passes.now();
    let store = Arc::clone(&passes.retention.store);
    passes.lease.release(&*store, now).await;
}

impl Passes {
    /// Returns the time of the process's clock.
    pub(super) fn now(&self) -> Timestamp {
        (self.retention.ambient.now)()
    }

    /// Makes one pass.
    async fn pass(&mut self) -> Result<(), Interruption> {
        let (store, now) = (Arc::clone(&self.retention.store), self.now());
        if !self.lease.acquire(&*store, now).await? {
            return Err(Interruption::NotHolder);
        }
        self.complete_at.get_or_insert_with(Instant::now);
        self.renew_if_due().await?;
        if !store.ends_records() {
            return Ok(());
        }
        let epoch = self.retention.failover.refresh().await?;
        self.epoch = Some(epoch);
        self.lag = SignedDuration::ZERO;
        self.retire_ended().await?;
        self.remove_remains().await
    }

    /// Verifies that the pass may go on: before every step.
    pub(super) async fn may_go_on(&mut self) -> Result<(), Interruption> {
        let retention = Arc::clone(&self.retention);
        if retention.stopping.is_cancelled() {
            return Err(Interruption::Stopping);
        }
        if retention.failover.store_problem().is_some() {
            return Err(Interruption::StoreUnfit);
        }
        let now = self.now();
        if !self.lease.keep(&*retention.store, now).await? {
            return Err(Interruption::NotHolder);
        }
        Ok(())
    }

    /// Verifies that something may end now in a partition, and returns the time by which: the earlier
    /// one of both clocks. A fast clock alone must end nothing.
    pub(super) async fn may_end(&mut self, partition: usize) -> Result<Timestamp, Interruption> {
        self.may_go_on().await?;
        let failover = &self.retention.failover;
        let epoch = failover.epoch().await?;
        if self.epoch.as_ref() != Some(&epoch) || failover.is_on(&epoch) {
            return Err(Interruption::PossibleLoss);
        }
        // The reply takes its time, which is not a difference between the clocks.
        let before = self.now();
        let clock = self.retention.store.clock(partition).await?;
        let Some(clock) = clock else {
            return Ok(before);
        };
        let skew = failover.clock_skew();
        let is_ahead = before.duration_since(clock) > skew;
        let is_behind = clock.duration_since(self.now()) > skew;
        if is_ahead || is_behind {
            return Err(Interruption::ClocksDiffer);
        }
        Ok(before.min(clock))
    }

    /// Observes the epoch of the store again, before records end.
    pub(super) async fn observe_epoch(&self) -> Result<(), Interruption> {
        let epoch = self.retention.failover.refresh().await?;
        if self.epoch.as_ref() != Some(&epoch) {
            return Err(Interruption::PossibleLoss);
        }
        Ok(())
    }

    /// Pauses after a step that began at `began`; ends at once when the gateway stops.
    pub(super) async fn pause(&self, began: Instant) {
        self.pause_at_least(began, PAUSE_MIN).await;
    }

    /// Pauses after a step that takes hardly any time.
    pub(super) async fn pause_at_least(&self, began: Instant, least: Duration) {
        let pause = (began.elapsed() * PAUSE_FACTOR).clamp(least, PAUSE_MAX);
        let stopping = &self.retention.stopping;
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Records the result of a pass in the metrics and the log.
    fn report(&mut self, passed: &Result<(), Interruption>) {
        let metrics = &self.retention.metrics.retention;
        let label = passed.as_ref().err().and_then(Interruption::label);
        match passed {
            Ok(()) => {
                self.complete_at = Some(Instant::now());
                metrics.lag(self.lag);
            }
            Err(Interruption::NotHolder) => {
                // The holder reports it.
                self.complete_at = None;
                metrics.lag(SignedDuration::ZERO);
            }
            Err(interruption) => {
                let since = self.complete_at.map_or(Duration::ZERO, |at| at.elapsed());
                let since = SignedDuration::try_from(since).unwrap_or(SignedDuration::MAX);
                metrics.lag(self.lag.saturating_add(since));
                if let Some(label) = label {
                    metrics.failure(label);
                    if self.logged == Some(label) {
                        debug!(%interruption, "retention interrupted again");
                    } else {
                        warn!(%interruption, "retention interrupted; records end later");
                    }
                }
            }
        }
        if !matches!(passed, Err(Interruption::NotHolder)) {
            self.logged = label;
        }
    }
}
