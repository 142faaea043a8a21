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

use std::{borrow::Cow, fmt, ops::Range};

use quick_xml::escape::resolve_predefined_entity;
use secrecy::{ExposeSecret, SecretString};

/// The names whose values are secret, in lower case.
const NAMES: [&str; 2] = ["userpin", "signature"];
/// The same in quoted text, where each spelling is looked for.
const QUOTED_NAMES: [&str; 4] = ["userpin", "user_pin", "user-pin", "signature"];
/// How the product fields begin, which are never secret.
const PRODUCT_PREFIX: &str = "pln_";
/// What stands in the place of what was removed.
const REMOVED: &str = "***";
/// How often a text is decoded, once for each encoding inside another, counting none.
const LAYERS_MAX: usize = 5;
/// The longest name of an entity, in characters.
const ENTITY_CHARS_MAX: usize = 10;
/// The longest value of a secret field, and its tag, that is removed, in characters.
const VALUE_CHARS_MAX: usize = 1024;
/// The most punctuation between a name and its value, in characters.
const GAP_CHARS_MAX: usize = 16;

/// The secrets of one request, or of the callbacks about one. `Debug` hides them.
#[derive(Clone, Default)]
pub struct Secrets {
    pin: Option<SecretString>,
    signature: Option<SecretString>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(hidden)")
    }
}

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

/// Returns true for what joins words to one name.
fn is_joint(c: char) -> bool {
    "_-".contains(c)
}

impl Secrets {
    /// Combines the PIN and the signature computed for one request.
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

    /// Removes the PIN as well (rule 3): for texts that are meant for readers.
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
        let mut layer = Some(Layer::new(text));
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

/// Returns the text without these parts, some of which may overlap.
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

/// A text after some layers of encoding, each character with its place in the source.
struct Layer {
    chars: Vec<char>,
    /// Where each character begins in the source, in bytes; and where the text ends.
    starts: Vec<usize>,
}

impl Layer {
    fn new(text: &str) -> Self {
        let mut starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        starts.push(text.len());
        Self {
            chars: text.chars().collect(),
            starts,
        }
    }

    fn source(&self, part: &Range<usize>) -> Range<usize> {
        self.starts[part.start]..self.starts[part.end]
    }

    fn at(&self, place: usize) -> Option<char> {
        self.chars.get(place).copied()
    }

    fn before(&self, place: usize) -> Option<char> {
        self.at(place.checked_sub(1)?)
    }

    /// Finds where a text stands, in any case; nowhere when it is empty.
    fn matches<'a>(&'a self, text: &'a [char]) -> impl Iterator<Item = Range<usize>> + 'a {
        let length = text.len();
        let windows = self.chars.windows(length.max(1)).enumerate();
        let is_it = move |window: &[char]| {
            let mut pairs = window.iter().zip(text);
            length > 0 && pairs.all(|(one, other)| one.eq_ignore_ascii_case(other))
        };
        windows.filter_map(move |(at, window)| is_it(window).then_some(at..at + length))
    }

    fn is_token(&self, part: &Range<usize>) -> bool {
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !is_word(self.before(part.start)) && !is_word(self.at(part.end))
    }

    /// Finds the quoted fields of a name, name and value.
    fn fields(&self, name: &str) -> impl Iterator<Item = Range<usize>> {
        let name: Vec<char> = name.chars().collect();
        let found: Vec<Range<usize>> = self.matches(&name).collect();
        found.into_iter().filter_map(|at| self.field(&at))
    }

    /// Finds the field whose name stands here; `None` where it is a word in a sentence.
    fn field(&self, name: &Range<usize>) -> Option<Range<usize>> {
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let goes_on = is_word(self.at(name.end)) || self.at(name.end).is_some_and(is_joint);
        if is_word(self.before(name.start)) || goes_on || self.is_product(name.start) {
            return None;
        }
        match self.tag(name.start) {
            Some(tag) => self.element(tag, name.end),
            None => self.assignment(name),
        }
    }

    /// Returns true where a product field's name began before this place.
    fn is_product(&self, place: usize) -> bool {
        let length = PRODUCT_PREFIX.len();
        let before = place
            .checked_sub(length)
            .map(|from| &self.chars[from..place]);
        before.is_some_and(|before| {
            let mut pairs = before.iter().zip(PRODUCT_PREFIX.chars());
            pairs.all(|(one, other)| one.eq_ignore_ascii_case(&other))
        })
    }

    /// Finds where the tag of an element's name begins, with or without a prefix.
    fn tag(&self, name: usize) -> Option<usize> {
        let mut start = name;
        if self.before(start).is_some_and(|c| ":._-".contains(c)) {
            let in_prefix = |c: char| c.is_alphanumeric() || "_-.:".contains(c);
            for _ in 0..GAP_CHARS_MAX {
                if !self.before(start).is_some_and(in_prefix) {
                    break;
                }
                start -= 1;
            }
        }
        (self.before(start) == Some('<')).then(|| start - 1)
    }

    /// `<name ...>value</name>` from `tag`, or as much of it as there is.
    fn element(&self, tag: usize, name_end: usize) -> Option<Range<usize>> {
        let opened = self.find('>', name_end)?;
        if self.before(opened) == Some('/') {
            return Some(tag..opened + 1);
        }
        let mut at = opened + 1;
        let limit = self.limit(at);
        while at < limit {
            if self.at(at) == Some('<') && self.at(at + 1) == Some('/') {
                let closed = self.find('>', at);
                return Some(tag..closed.map_or(at, |closed| closed + 1));
            }
            at += 1;
        }
        // Torn: the value ends with the text, or where other markup begins.
        Some(tag..self.find('<', opened).unwrap_or(limit))
    }

