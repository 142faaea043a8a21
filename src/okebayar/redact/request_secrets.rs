//! The secrets of one request, and their removal from a text.

use std::{borrow::Cow, fmt, ops::Range};

use secrecy::{ExposeSecret, SecretString};

use super::decoded_text::DecodedText;

/// The spellings of secret names that are searched in quoted text.
const QUOTED_NAMES: [&str; 4] = ["userpin", "user_pin", "user-pin", "signature"];

/// The replacement of a removed secret.
const REMOVED: &str = "***";

/// The most layers of encoding that are searched, including the text itself.
const LAYERS_MAX: usize = 5;

/// The secrets of one request, or of the callbacks about one. `Debug` hides them.
#[derive(Clone, Default)]
pub struct RequestSecrets {
    pin: Option<SecretString>,
    signature: Option<SecretString>,
}

impl fmt::Debug for RequestSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestSecrets(hidden)")
    }
}

impl RequestSecrets {
    /// Combines the PIN and the signature of one request.
    #[must_use]
    pub fn new(pin: SecretString, signature: SecretString) -> Self {
        Self {
            pin: Some(pin),
            signature: Some(signature),
        }
    }

    /// Removes quoted secret fields and the signature (rules 1 and 2).
    #[must_use]
    pub fn strip<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.without(text, false)
    }

    /// Removes the PIN as well (rule 3), from texts for readers.
    #[must_use]
    pub fn strip_free_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.without(text, true)
    }

    fn without<'a>(&self, text: &'a str, is_free: bool) -> Cow<'a, str> {
        let secret = |secret: &Option<SecretString>| -> Vec<char> {
            let text = secret.as_ref().map(ExposeSecret::expose_secret);
            text.unwrap_or_default().chars().collect()
        };
        let signature = secret(&self.signature);
        let pin = secret(if is_free { &self.pin } else { &None });
        let mut found = Vec::new();
        let mut layer = Some(DecodedText::new(text));
        for _ in 0..LAYERS_MAX {
            let Some(view) = layer else { break };
            for name in QUOTED_NAMES {
                found.extend(view.fields(name).map(|field| view.source(&field)));
            }
            found.extend(view.matches(&signature).map(|at| view.source(&at)));
            let tokens = view.matches(&pin).filter(|at| view.is_token(at));
            found.extend(tokens.map(|at| view.source(&at)));
            layer = view.decoded();
        }
        remove(text, found)
    }
}

