//! Removes the secrets of a request from its answer (promise 15): OKEBAYAR's error texts may quote
//! the request, which holds the PIN and the signature.
//!
//! Three rules apply, from the most to the least certain:
//!
//! 1. A field named `userpin` or `signature` is removed from a quoted request, with any value,
//!    in JSON, XML, a URL, or any of them inside another.
//! 2. The signature of this request is removed from every text: no other text equals it.
//! 3. The PIN is removed from texts for readers only, and only as a whole token. It is a short
//!    number that serial numbers, references, amounts and account numbers contain by chance.

mod decoded_text;
mod names;
mod quoted_fields;
mod request_secrets;

pub use names::is_secret;
pub use request_secrets::RequestSecrets;
