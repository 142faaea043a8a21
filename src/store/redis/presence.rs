//! The presence of running gateways: a key of each, which its verifications renew, so that `store
//! copy` finds a gateway that is not subscribed at the moment. It grants nothing, and excludes nothing
//! else.

use super::store::RedisStore;
use crate::store::{SeenGateways, StoreError};

/// Before the random id of a gateway.
const PRESENCE: &str = "okb:gateway:";
/// The number of keys that one call of SCAN visits.
const SCANNED: usize = 10_000;

impl RedisStore {
    /// Returns the key of the presence of this gateway. A process that only inspects the store has
    /// none.
    pub(super) fn presence_key(&self) -> Option<String> {
        let seen = self.seen();
        let id = seen.as_ref().map(|seen| seen.identity.epoch);
        id.map(|id| format!("{PRESENCE}{id}"))
    }

    /// Returns the gateways that are subscribed or present.
    pub(in crate::store) async fn seen_gateways(&self) -> Result<SeenGateways, StoreError> {
        let mut keys = Vec::new();
        for server in self.all_servers().await? {
            let mut cursor = 0;
            loop {
                let mut scan = redis::pipe();
                scan.cmd("SCAN").arg(cursor);
                scan.arg("MATCH").arg(format!("{PRESENCE}*"));
                scan.arg("COUNT").arg(SCANNED);
                let ((next, found),): ((u64, Vec<String>),) =
                    self.query_server(&server, &scan).await?;
                keys.extend(found);
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        let mut read = redis::pipe();
        for key in &keys {
            read.pttl(key);
        }
        let left: Vec<i64> = self.read_each(&read).await?;
        let present = keys.into_iter().zip(left);
        // A negative time is that of a key that has ended since.
        let present = present.filter_map(|(key, left)| Some((key, u64::try_from(left).ok()?)));
        Ok(SeenGateways {
            present: present.collect(),
            listeners: self.count_listeners().await?.unwrap_or(0),
        })
    }
}
