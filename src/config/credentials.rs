//! The credentials of an account: user id, PIN, and the secret of its callback address.

use secrecy::{ExposeSecret, SecretString};

use super::{
    reader::Reader,
    secrets::{Secret, secret_remedy},
};

/// Reads the user id. It is part of every signature, so white space around it would invalidate all
/// signatures.
pub(super) fn read_user_id(reader: &mut Reader, key: &str) -> Option<String> {
    let user_id = reader.required(key, "use the member id that OKEBAYAR assigned")?;
    if user_id.contains(|c: char| c.is_whitespace() || c.is_control()) {
        reader.fault(
            key,
            "must not contain white space",
            "use the member id alone",
        );
        return None;
    }
    Some(user_id)
}

/// Reads the PIN.
pub(super) fn read_pin(reader: &mut Reader, key: &str) -> Option<SecretString> {
    match reader.secret(key, |_| None) {
        Secret::Given(pin) => Some(pin),
        Secret::Faulty => None,
        Secret::Absent => {
            reader.fault(key, "required", secret_remedy(key));
            None
        }
    }
}

/// The minimum length of a callback secret, in characters: too many to guess.
const CALLBACK_SECRET_CHARS_MIN: usize = 16;

/// Returns the problem of a callback secret, and the remedy. Only characters that are unreserved in
/// a URL are allowed: a proxy or OKEBAYAR may encode others differently (RFC 3986, section 2.3).
fn callback_secret_problem(text: &str) -> Option<(String, String)> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    let problem = if !text.bytes().all(is_plain) {
        "contains characters that must be escaped in a URL".to_owned()
    } else if text.len() < CALLBACK_SECRET_CHARS_MIN {
        format!("shorter than {CALLBACK_SECRET_CHARS_MIN} characters")
    } else {
        return None;
    };
    let remedy = "use letters, digits, '.', '_', '~' or '-'; `openssl rand -hex 16` generates a \
                  secret, which you then register with OKEBAYAR";
    Some((problem, remedy.to_owned()))
}

/// Reads the secret of the callback address, which must differ from the PIN.
pub(super) fn read_callback_secret(
    reader: &mut Reader,
    key: &str,
    pin: Option<&SecretString>,
) -> Secret {
    let secret = reader.secret(key, callback_secret_problem);
    let is_pin = |secret: &SecretString| {
        pin.is_some_and(|pin| pin.expose_secret() == secret.expose_secret())
    };
    if matches!(&secret, Secret::Given(secret) if is_pin(secret)) {
        let remedy = "use another secret: proxies write addresses to their logs";
        reader.fault(key, "equals the PIN", remedy);
        return Secret::Faulty;
    }
    secret
}
