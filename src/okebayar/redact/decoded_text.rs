//! A text after some layers of encoding were removed. It knows the place in the source of each
//! character, so that a secret found in it can be removed from the source.

use std::ops::Range;

use quick_xml::escape::resolve_predefined_entity;

/// The longest name of an entity, in characters.
const ENTITY_CHARS_MAX: usize = 10;

/// A text after some layers of encoding were removed, each character with its place in the source.
pub(super) struct DecodedText {
    pub(super) chars: Vec<char>,
    /// The byte position in the source of each character, and of the end.
    starts: Vec<usize>,
}

impl DecodedText {
    pub(super) fn new(text: &str) -> Self {
        let mut starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        starts.push(text.len());
        Self {
            chars: text.chars().collect(),
            starts,
        }
    }

    /// Returns the byte range in the source of some characters.
    pub(super) fn source(&self, part: &Range<usize>) -> Range<usize> {
        self.starts[part.start]..self.starts[part.end]
    }

    pub(super) fn at(&self, place: usize) -> Option<char> {
        self.chars.get(place).copied()
    }

    pub(super) fn before(&self, place: usize) -> Option<char> {
        self.at(place.checked_sub(1)?)
    }

    /// Finds the occurrences of a text, in any case; an empty text has none.
    pub(super) fn matches<'a>(
        &'a self,
        text: &'a [char],
    ) -> impl Iterator<Item = Range<usize>> + 'a {
        let length = text.len();
        let windows = self.chars.windows(length.max(1)).enumerate();
        let is_it = move |window: &[char]| {
            let mut pairs = window.iter().zip(text);
            length > 0 && pairs.all(|(one, other)| one.eq_ignore_ascii_case(other))
        };
        windows.filter_map(move |(at, window)| is_it(window).then_some(at..at + length))
    }

    /// Returns true when no letter or digit stands directly before or after these characters.
    pub(super) fn is_token(&self, part: &Range<usize>) -> bool {
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !is_word(self.before(part.start)) && !is_word(self.at(part.end))
    }

    /// Removes one more layer of encoding; `None` where there is none.
    pub(super) fn decoded(&self) -> Option<Self> {
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
