//! Events as Redis holds them, before they are decoded.

use redis::{FromRedisValue, streams::StreamId};

use super::packed_key;
use crate::{
    store::{Position, StoreError},
    transaction::TransactionKey,
};

/// An event of a partition: an entry of its stream, or an erased one beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawEvent {
    /// Its id and its number.
    pub(super) position: Position,
    /// Its transaction.
    pub(super) key: TransactionKey,
    /// Its body (`store/record/`).
    pub(super) body: Vec<u8>,
}

impl RawEvent {
    /// Reads an entry of a stream.
    pub(super) fn of_stream(event: &StreamId) -> Result<Self, StoreError> {
        let id = parse_id(&event.id).ok_or_else(|| corrupt(&event.id))?;
        Ok(Self {
            position: Position {
                id,
                number: field(event, "number")?,
            },
            key: packed_key::unpack(&field::<Vec<u8>>(event, "key")?)?,
            body: field(event, "body")?,
        })
    }

    /// Reads the id of an entry of a stream.
    pub(super) fn id_of(event: &StreamId) -> Option<(u64, u64)> {
        parse_id(&event.id)
    }

    /// Reads an erased event: its number, its key and its body, after spaces.
    pub(super) fn of_erased(id: &str, value: &[u8]) -> Result<Self, StoreError> {
        let mut parts = value.splitn(3, |byte| *byte == b' ');
        let mut text = || std::str::from_utf8(parts.next()?).ok();
        let (number, key) = (text().and_then(|text| text.parse().ok()), text());
        let (Some(id), Some(number), Some(key), Some(body)) =
            (parse_id(id), number, key, parts.next())
        else {
            return Err(corrupt(id));
        };
        Ok(Self {
            position: Position { id, number },
            key: crate::store::key::parse_key(key)?,
            body: body.to_vec(),
        })
    }

    /// Formats the event as an erased one.
    pub(super) fn to_erased(&self) -> Vec<u8> {
        let head = format!("{} {} ", self.position.number, self.key);
        [head.as_bytes(), &self.body].concat()
    }
}

fn parse_id(id: &str) -> Option<(u64, u64)> {
    let (ms, sequence) = id.split_once('-')?;
    Some((ms.parse().ok()?, sequence.parse().ok()?))
}

fn field<T: FromRedisValue>(event: &StreamId, name: &str) -> Result<T, StoreError> {
    event.get(name).ok_or_else(|| corrupt(&event.id))
}

fn corrupt(id: &str) -> StoreError {
    StoreError::Corrupt {
        key: format!("the event {id}"),
        problem: "it lacks a field".to_owned(),
    }
}
