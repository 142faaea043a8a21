//! The task that makes passes, and the conditions of each step.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{
    interruption::{FirstFault, Interruption},
    lease::PassLease,
    pass_note::{PassNote, ReadNote},
    retention::Retention,
    steadiness::{self, Reading, Steadiness},
    unreadable_records::UnreadableRecords,
};
use crate::failover::KnownEpoch;

/// The pause after a step, as a multiple of the time that the step took, and its bounds: a slow store
/// is left to the purchases for most of the time.
const PAUSE_FACTOR: u32 = 4;
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// The time by which the lease outlasts the pause between two passes: longer than a step takes on a
/// slow store.
const LEASE_EXTRA: Duration = Duration::from_secs(5);

/// The time after which a pass that ends something is noted before it is complete.
const NOTED_FOR: SignedDuration = SignedDuration::from_hours(1);

/// The state of the passes of one process.
pub(super) struct Passes {
    pub(super) retention: Arc<Retention>,
    lease: PassLease,
    /// The epoch in which the pass began.
    epoch: Option<KnownEpoch>,
    /// The partition whose clock was read last.
    clock_partition: usize,
    steadiness: Steadiness,
    /// Tombstones may be removed in this pass.
    pub(super) may_sweep: bool,
    /// The time of the last renewal of notes, by partition.
    pub(super) renewed_at: Vec<Option<Instant>>,
    /// The place at which the removal of tombstones continues, and the end of the last one.
    pub(super) sweep_from: Option<String>,
    pub(super) swept_at: Option<Instant>,
    pub(super) unreadable: UnreadableRecords,
    /// The longest time by which a record that this pass found outlives its end.
    pub(super) lag: SignedDuration,
    began: Instant,
    /// The end of the last complete pass of any replica, as far as it is known.
    complete_at: Option<Timestamp>,
    /// The reason of the last interruption, which is logged once.
    logged: Option<&'static str>,
}

/// Makes passes until the gateway stops, while this process holds the lease.
pub async fn run(retention: Arc<Retention>) {
    let interval = retention.settings.interval;
    let store = Arc::clone(&retention.store);
    let mut passes = Passes::new(retention);
    passes.retention.metrics.retention.await_first();
    while !passes.retention.stopping.is_cancelled() {
        let result = passes.pass().await;
        passes.report(&result);
        if result.is_err_and(|interruption| interruption.is_of_this_replica()) {
            passes.lease.release(&*store, passes.now()).await;
        }
        tokio::select! {
            () = passes.retention.stopping.cancelled() => {}
            () = tokio::time::sleep(interval) => {}
        }
    }
    let now = passes.now();
    passes.lease.release(&*store, now).await;
}

impl Passes {
    fn new(retention: Arc<Retention>) -> Self {
        let lasts = retention.settings.interval * 2 + LEASE_EXTRA;
        let skew = retention.failover.clock_skew();
        Self {
            lease: PassLease::new((retention.ambient.random)(), lasts, skew),
            epoch: None,
            clock_partition: 0,
            steadiness: Steadiness::default(),
            may_sweep: false,
            renewed_at: vec![None; retention.store.partitions()],
            sweep_from: None,
            swept_at: None,
            unreadable: UnreadableRecords::default(),
            lag: SignedDuration::ZERO,
            began: Instant::now(),
            complete_at: None,
            logged: None,
            retention,
        }
    }

    /// Returns the time of the process's clock.
    pub(super) fn now(&self) -> Timestamp {
        (self.retention.ambient.now)()
    }

    /// Makes one pass. It goes on with the next part of the store after an error of one part.
    async fn pass(&mut self) -> Result<(), Interruption> {
        let store = Arc::clone(&self.retention.store);
        let mut last = ReadNote::read(&*store).await?;
        let complete_at = last.note.as_ref().and_then(|note| note.complete_at);
        self.complete_at = complete_at.or(self.complete_at);
        self.acquire_lease().await?;
        let mut faults = FirstFault::default();
        let renewed = self.renew_if_due().await;
        faults.keep(renewed)?;
        if !store.ends_records() {
            faults.finish()?;
            return Err(Interruption::OldSchema);
        }
        let epoch = self.retention.failover.refresh().await?;
        self.epoch = Some(epoch);
        self.lag = SignedDuration::ZERO;
        self.verify_clock(&mut last).await?;
        let retired = self.retire_ended().await;
        faults.keep(retired)?;
        let removed = self.remove_remains().await;
        faults.keep(removed)?;
        faults.finish()?;
        self.note_complete(&mut last).await
    }

