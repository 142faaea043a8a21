//! The section `[shutdown]`.

use std::time::Duration;

use jiff::SignedDuration;

use super::reader::Reader;

pub(super) fn read_drain(reader: &mut Reader, least: Option<SignedDuration>) -> Option<Duration> {
    // Read before the sum is looked at: a fault in a part of the sum makes no key unknown.
    let default = least.map_or_else(
        || "1m".to_owned(),
        |least| format!("{}ms", least.as_millis()),
    );
    let drain = reader.duration("shutdown.drain", &default)?;
    let least = least?;
    if drain < least {
        reader.fault(
            "shutdown.drain",
            format!("{drain:#} is shorter than a purchase may take"),
            format!("give at least {least:#}: limits.queue_timeout + store.timeout + the longest accounts.*.timeout + checks.sending_margin"),
        );
    }
    Some(drain.unsigned_abs())
}