    /// `"name": "value"`, `name=value` and the like.
    fn assignment(&self, name: &Range<usize>) -> Option<Range<usize>> {
        let is_quote = |c: Option<char>| c.is_some_and(|c| "\"'".contains(c));
        let is_quoted = is_quote(self.before(name.start));
        let start = name.start - usize::from(is_quoted);
        let closes = |c: char| c.is_whitespace() || "\"']".contains(c);
        let separator = self.skip(name.end, closes);
        if !matches!(self.at(separator), Some(':' | '=')) {
            return None;
        }
        let after = separator + 1 + usize::from(self.at(separator + 1) == Some('>'));
        let value = self.skip(after, char::is_whitespace);
        let limit = self.limit(value);
        let end = if is_quote(self.at(value)) {
            let quote = self.at(value);
            let ends = |at: &usize| self.at(*at) == quote && self.before(*at) != Some('\\');
            (value + 1..limit).find(ends).map_or(limit, |end| end + 1)
        } else {
            let ends = |at: &usize| {
                self.at(*at)
                    .is_some_and(|c| c.is_whitespace() || ",;&}])><\"'|".contains(c))
            };
            let end = (value..limit).find(ends).unwrap_or(limit);
            let has_digit = self.chars[value..end].iter().any(char::is_ascii_digit);
            // "Invalid signature: call us" quotes no field.
            let is_prose = !is_quoted && value > after && !has_digit;
            if end == value || (is_prose && name.len() == "signature".len()) {
                return None;
            }
            end
        };
        Some(start..end)
    }

    fn limit(&self, from: usize) -> usize {
        (from + VALUE_CHARS_MAX).min(self.chars.len())
    }

    fn find(&self, wanted: char, from: usize) -> Option<usize> {
        (from..self.limit(from)).find(|at| self.chars[*at] == wanted)
    }

    fn skip(&self, from: usize, skipped: impl Fn(char) -> bool) -> usize {
        let end = from + GAP_CHARS_MAX;
        (from..end)
            .find(|at| !self.at(*at).is_some_and(&skipped))
            .unwrap_or(end)
    }

    /// Returns the text without one layer of encoding; `None` where there is none.
    fn decoded(&self) -> Option<Self> {
        let mut next = Self {
            chars: Vec::with_capacity(self.chars.len()),
            starts: Vec::with_capacity(self.starts.len()),
        };
        let mut at = 0;
        while let Some(plain) = self.at(at) {
            let decoded = match plain {
                '%' => self.percent(at),
                '&' => self.entity(at),
                '\\' => self.escape(at),
                _ => None,
            };
            let (c, length) = decoded.unwrap_or((plain, 1));
            next.chars.push(c);
            next.starts.push(self.starts[at]);
            at += length;
        }
        let is_shorter = next.chars.len() < self.chars.len();
        next.starts.extend(self.starts.last());
        is_shorter.then_some(next)
    }

    fn number(&self, digits: Range<usize>, radix: u32) -> Option<char> {
        let digits: String = self.chars.get(digits)?.iter().collect();
        char::from_u32(u32::from_str_radix(&digits, radix).ok()?)
    }

    fn percent(&self, at: usize) -> Option<(char, usize)> {
        let c = self.number(at + 1..at + 3, 16)?;
        c.is_ascii().then_some((c, 3))
    }

    fn entity(&self, at: usize) -> Option<(char, usize)> {
        let name = at + 1;
        let end = (name..name + ENTITY_CHARS_MAX).find(|at| self.at(*at) == Some(';'))?;
        let c = match (self.at(name)?, self.at(name + 1)?) {
            ('#', 'x' | 'X') => self.number(name + 2..end, 16)?,
            ('#', _) => self.number(name + 1..end, 10)?,
            _ => {
                let name: String = self.chars[name..end].iter().collect();
                resolve_predefined_entity(&name)?.chars().next()?
            }
        };
        Some((c, end + 1 - at))
    }

    fn escape(&self, at: usize) -> Option<(char, usize)> {
        match self.at(at + 1)? {
            c @ ('"' | '\'' | '\\' | '/') => Some((c, 2)),
            'b' | 'f' | 'n' | 'r' | 't' => Some((' ', 2)),
            'u' => Some((self.number(at + 2..at + 6, 16)?, 6)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "329e765e5e7f0732522ffe45e12b3b3a";

    fn secrets(pin: &str) -> Secrets {
        Secrets::new(pin.into(), SIGNATURE.into())
    }

    #[test]
    fn quoted_secret_fields_go_in_every_form() {
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
            let mut plain = Layer::new(&stripped);
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
    fn names_are_secret_in_any_case_spelling_and_place() {
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

    #[test]
    fn what_stands_beside_a_secret_field_stays() {
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
    fn the_signature_goes_from_anywhere_and_the_pin_from_free_text_as_a_whole_token() {
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
        let other = Secrets::new("p&n-<1>".into(), SIGNATURE.into());
        assert_eq!(other.strip_free_text("x p&amp;n-&lt;1&gt; y"), "x *** y");
        assert_eq!(Secrets::default().strip_free_text("123456"), "123456");
        assert!(!format!("{other:?}").contains("p&n"));
    }

    #[test]
    fn a_hostile_text_takes_no_time_without_bound() {
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
