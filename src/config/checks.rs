//! The section `[checks]`: the schedule of status checks, and the rules by which evidence is
//! judged.

use std::time::Duration;

use jiff::SignedDuration;

use super::{limits::Limits, reader::Reader};
use crate::{
    failover::GuardSettings,
    transaction::{Rules, Schedule},
};

/// Returns the maximum time from a claim to the start of its POST.
pub(super) fn send_within(
    limits: Option<Limits>,
    store_timeout: Option<Duration>,
) -> Option<Duration> {
    limits?.queue_timeout.checked_add(store_timeout?)
}

/// Returns the time from a claim to the moment at which its POST has certainly ended.
pub(super) fn in_flight_max(
    send_within: Option<Duration>,
    timeout: Option<Duration>,
    margin: Option<SignedDuration>,
) -> Option<SignedDuration> {
    let longest = send_within?.checked_add(timeout?)?;
    SignedDuration::try_from(longest).ok()?.checked_add(margin?)
}

/// Reads the check schedule. `sending` is the time from a claim to the certain end of its POST.
pub(super) fn read_schedule(
    reader: &mut Reader,
    sending: Option<SignedDuration>,
) -> Option<Schedule> {
    let unknown_first = reader.duration("checks.unknown_first", "10s");
    let pending_first = reader.duration("checks.pending_first", "5m");
    let delays = reader.durations("checks.delays", "1m, 2m, 4m, 8m, 15m, 30m");
    let day_delay = reader.duration("checks.day_delay", "1h");
    let day_ends = reader.duration("checks.day_ends", "24h");
    let late_delay = reader.duration("checks.late_delay", "6h");
    let give_up_after = reader.duration("checks.give_up_after", "72h");
    let unconfigured_grace = reader.duration("checks.unconfigured_grace", "10m");
    let serial_number = reader.durations("checks.serial_number", "1m, 5m, 15m, 1h, 6h, 24h");
    let interval_min = reader.duration("checks.interval_min", "60s");
    let callback_interval_min = reader.duration("checks.callback_interval_min", "5s");
    let age_max = read_age_max(reader);
    Some(Schedule {
        sending: sending?,
        unknown_first: unknown_first?,
        pending_first: pending_first?,
        delays: delays?,
        day_delay: day_delay?,
        day_ends: day_ends?,
        late_delay: late_delay?,
        give_up_after: give_up_after?,
        unconfigured_grace: unconfigured_grace?,
        serial_number: serial_number?,
        interval_min: interval_min?,
        callback_interval_min: callback_interval_min?,
        age_max: age_max?,
    })
}

/// The maximum age of a transaction that is checked: OKEBAYAR may process a later check as a new
/// sale.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);

fn read_age_max(reader: &mut Reader) -> Option<SignedDuration> {
    let key = "checks.age_max";
    let age_max = reader.duration(key, "720h")?;
    if age_max > AGE_MAX {
        let problem = format!("{age_max:#}: OKEBAYAR may process so late a check as a new sale");
        reader.fault(key, problem, "use at most 720h");
    }
    Some(age_max)
}

/// Reads the rules of evidence. `send_within` is the maximum time from a claim to the start of its
/// POST, from which `not_received_after` counts.
pub(super) fn read_rules(
    reader: &mut Reader,
    send_within: Option<Duration>,
    not_received_after: Option<SignedDuration>,
    guard: Option<GuardSettings>,
) -> Option<Rules> {
    let doubtful_gap = reader.duration("checks.doubtful_gap", "5m");
    // The rule counts from the POST, which starts at most `send_within` after the claim.
    let latest = SignedDuration::try_from(send_within?).ok()?;
    Some(Rules {
        doubtful_gap: doubtful_gap?,
        not_received_after: not_received_after?.checked_add(latest)?,
        clock_skew: guard?.clock_skew,
    })
}