    /// Acquires the lease, unless another replica holds it.
    async fn acquire_lease(&mut self) -> Result<(), Interruption> {
        let store = Arc::clone(&self.retention.store);
        let clock = self.clock_of_store().await?;
        let now = clock.unwrap_or_else(|| self.now());
        if self.lease.acquire(&*store, now).await? {
            Ok(())
        } else {
            Err(Interruption::NotHolder)
        }
    }

    /// Returns the time of the first server that answers, which all replicas share; `None` for a
    /// store without a clock of its own.
    async fn clock_of_store(&mut self) -> Result<Option<Timestamp>, Interruption> {
        let (store, count) = (&self.retention.store, self.retention.store.partitions());
        let mut faults = FirstFault::default();
        for number in 0..count {
            let partition = (self.clock_partition + number) % count;
            match store.clock(partition).await {
                Ok(clock) => {
                    self.clock_partition = partition;
                    return Ok(clock);
                }
                Err(error) => faults.keep(Err(error.into()))?,
            }
        }
        faults.finish()?;
        Ok(None)
    }

    /// Verifies that the clock is not wrong by months, and notes that this pass ends something.
    async fn verify_clock(&mut self, last: &mut ReadNote) -> Result<(), Interruption> {
        let clock = self.clock_of_store().await?;
        let (now, retention) = (self.now(), Arc::clone(&self.retention));
        let skew = retention.failover.clock_skew();
        if clock.is_some_and(|clock| now.duration_since(clock).abs() > skew) {
            return Err(Interruption::ClocksDiffer);
        }
        self.may_sweep = false;
        let mut steady_since = None;
        if let Some(note) = &last.note {
            let boot = (retention.ambient.boot)();
            let reading = Reading { now, boot };
            let within = (retention.settings.clock_settles, skew);
            if !self.steadiness.is_trusted(reading, note.at, within) {
                return Err(Interruption::ClockJumped);
            }
            steady_since = if steadiness::is_jump(note.at, now) {
                Some(now)
            } else {
                // A clock that was ahead may have noted a time that is yet to come.
                note.steady_since.map(|since| since.min(now))
            };
            self.may_sweep = steady_since.is_none_or(|since| steadiness::is_steady(since, now));
            if now.duration_since(note.at).abs() < NOTED_FOR && note.steady_since == steady_since {
                return Ok(());
            }
        }
        let note = PassNote {
            at: now,
            complete_at: self.complete_at,
            steady_since,
        };
        last.replace(&*retention.store, note, now).await?;
        Ok(())
    }

    /// Notes the end of a complete pass.
    async fn note_complete(&mut self, last: &mut ReadNote) -> Result<(), Interruption> {
        let now = self.now();
        self.complete_at = Some(now);
        let steady_since = last.note.as_ref().and_then(|note| note.steady_since);
        let note = PassNote {
            at: now,
            complete_at: Some(now),
            steady_since,
        };
        last.replace(&*self.retention.store, note, now).await?;
        Ok(())
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
        if self.lease.is_fresh() {
            return Ok(());
        }
        self.acquire_lease().await
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

    /// Returns the time since the last complete pass of any replica, or since the start of this one.
    fn since_complete(&self) -> SignedDuration {
        let began = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        self.complete_at
            .map_or(began, |at| self.now().duration_since(at))
    }

    /// Records the result of a pass in the metrics and the log.
    fn report(&mut self, passed: &Result<(), Interruption>) {
        self.unreadable.log();
        let metrics = &self.retention.metrics.retention;
        match passed {
            Ok(()) => metrics.lag(self.lag),
            Err(Interruption::OldSchema) => metrics.lag(SignedDuration::ZERO),
            Err(Interruption::NotHolder) => {
                // The alert compares the greatest lag of all replicas. The holder may fail in turn
                // with this one, so each of them reports the passes of all.
                let expected = self.retention.settings.interval * 2;
                let late =
                    self.since_complete() - SignedDuration::try_from(expected).unwrap_or_default();
                metrics.lag(late.max(SignedDuration::ZERO));
            }
            Err(_) => metrics.lag(self.lag.saturating_add(self.since_complete())),
        }
        let label = passed.as_ref().err().and_then(Interruption::label);
        if let (Err(interruption), Some(label)) = (passed, label) {
            metrics.failure(label);
            if self.logged == Some(label) {
                debug!(%interruption, "retention interrupted again");
            } else {
                warn!(%interruption, "retention interrupted; records end later");
            }
        }
        if !matches!(passed, Err(Interruption::NotHolder)) {
            self.logged = label;
        }
    }
}
