//! The signature of a request (docs/OKEBAYAR.md, section 1).

use md5::{Digest, Md5};
use secrecy::{ExposeSecret, SecretString};

/// Computes `md5_hex(userid + userpin + referencecode)`: plain concatenation, lower-case
/// hexadecimal.
#[must_use]
pub fn sign(user_id: &str, pin: &SecretString, reference_code: &str) -> SecretString {
    let digest = Md5::new()
        .chain_update(user_id)
        .chain_update(pin.expose_secret())
        .chain_update(reference_code)
        .finalize();
    hex::encode(digest).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_matches_the_documented_example() {
        let signature = sign("userId", &"userPin".into(), "kodeReferensiPartner");
        assert_eq!(
            signature.expose_secret(),
            "329e765e5e7f0732522ffe45e12b3b3a"
        );
    }
}
