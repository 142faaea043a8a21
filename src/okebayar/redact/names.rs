//! The names of secret fields.

/// The names whose values are secret, in lower case.
const NAMES: [&str; 2] = ["userpin", "signature"];

/// The prefix of product fields, which are never secret.
pub(super) const PRODUCT_PREFIX: &str = "pln_";

/// Returns true for the name of a secret field, in any case, with or without a namespace or a
/// path before or after it: `t:userpin`, `request[userPin]`, `body.user_pin`. A product field
/// (`PLN_...`) is never secret.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let parts = name.split(|c: char| !c.is_alphanumeric() && !is_joint(c));
    let words = parts.flat_map(|part| {
        let is_product = part.starts_with(PRODUCT_PREFIX);
        part.split(move |c| !is_product && is_joint(c))
    });
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let is_name = |word: &str| NAMES.contains(&word);
    words.iter().any(|word| is_name(word)) || words.windows(2).any(|pair| is_name(&pair.concat()))
}

/// Returns true for a character that joins words to one name.
pub(super) fn is_joint(c: char) -> bool {
    "_-".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_names_are_recognized_in_any_case_spelling_and_place() {
        for name in [
            "userpin",
            " USERPIN ",
            "userPin",
            "user_pin",
            "User-Pin",
            "t:userpin",
            "additionaldata.s:Envelope.t:userpin",
            "request.userpin",
            "request[userpin]",
            "request[user_pin][]",
            "request_userpin",
            "@signature",
            "x-Signature",
            "user.pin",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "",
            "userid",
            "pin",
            "user",
            "spinner",
            "mysignature",
            "signatures",
            "PLN_IDPELANGGAN",
            "PLN_SIGNATURE",
            "additionaldata.PLN_USERPIN",
            "PLN_USER_PIN",
            "ref1",
            "serialnumber",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
