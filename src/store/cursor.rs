//! Where a watcher of everything stands in the history of a store.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use prost::Message;

use super::Event;

/// A place in one partition's history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Where the store keeps the event, in two parts; a store may leave it out.
    pub id: (u64, u64),
    /// The number of the event in its partition, counted from 1. A gap in the
    /// numbers is a gap in the history.
    pub number: u64,
}

/// A vector of places, one for each partition, in one history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Names the history; another one has other events under the same places.
    pub epoch: String,
    /// The place in each partition.
    pub positions: Vec<Position>,
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no cursor; give one that a watch returned, or none to start now")]
pub struct BadCursor;

/// The written form of a cursor.
#[derive(Message)]
struct Token {
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
    /// Moves past an event.
    pub fn advance(&mut self, event: &Event) {
        if let Some(position) = self.positions.get_mut(event.partition) {
            *position = event.position;
        }
    }

    /// The cursor as an opaque text.
    #[must_use]
    pub fn encode(&self) -> String {
        let column = |part: fn(&Position) -> u64| self.positions.iter().map(part).collect();
        let token = Token {
            epoch: self.epoch.clone(),
            major: column(|position| position.id.0),
            minor: column(|position| position.id.1),
            number: column(|position| position.number),
        };
        URL_SAFE_NO_PAD.encode(token.encode_to_vec())
    }

    /// Reads what [`Cursor::encode`] wrote.
    ///
    /// # Errors
    /// [`BadCursor`] when it is anything else.
    pub fn decode(text: &str) -> Result<Self, BadCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
        let token = Token::decode(bytes.as_slice()).map_err(|_| BadCursor)?;
        let count = token.number.len();
        if count == 0 || token.major.len() != count || token.minor.len() != count {
            return Err(BadCursor);
        }
        let ids = token.major.into_iter().zip(token.minor);
        let position = |(id, number)| Position { id, number };
        Ok(Self {
            epoch: token.epoch,
            positions: ids.zip(token.number).map(position).collect(),
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
