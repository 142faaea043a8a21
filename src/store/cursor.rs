//! The cursor of a watcher of all transactions.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use prost::Message;

use super::events::{Event, Position};

/// A vector of positions, one for each partition, in one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The epoch of the events; another one has other events at the same positions.
    pub epoch: String,
    /// The position in each partition.
    pub positions: Vec<Position>,
}

/// The error of a text that is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a cursor; pass one that a watch returned, or none to start now")]
pub struct BadCursor;

/// The encoded form of a cursor.
#[derive(Message)]
struct CursorMessage {
    #[prost(string, tag = "1")]
    epoch: String,
    #[prost(uint64, repeated, tag = "2")]
    major: Vec<u64>,
    #[prost(uint64, repeated, tag = "3")]
    minor: Vec<u64>,
    #[prost(uint64, repeated, tag = "4")]
    number: Vec<u64>,
}

impl Cursor {
    /// Advances past an event.
    pub fn advance(&mut self, event: &Event) {
        if let Some(position) = self.positions.get_mut(event.partition) {
            *position = event.position;
        }
    }

    /// Encodes the cursor as an opaque text.
    #[must_use]
    pub fn encode(&self) -> String {
        let column = |part: fn(&Position) -> u64| self.positions.iter().map(part).collect();
        let message = CursorMessage {
            epoch: self.epoch.clone(),
            major: column(|position| position.id.0),
            minor: column(|position| position.id.1),
            number: column(|position| position.number),
        };
        URL_SAFE_NO_PAD.encode(message.encode_to_vec())
    }

    /// Decodes the text that [`Cursor::encode`] returned.
    ///
    /// # Errors
    /// [`BadCursor`] when the text is not a cursor.
    pub fn decode(text: &str) -> Result<Self, BadCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
        let message = CursorMessage::decode(bytes.as_slice()).map_err(|_| BadCursor)?;
        let count = message.number.len();
        if count == 0 || message.major.len() != count || message.minor.len() != count {
            return Err(BadCursor);
        }
        let ids = message.major.into_iter().zip(message.minor);
        let position = |(id, number)| Position { id, number };
        Ok(Self {
            epoch: message.epoch,
            positions: ids.zip(message.number).map(position).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_written_and_nothing_else_does() {
        let position = |number| Position {
            id: (1_700_000_000_000 + number, number),
            number,
        };
        let cursor = Cursor {
            epoch: "e".into(),
            positions: (0..64).map(position).collect(),
        };
        assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
        for text in [
            "",
            "x",
            "AAAA",
            "!",
            &URL_SAFE_NO_PAD.encode([0x12, 0x01, 0x01]),
        ] {
            assert_eq!(Cursor::decode(text), Err(BadCursor), "{text}");
        }
    }
}
