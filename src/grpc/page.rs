//! Page sizes and page tokens (AIP-158). A token is opaque and bound to its query.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use prost::Message;
use sha2::{Digest, Sha256};

use super::violations::Violations;
use crate::store::ListingEntry;

const PAGE_SIZE_DEFAULT: usize = 100;
const PAGE_SIZE_MAX: usize = 200;

/// The encoded form of a page token.
#[derive(Message)]
struct PageToken {
    #[prost(bytes = "vec", tag = "1")]
    scope: Vec<u8>,
    #[prost(int64, tag = "2")]
    created_ms: i64,
    #[prost(string, tag = "3")]
    name: String,
}

/// The identity of a query without its page.
pub(super) struct Scope(Vec<u8>);

impl Scope {
    /// Hashes a list request whose page fields were cleared. The name of the list is part of
    /// the hash, because requests of two lists may have the same encoding.
    pub(super) fn of(list: &str, request: &impl Message) -> Self {
        let digest = Sha256::new()
            .chain_update(list)
            .chain_update([0])
            .chain_update(request.encode_to_vec())
            .finalize();
        Self(digest[..8].to_vec())
    }
}

/// Returns the token of the page after an entry.
pub(super) fn encode_token(scope: &Scope, after: &ListingEntry) -> String {
    let token = PageToken {
        scope: scope.0.clone(),
        created_ms: after.created_ms,
        name: after.name.clone(),
    };
    URL_SAFE_NO_PAD.encode(token.encode_to_vec())
}

/// Parses the field `page_token` into the entry after which the page begins; returns `None`
/// for the first page.
pub(super) fn parse_token(
    scope: &Scope,
    text: &str,
    violations: &mut Violations,
) -> Option<ListingEntry> {
    violations.optional("page_token", text, |text| decode_token(scope, text))
}

fn decode_token(scope: &Scope, text: &str) -> Result<ListingEntry, &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(text);
    let token = bytes.map(|bytes| PageToken::decode(bytes.as_slice()));
    match token {
        Ok(Ok(token)) if token.scope == scope.0 => Ok(ListingEntry {
            created_ms: token.created_ms,
            name: token.name,
        }),
        Ok(Ok(_)) => Err("it belongs to another query; leave it empty to begin at the first page"),
        _ => Err("it is not a page token; give the next_page_token of the previous page"),
    }
}

/// Parses the field `page_size`.
pub(super) fn parse_size(size: i32, violations: &mut Violations) -> usize {
    match usize::try_from(size) {
        Ok(0) => PAGE_SIZE_DEFAULT,
        Ok(size) => size.min(PAGE_SIZE_MAX),
        Err(_) => {
            violations.add(
                "page_size",
                format!("it is {size}; give 1 to {PAGE_SIZE_MAX}, or 0 for {PAGE_SIZE_DEFAULT}"),
            );
            PAGE_SIZE_DEFAULT
        }
    }
}
