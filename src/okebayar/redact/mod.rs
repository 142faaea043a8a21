//! Removes our own secrets from what OKEBAYAR sends back (promise 15): its error texts
//! may quote the request, and the request holds the PIN and the signature.
//!
//! Three rules, from the surest to the least sure:
//!
//! 1. A field named `userpin` or `signature` in a quoted request goes, whatever it holds,
//!    in JSON, XML, a URL, or any of them inside another.
//! 2. The signature of this very request goes from anywhere: no other text equals it.
//! 3. The PIN goes from free text alone, and only as a whole token. It is a short number;
//!    serial numbers, references, amounts and account numbers contain it by chance.

mod decoded_text;
mod names;
mod quoted_fields;
mod request_secrets;

pub use names::is_secret;
pub use request_secrets::RequestSecrets;
