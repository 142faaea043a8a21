//! The keys of the failover guard in the section `[store]`.

use super::reader::Reader;
use crate::failover::GuardSettings;

/// Reads the settings of the failover guard.
pub(super) fn read_guard(reader: &mut Reader) -> Option<GuardSettings> {
    let lasts = reader.duration_or_zero("store.failover_guard", "24h");
    let clock_skew = reader.duration("store.clock_skew", "1m");
    Some(GuardSettings {
        lasts: lasts?,
        clock_skew: clock_skew?,
    })
}
