//! The event that follows a position, for an inspection that goes on behind a gap.

use redis::{Cmd, streams::StreamRangeReply};

use super::{
    keys::{events_key, number_key},
    raw_event::RawEvent,
    store::RedisStore,
};
use crate::store::{NextEvent, Position, StoreError, walk::FoundEvent};

impl RedisStore {
    /// Reads what follows a position in a partition.
    pub(in crate::store) async fn read_next_event(
        &self,
        partition: usize,
        after: Position,
    ) -> Result<NextEvent, StoreError> {
        // Read first, so that an event that is added in between is not mistaken for a missing one.
        let number: Option<u64> = self.query(&Cmd::get(number_key(partition as u64))).await?;
        let mut range = redis::cmd("XRANGE");
        let (ms, sequence) = after.id;
        range.arg(events_key(partition as u64));
        range.arg(format!("({ms}-{sequence}")).arg("+");
        range.arg("COUNT").arg(1);
        let found: StreamRangeReply = self.query(&range).await?;
        let of_stream = match found.ids.first() {
            Some(entry) => match RawEvent::of_stream(entry) {
                Ok(event) => Some(event),
                Err(error) => {
                    let id = RawEvent::id_of(entry).unwrap_or(after.id);
                    let number = after.number + 1;
                    return Ok(NextEvent::Unreadable(Position { id, number }, error));
                }
            },
            None => None,
        };
        let erased = self.erased_events(partition as u64).await?.into_iter();
        let erased = erased.filter(|event| event.position.id > after.id);
        let next = of_stream
            .into_iter()
            .chain(erased)
            .min_by_key(|event| event.position.id);
        let Some(RawEvent {
            position,
            key,
            body,
        }) = next
        else {
            let last = number.unwrap_or_default();
            let Position { id, .. } = after;
            return Ok(if last > after.number {
                NextEvent::Missing(Position { id, number: last })
            } else {
                NextEvent::None
            });
        };
        let found = FoundEvent {
            partition,
            position,
            key: Ok(key),
            body,
        };
        // Those that are missing have no id.
        Ok(match found.after(after.number, &self.codec) {
            NextEvent::Missing(Position { number, .. }) => NextEvent::Missing(Position {
                id: after.id,
                number,
            }),
            next => next,
        })
    }
}
