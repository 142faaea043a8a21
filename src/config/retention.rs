//! The section `[retention]`: the times after which records, tombstones and lists end.

use std::time::Duration;

use jiff::SignedDuration;

use super::reader::Reader;
use crate::{failover::GuardSettings, retention::RetentionSettings, transaction::Schedule};

/// The longest retention of a final record: marks of inquiries are kept for 400 days, and a status
/// check may come 30 days after the purchase.
const FINAL_MAX: SignedDuration = SignedDuration::from_hours(365 * 24);
/// The shortest time for which tombstones are kept: callers that repeat a purchase later buy again.
const TOMBSTONES_MIN: SignedDuration = SignedDuration::from_hours(90 * 24);
/// The shortest time for which NOT_SENT is kept: inquiries are valid for less. A holder without a
/// record counts as about to claim, and keeps its inquiry.
const NOT_SENT_MIN: SignedDuration = SignedDuration::from_hours(24);
/// The shortest time for which the items of lists are kept: an operator reads them.
const LISTS_MIN: SignedDuration = SignedDuration::from_hours(35 * 24);
/// The longest time between two renewals: the binding of an expired inquiry is renewed for 24 hours.
const RENEWAL_MAX: SignedDuration = SignedDuration::from_hours(12);
/// The time for which the clock must be steady after a jump: a clock that is wrong at boot is set
/// within it.
const CLOCK_SETTLES: Duration = Duration::from_hours(1);

/// The times that the retention must outlast; `None` for a faulty one.
#[derive(Clone, Copy)]
pub(super) struct Horizons<'a> {
    pub(super) schedule: Option<&'a Schedule>,
    pub(super) guard: Option<GuardSettings>,
    pub(super) event_retention: Option<SignedDuration>,
    /// The time from a claim to the moment at which its POST has certainly ended.
    pub(super) in_flight_max: Option<SignedDuration>,
}

/// Reads the retention. With `allow_short_times` it may be shorter than what it must outlast.
pub(super) fn read_retention(
    reader: &mut Reader,
    horizons: Horizons<'_>,
    allow_short_times: bool,
) -> Option<RetentionSettings> {
    let final_kept = reader.duration("retention.final", "840h");
    let tombstones_kept = reader.duration("retention.tombstones", "9600h");
    let not_sent_kept = reader.duration("retention.not_sent", "24h");
    let lists_kept = reader.duration("retention.lists", "9600h");
    let renewal = reader.duration("retention.renewal_interval", "6h");
    let interval = reader.span("retention.interval", "1m");
    if !allow_short_times {
        horizons.verify_final(reader, final_kept);
        horizons.verify_not_sent(reader, not_sent_kept);
        horizons.verify_lists(reader, lists_kept);
        let least = TOMBSTONES_MIN.max(final_kept.unwrap_or(TOMBSTONES_MIN));
        let why = "callers that repeat a purchase later would buy it again";
        at_least(reader, "retention.tombstones", tombstones_kept, least, why);
    }
    let why = "the marks of inquiries would end before a check of their reference code";
    at_most(reader, "retention.final", final_kept, FINAL_MAX, why);
    let why = "the binding of an inquiry could end while the transaction that holds it is open";
    at_most(
        reader,
        "retention.renewal_interval",
        renewal,
        RENEWAL_MAX,
        why,
    );
    Some(RetentionSettings {
        final_kept: final_kept?,
        tombstones_kept: tombstones_kept?,
        not_sent_kept: not_sent_kept?,
        lists_kept: lists_kept?,
        renewal_interval: Duration::try_from(renewal?).ok()?,
        interval: interval?,
        clock_settles: CLOCK_SETTLES,
    })
}

impl Horizons<'_> {
    /// Records a fault when a final record would end before the last check or event of it.
    fn verify_final(self, reader: &mut Reader, kept: Option<SignedDuration>) {
        let key = "retention.final";
        let skew = self.skew();
        if let Some(schedule) = self.schedule {
            let least = schedule.age_max.max(schedule.give_up_after);
            let why = "status checks are made up to checks.age_max and checks.give_up_after after a \
                       purchase";
            at_least(reader, key, kept, least.saturating_add(skew), why);
        }
        if let Some(guard) = self.guard {
            let why = "after a loss, records are compared for store.failover_guard";
            at_least(reader, key, kept, guard.lasts.saturating_add(skew), why);
        }
        if let Some(events) = self.event_retention {
            let why = "watchers resume from events for store.event_retention";
            at_least(reader, key, kept, events.saturating_add(skew), why);
        }
    }

    /// Records a fault when NOT_SENT would end while a POST may be in flight.
    fn verify_not_sent(self, reader: &mut Reader, kept: Option<SignedDuration>) {
        let in_flight = self.in_flight_max.unwrap_or(SignedDuration::ZERO);
        let least = in_flight.saturating_add(self.skew()).max(NOT_SENT_MIN);
        let why = "callers that ask again would not find that nothing was sent";
        at_least(reader, "retention.not_sent", kept, least, why);
    }

    /// Records a fault when an orphan callback would end before the end of the failover guard, which
    /// compares quarantined reference codes with the list.
    fn verify_lists(self, reader: &mut Reader, kept: Option<SignedDuration>) {
        let guard = self.guard.map_or(SignedDuration::ZERO, |guard| guard.lasts);
        let open = self.schedule.map(|schedule| schedule.give_up_after);
        let least = guard.saturating_add(open.unwrap_or(SignedDuration::ZERO));
        let least = least.saturating_add(self.skew()).max(LISTS_MIN);
        let why = "the end of the failover guard compares quarantined reference codes with orphan \
                   callbacks";
        at_least(reader, "retention.lists", kept, least, why);
    }

    fn skew(self) -> SignedDuration {
        self.guard
            .map_or(SignedDuration::ZERO, |guard| guard.clock_skew)
    }
}

fn at_least(
    reader: &mut Reader,
    key: &str,
    time: Option<SignedDuration>,
    least: SignedDuration,
    why: &str,
) {
    if let Some(time) = time.filter(|time| *time < least) {
        let problem = format!("{time:#} is too short: {why}");
        reader.fault(key, problem, format!("use at least {least:#}"));
    }
}

fn at_most(
    reader: &mut Reader,
    key: &str,
    time: Option<SignedDuration>,
    most: SignedDuration,
    why: &str,
) {
    if let Some(time) = time.filter(|time| *time > most) {
        let problem = format!("{time:#} is too long: {why}");
        reader.fault(key, problem, format!("use at most {most:#}"));
    }
}
