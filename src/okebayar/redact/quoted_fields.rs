//! Finds the secret fields of a quoted request.

use std::ops::Range;

use super::{
    decoded_text::DecodedText,
    names::{PRODUCT_PREFIX, is_joint},
};

/// The longest value of a secret field, and its tag, that is removed, in characters.
const VALUE_CHARS_MAX: usize = 1024;

/// The most punctuation between a name and its value, in characters.
const GAP_CHARS_MAX: usize = 16;

impl DecodedText {
    /// Finds the quoted fields of a name, each with its value.
    pub(super) fn fields(&self, name: &str) -> impl Iterator<Item = Range<usize>> {
        let name: Vec<char> = name.chars().collect();
        let found: Vec<Range<usize>> = self.matches(&name).collect();
        found.into_iter().filter_map(|at| self.field(&at))
    }

    /// Finds the extent of the field with this name; `None` where the name is a word in a sentence.
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

    /// Returns true where this place is inside the name of a product field.
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

    /// Finds the start of the tag with this name, with or without a prefix.
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

    /// Finds the end of `<name ...>value</name>`, or of as much of it as there is.
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
        // A torn element ends with the text, or where other markup begins.
        Some(tag..self.find('<', opened).unwrap_or(limit))
    }

    /// Finds the extent of `"name": "value"`, `name=value` and similar forms.
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
            // A sentence such as "Invalid signature: call us" quotes no field.
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
}
