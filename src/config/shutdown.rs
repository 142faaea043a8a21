//! The section `[shutdown]`: the time in which a shutdown drains.

use std::time::Duration;

use jiff::SignedDuration;

use super::reader::Reader;

/// Reads the drain time, which must be at least the longest time that a purchase takes.
pub(super) fn read_drain(reader: &mut Reader, least: Option<SignedDuration>) -> Option<Duration> {
    // The key is read before `least` is examined. Otherwise a fault in a part of the sum would also
    // report `shutdown.drain` as an unknown key.
    let default = least.map_or_else(
        || "1m".to_owned(),
        |least| format!("{}ms", least.as_millis()),
    );
    let drain = reader.duration("shutdown.drain", &default)?;
    let least = least?;
    if drain < least {
        reader.fault(
            "shutdown.drain",
            format!("{drain:#} is shorter than the longest purchase"),
            format!(
                "use at least {least:#}: limits.queue_timeout + store.timeout + the longest \
                 accounts.*.timeout + checks.sending_margin"
            ),
        );
    }
    Some(drain.unsigned_abs())
}
