//! The minimum times that the promises depend on, and the opt-in to shorter ones for tests and
//! sandboxes.

use jiff::SignedDuration;

use super::{fault::Fault, reader::Reader, streams::StreamTimes};

/// The key of the opt-in. It is in no section, so that the `settings` of the chart cannot set it.
const OPT_IN: &str = "allow_short_times";

/// The configured times that have a minimum; `None` for a faulty one.
pub(super) struct Times {
    pub(super) not_received_after: Option<SignedDuration>,
    pub(super) doubtful_gap: Option<SignedDuration>,
    pub(super) clock_skew: Option<SignedDuration>,
    pub(super) failover_guard: Option<SignedDuration>,
    pub(super) streams: StreamTimes,
}

/// The minimum of a time, and the consequence of a shorter one.
struct Floor {
    key: &'static str,
    least: SignedDuration,
    why: &'static str,
}

/// OKEBAYAR may queue a purchase and meanwhile deny having it (docs/OKEBAYAR.md, section 3.2).
const NOT_RECEIVED_AFTER: Floor = Floor {
    key: "checks.not_received_after",
    least: SignedDuration::from_mins(10),
    why: "OKEBAYAR may execute a purchase that it denied before",
};
/// The gap must exceed a single incident at OKEBAYAR, during which every check gets the same
/// answer.
const DOUBTFUL_GAP: Floor = Floor {
    key: "checks.doubtful_gap",
    least: SignedDuration::from_mins(1),
    why: "both checks could fall into one incident at OKEBAYAR, and prove a failure",
};
/// Clocks that NTP synchronizes differ by less.
const CLOCK_SKEW: Floor = Floor {
    key: "store.clock_skew",
    least: SignedDuration::from_secs(1),
    why: "the clocks of two machines may differ by that much",
};
/// A guard of `0s` is off deliberately, so it is not checked.
const FAILOVER_GUARD: Floor = Floor {
    key: "store.failover_guard",
    least: SignedDuration::from_hours(1),
    why: "callers that retry a lost purchase later would buy it again",
};
/// Ten thousand watches then send ten thousand heartbeats in a second, besides all changes.
const WATCH_HEARTBEAT: Floor = Floor {
    key: "limits.watch_heartbeat",
    least: SignedDuration::from_secs(1),
    why: "many watchers would be sent little else than heartbeats",
};
/// A watch that begins again reads the store.
const WATCH_AGE: Floor = Floor {
    key: "limits.watch_age",
    least: SignedDuration::from_mins(1),
    why: "many watchers would read the store again all the time",
};
/// Each new connection costs a handshake.
const CONNECTION_AGE: Floor = Floor {
    key: "limits.connection_age",
    least: SignedDuration::from_mins(1),
    why: "callers would connect again all the time",
};

impl Times {
    /// Records a fault for each time that is too short, unless short times are allowed.
    pub(super) fn verify(self, reader: &mut Reader, allow: bool) {
        if allow {
            return;
        }
        let guard = self.failover_guard.filter(|guard| !guard.is_zero());
        for (floor, time) in [
            (NOT_RECEIVED_AFTER, self.not_received_after),
            (DOUBTFUL_GAP, self.doubtful_gap),
            (CLOCK_SKEW, self.clock_skew),
            (FAILOVER_GUARD, guard),
            (WATCH_HEARTBEAT, self.streams.watch_heartbeat),
            (WATCH_AGE, self.streams.watch_age),
            (CONNECTION_AGE, self.streams.connection_age),
        ] {
            let Floor { key, least, why } = floor;
            if let Some(time) = time.filter(|time| *time < least) {
                let remedy = format!(
                    "use at least {least:#}, or set {OPT_IN} = true where no real money is moved, \
                     as with the sandbox"
                );
                reader.fault(key, format!("{time:#} is too short: {why}"), remedy);
            }
        }
    }
}

/// Builds the warning about the opt-in.
pub(super) fn warning() -> Fault {
    Fault {
        key: OPT_IN.to_owned(),
        problem:
            "short times are allowed: a purchase may be reported as NOT_SENT or FAILED, and succeed"
                .to_owned(),
        remedy: "remove it wherever real money is moved".to_owned(),
    }
}
