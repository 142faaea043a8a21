//! Page sizes and page tokens (AIP-158). A token is opaque and bound to its query.

use std::collections::{BTreeMap, HashMap};

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

/// The field `labels` of a list request, in the order of the keys.
#[derive(Message)]
struct SortedLabels {
    #[prost(btree_map = "string, string", tag = "10")]
    labels: BTreeMap<String, String>,
}

/// The identity of a query without its page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scope(Vec<u8>);

impl Scope {
    /// Hashes a list request whose page fields were cleared. The name of the list is part of
    /// the hash, because requests of two lists may have the same encoding.
    pub(super) fn of(list: &str, request: &impl Message) -> Self {
        Self::of_labelled(list, request, &HashMap::new())
    }

    /// Hashes a list request whose page fields and labels were cleared, and its labels: the
    /// encoding of a map has no fixed order.
    pub(super) fn of_labelled(
        list: &str,
        request: &impl Message,
        labels: &HashMap<String, String>,
    ) -> Self {
        let own = |(key, value): (&String, &String)| (key.clone(), value.clone());
        let labels = SortedLabels {
            labels: labels.iter().map(own).collect(),
        };
        let digest = Sha256::new()
            .chain_update(list)
            .chain_update([0])
            .chain_update(request.encode_to_vec())
            .chain_update(labels.encode_to_vec())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::v1::ListTransactionsRequest;

    fn labels(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn scope(labels: &HashMap<String, String>) -> Scope {
        Scope::of_labelled("list", &ListTransactionsRequest::default(), labels)
    }

    #[test]
    fn scope_is_independent_of_label_order() {
        let keys: Vec<String> = (0..16).map(|number| number.to_string()).collect();
        let pairs: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "v")).collect();
        let expected = scope(&labels(&pairs));
        let mut encodings = std::collections::BTreeSet::new();
        // Each map hashes by a seed of its own, so that their orders differ.
        for _ in 0..50 {
            let labels = labels(&pairs);
            assert_eq!(scope(&labels), expected);
            let request = ListTransactionsRequest {
                labels,
                ..ListTransactionsRequest::default()
            };
            encodings.insert(request.encode_to_vec());
        }
        assert!(encodings.len() > 1, "the maps have one order");
    }

    #[test]
    fn scope_depends_on_every_label() {
        let scopes = [
            &[][..],
            &[("a", "b")],
            &[("a", "c")],
            &[("b", "a")],
            &[("a", "b"), ("c", "")],
            &[("a", ""), ("c", "b")],
        ]
        .map(|pairs| scope(&labels(pairs)));
        for (at, one) in scopes.iter().enumerate() {
            assert!(scopes[..at].iter().all(|other| other != one), "{at}");
        }
    }

    #[test]
    fn scope_without_labels_is_that_of_earlier_releases() {
        let request = ListTransactionsRequest {
            accounts: vec!["main".into()],
            ..ListTransactionsRequest::default()
        };
        let digest = Sha256::digest([b"list\0".as_slice(), &request.encode_to_vec()].concat());
        assert_eq!(Scope::of("list", &request).0, digest[..8]);
    }
}
