//! The times of watches and connections: heartbeats, and the ages at which they end.

use jiff::SignedDuration;

use super::reader::Reader;

/// The times of long-lived streams and connections; `None` for a faulty one.
#[derive(Clone, Copy)]
pub(super) struct StreamTimes {
    /// The time without a message after which a watch sends a heartbeat.
    pub(super) watch_heartbeat: Option<SignedDuration>,
    /// The mean age at which a watch ends.
    pub(super) watch_age: Option<SignedDuration>,
    /// The age at which a connection accepts no further calls.
    pub(super) connection_age: Option<SignedDuration>,
}

/// The maximum interval of heartbeats: network equipment drops connections that are silent longer.
const HEARTBEAT_MAX: SignedDuration = SignedDuration::from_mins(10);
/// The maximum age: with an older one, new replicas would get no share of the callers for a day.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(24);

impl StreamTimes {
    /// Reads the times, and records a fault for each that is too long.
    pub(super) fn read(reader: &mut Reader) -> Self {
        let watch_heartbeat = read_up_to(reader, "limits.watch_heartbeat", "20s", HEARTBEAT_MAX);
        let watch_age = read_up_to(reader, "limits.watch_age", "30m", AGE_MAX);
        let connection_age = read_up_to(reader, "limits.connection_age", "25m", AGE_MAX);
        Self {
            watch_heartbeat,
            watch_age,
            connection_age,
        }
    }

    /// Records a fault when heartbeats would come too late: after the end of the watch, or after
    /// the events that follow the previous cursor are trimmed.
    pub(super) fn verify(self, reader: &mut Reader, event_retention: Option<SignedDuration>) {
        let Some(heartbeat) = self.watch_heartbeat else {
            return;
        };
        let key = "limits.watch_heartbeat";
        let problem = |than: &str| format!("{heartbeat:#} is too long: {than}");
        if self.watch_age.is_some_and(|age| heartbeat >= age) {
            let problem = problem("a watch would end before its first heartbeat");
            reader.fault(key, problem, "use less than limits.watch_age");
        }
        if event_retention.is_some_and(|kept| heartbeat > kept / 2) {
            let problem =
                problem("the events after the cursor of a quiet watcher would be deleted");
            let remedy = "use at most half of store.event_retention";
            reader.fault(key, problem, remedy);
        }
    }
}

fn read_up_to(
    reader: &mut Reader,
    key: &str,
    default: &str,
    most: SignedDuration,
) -> Option<SignedDuration> {
    let time = reader.duration(key, default)?;
    if time > most {
        let remedy = format!("use at most {most:#}");
        reader.fault(key, format!("{time:#} is too long"), remedy);
        return None;
    }
    Some(time)
}