/// Replaces these parts of a text, some of which may overlap.
fn remove(text: &str, mut parts: Vec<Range<usize>>) -> Cow<'_, str> {
    if parts.is_empty() {
        return Cow::Borrowed(text);
    }
    parts.sort_by_key(|part| part.start);
    let mut left = String::with_capacity(text.len());
    let mut end = 0;
    for part in parts {
        if part.start >= end {
            left.push_str(text.get(end..part.start).unwrap_or_default());
            left.push_str(REMOVED);
        }
        end = end.max(part.end);
    }
    left.push_str(text.get(end..).unwrap_or_default());
    Cow::Owned(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "329e765e5e7f0732522ffe45e12b3b3a";

    fn secrets(pin: &str) -> RequestSecrets {
        RequestSecrets::new(pin.into(), SIGNATURE.into())
    }

    #[test]
    fn quoted_secret_fields_are_removed_in_every_encoding() {
        let xml =
            "<transaction><userpin>123456</userpin><signature>0badc0de</signature></transaction>";
        let json = r#"{"userid":"u", "userpin" : "123456","signature":"0badc0de"}"#;
        let url = "userid=u&userpin=123456&signature=0badc0de&x=y";
        let escaped = |text: &str| quick_xml::escape::escape(text).into_owned();
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let encoded = |text: &str| {
            let bytes: Vec<String> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            bytes.concat()
        };
        for text in [
            xml.to_owned(),
            json.to_owned(),
            url.to_owned(),
            escaped(xml),
            escaped(json),
            escaped(&escaped(xml)),
            quoted(json),
            quoted(&quoted(json)),
            escaped(&quoted(json)),
            encoded(xml),
            encoded(json),
            encoded(url),
            quoted(&encoded(xml)),
            "<USERPIN><![CDATA[123456]]></USERPIN> <t:Signature a='b'>0badc0de</t:Signature>"
                .into(),
            "<request userpin='123456' signature=\"0badc0de\"/>".into(),
            "{userpin=123456, signature=0badc0de}".into(),
            "[userpin] => 123456 [signature] => 0badc0de".into(),
            "userpin: 123456; signature: 0badc0de".into(),
            "{\"userpin\":123456,\"signature\":\"0badc0de".into(),
            "torn <signature>0badc0de".into(),
            "torn <userpin>123456".into(),
            "<t:user_pin>123456</t:user_pin> <a.b:signature>0badc0de</a.b:signature>".into(),
            "<request_userpin>123456</request_userpin><x-signature>0badc0de</x-signature>".into(),
            r#"{"request.userPin":"123456","request.Signature":"0badc0de"}"#.into(),
            r#"{"request_userpin":"123456","x-signature":"0badc0de"}"#.into(),
            "request[user-pin]=123456&request[signature]=0badc0de".into(),
        ] {
            let (found, stripped) = (secrets("other-pin"), text.clone());
            let stripped = found.strip(&stripped);
            let mut plain = DecodedText::new(&stripped);
            while let Some(next) = plain.decoded() {
                plain = next;
            }
            let plain: String = plain.chars.iter().collect();
            assert!(!plain.contains("123456"), "{text}\n{stripped}");
            assert!(!plain.contains("0badc0de"), "{text}\n{stripped}");
            assert!(stripped.contains(REMOVED), "{text}");
        }
    }

    #[test]
    fn text_beside_a_secret_field_stays() {
        let strip = |text: &str| secrets("9").strip(text).into_owned();
        assert_eq!(
            strip(r#"x {"userid":"u","userpin":"1\"2","referencecode":"r"} y"#),
            r#"x {"userid":"u",***,"referencecode":"r"} y"#
        );
        assert_eq!(
            strip("<t><userid>u</userid><userpin>1</userpin><productcode>p</productcode></t>"),
            "<t><userid>u</userid>***<productcode>p</productcode></t>"
        );
        assert_eq!(strip("a=b&userpin=1&c=d"), "a=b&***&c=d");
        for text in [
            "",
            "Invalid signature: please call us",
            "wrong signature, userpin or userid",
            "userpin_hint=1 mysignature=2 signatures: 3",
            r#"{"PLN_SIGNATURE":"1","PLN_USERPIN":"2"} <PLN_SIGNATURE>3</PLN_SIGNATURE>"#,
            "100% <b> & done \\ %zz &nope; \\u12",
            "userpin=",
        ] {
            assert_eq!(strip(text), text);
            assert!(
                matches!(secrets("9").strip(text), Cow::Borrowed(_)),
                "{text}"
            );
        }
    }

    #[test]
    fn signature_is_removed_everywhere_and_pin_from_free_text_as_a_whole_token() {
        let secrets = secrets("123456");
        let upper = SIGNATURE.to_uppercase();
        for text in [format!("a{SIGNATURE}b"), format!("a{upper}b")] {
            assert_eq!(secrets.strip(&text), "a***b");
        }
        for (text, expected) in [
            ("PIN 123456 is wrong", "PIN *** is wrong"),
            ("123456", "***"),
            ("(123456)", "(***)"),
            ("%28123456%29", "%28***%29"),
            (
                "token 1234567, 0123456, A123456",
                "token 1234567, 0123456, A123456",
            ),
        ] {
            assert_eq!(secrets.strip_free_text(text), expected);
            assert_eq!(secrets.strip(text), text);
        }
        let other = RequestSecrets::new("p&n-<1>".into(), SIGNATURE.into());
        assert_eq!(other.strip_free_text("x p&amp;n-&lt;1&gt; y"), "x *** y");
        assert_eq!(
            RequestSecrets::default().strip_free_text("123456"),
            "123456"
        );
        assert!(!format!("{other:?}").contains("p&n"));
    }

    #[test]
    fn hostile_text_is_stripped_in_bounded_time() {
        for part in [
            "<userpin>",
            "userpin=",
            "\"userpin\":\"",
            "%25",
            "&amp;",
            "\\\\",
        ] {
            let text = part.repeat(200_000 / part.len());
            assert!(secrets("1").strip_free_text(&text).len() <= text.len() + REMOVED.len());
        }
    }
}
