//! What an account proves itself with: user id, PIN, and the secret of its callback address.

use secrecy::{ExposeSecret, SecretString};

use super::{
    reader::Reader,
    secrets::{Secret, give_secret},
};

/// Reads the user id. It is part of every signature: white space round it would make all of
/// them wrong.
pub(super) fn read_user_id(reader: &mut Reader, key: &str) -> Option<String> {
    let user_id = reader.required(key, "give the member id that OKEBAYAR assigned")?;
    if user_id.contains(|c: char| c.is_whitespace() || c.is_control()) {
        reader.fault(key, "it holds white space", "give the member id alone");
        return None;
    }
    Some(user_id)
}

pub(super) fn read_pin(reader: &mut Reader, key: &str) -> Option<SecretString> {
    match reader.secret(key, |_| None) {
        Secret::Given(pin) => Some(pin),
        Secret::Faulty => None,
        Secret::Absent => {
            reader.fault(key, "the PIN is missing", give_secret(key));
            None
        }
    }
}

/// The shortest secret of a callback address, in characters: nobody guesses that many.
const CALLBACK_SECRET_CHARS_MIN: usize = 16;

/// Returns what is wrong with a callback secret, and the remedy. It must be what a URL carries
/// to the letter: a proxy or OKEBAYAR may write anything else otherwise (RFC 3986, section 2.3).
fn callback_secret_problem(text: &str) -> Option<(String, String)> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    let problem = if !text.bytes().all(is_plain) {
        "it holds characters that a URL does not carry to the letter".to_owned()
    } else if text.len() < CALLBACK_SECRET_CHARS_MIN {
        format!("it is shorter than {CALLBACK_SECRET_CHARS_MIN} characters")
    } else {
        return None;
    };
    let remedy = "give letters, digits, '.', '_', '~' or '-'; `openssl rand -hex 16` makes one, \
                  which is then registered with OKEBAYAR";
    Some((problem, remedy.to_owned()))
}

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
        let remedy = "give another one: addresses stand in the logs of proxies";
        reader.fault(key, "it is the PIN", remedy);
        return Secret::Faulty;
    }
    secret
}
