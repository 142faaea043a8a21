//! Page tokens (AIP-158): opaque, and bound to the query that they belong to.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::store::ListingEntry;

/// The written form of a token.
#[derive(Message)]
struct Token {
    #[prost(bytes = "vec", tag = "1")]
    scope: Vec<u8>,
    #[prost(int64, tag = "2")]
    created_ms: i64,
    #[prost(string, tag = "3")]
    name: String,
}

/// Names a query without its page.
pub(super) struct Scope(Vec<u8>);

impl Scope {
    /// The scope of a list's request whose page has been taken out. Requests of two
    /// lists may be encoded alike, so the list is named as well.
    pub(super) fn of(list: &str, request: &impl Message) -> Self {
        let digest = Sha256::new()
            .chain_update(list)
            .chain_update([0])
            .chain_update(request.encode_to_vec())
            .finalize();
        Self(digest[..8].to_vec())
    }
}

/// The token of the page after an entry.
pub(super) fn token(scope: &Scope, after: &ListingEntry) -> String {
    let token = Token {
        scope: scope.0.clone(),
        created_ms: after.created_ms,
        name: after.name.clone(),
    };
    URL_SAFE_NO_PAD.encode(token.encode_to_vec())
}

/// The entry after which a page begins.
pub(super) fn read(scope: &Scope, text: &str) -> Result<ListingEntry, &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(text);
    let token = bytes.map(|bytes| Token::decode(bytes.as_slice()));
    match token {
        Ok(Ok(token)) if token.scope == scope.0 => Ok(ListingEntry {
            created_ms: token.created_ms,
            name: token.name,
        }),
        Ok(Ok(_)) => Err("it belongs to another query; ask for the first page"),
        _ => Err("it is no page token; give the next_page_token of the page before"),
    }
}
