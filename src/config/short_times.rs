//! Times below which a promise does not hold, and the opt-in of tests and sandboxes.

use jiff::SignedDuration;

use super::{fault::Fault, reader::Reader};

/// The key of the opt-in. It stands in no section, so that no part of the chart's `settings`
/// reaches it.
const OPT_IN: &str = "allow_short_times";

/// The configured times that have a least value; `None` for one that is faulty.
pub(super) struct Times {
    pub(super) not_received_after: Option<SignedDuration>,
    pub(super) doubtful_gap: Option<SignedDuration>,
    pub(super) clock_skew: Option<SignedDuration>,
    pub(super) failover_guard: Option<SignedDuration>,
}

/// The least value of a time, and what breaks below it.
struct Floor {
    key: &'static str,
    least: SignedDuration,
    why: &'static str,
}

/// OKEBAYAR may queue a purchase, and deny it meanwhile (API page, section 3.2).
const NOT_RECEIVED_AFTER: Floor = Floor {
    key: "checks.not_received_after",
    least: SignedDuration::from_mins(10),
    why: "OKEBAYAR may perform a purchase that it denied before",
};
/// Longer than one trouble of OKEBAYAR's that answers every check alike.
const DOUBTFUL_GAP: Floor = Floor {
    key: "checks.doubtful_gap",
    least: SignedDuration::from_mins(1),
    why: "one short trouble at OKEBAYAR would answer both checks, and prove a failure",
};
/// Clocks that are kept by NTP differ by less.
const CLOCK_SKEW: Floor = Floor {
    key: "store.clock_skew",
    least: SignedDuration::from_secs(1),
    why: "clocks of two machines differ by that much",
};
/// A guard of `0s` is off, and the operator knows it.
const FAILOVER_GUARD: Floor = Floor {
    key: "store.failover_guard",
    least: SignedDuration::from_hours(1),
    why: "callers that repeat a lost purchase later would buy it again",
};

impl Times {
    /// Notes every time that is too short, unless short ones are allowed.
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
        ] {
            let Floor { key, least, why } = floor;
            if let Some(time) = time.filter(|time| *time < least) {
                let remedy = format!(
                    "give at least {least:#}, or set {OPT_IN} = true where no money is moved, \
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
        problem: "times may be so short that a purchase is called NOT_SENT or FAILED, and succeeds"
            .to_owned(),
        remedy: "take it out wherever money is moved".to_owned(),
    }
}
