//! JSON as WeChat sends it, read as far as it can be: one odd field costs no other.

use std::char::REPLACEMENT_CHARACTER;
use std::str::Chars;

/// A value of an answer. It may be a secret, so it cannot be printed.
pub(super) enum Json {
    /// Its fields as they came: a name may stand there twice.
    Object(Vec<(String, Json)>),
    /// Its entries.
    Array(Vec<Json>),
    /// A text.
    Text(String),
    /// A number, `true`, `null`, or anything else without quotes; empty for what is nested too
    /// deeply.
    Word(String),
}

/// An answer that is an object.
pub(super) struct Answer {
    /// The object.
    pub(super) json: Json,
    /// Whether the object was read to its end without skipping anything. Otherwise a field that is
    /// missing may have been there.
    pub(super) is_whole: bool,
}

/// Reads text from the front. What makes no sense at its place is skipped.
#[derive(Clone)]
struct Reader<'a> {
    rest: Chars<'a>,
    has_skipped: bool,
}

/// What is nested more deeply is skipped: the deepest field that is used has five names.
const MAX_DEPTH: usize = 32;

impl Answer {
    /// Reads an object; what follows it does not matter. `None` if the body does not begin with
    /// one.
    ///
    /// Bytes that are not UTF-8 and halves of surrogate pairs become U+FFFD.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}');
        let mut reader = Reader {
            rest: text.chars(),
            has_skipped: false,
        };
        let json = reader.value(0)?;
        matches!(json, Json::Object(_)).then_some(Self {
            json,
            is_whole: !reader.has_skipped,
        })
    }
}

impl Json {
    /// The field `name` as `read` takes it. Of several, the last that can be read counts.
    pub(super) fn field<'a, T>(
        &'a self,
        name: &str,
        read: impl FnMut(&'a Self) -> Option<T>,
    ) -> Option<T> {
        let Self::Object(fields) = self else {
            return None;
        };
        let named = fields.iter().rev().filter(|(field, _)| field == name);
        named.map(|(_, value)| value).find_map(read)
    }

    /// The object `name`.
    pub(super) fn object(&self, name: &str) -> Option<&Self> {
        self.field(name, |value| {
            matches!(value, Self::Object(_)).then_some(value)
        })
    }

    /// The entries of the list `name`.
    pub(super) fn list(&self, name: &str) -> Option<&[Self]> {
        self.field(name, |value| match value {
            Self::Array(entries) => Some(entries.as_slice()),
            _ => None,
        })
    }

    /// The text `name`, if it is not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.field(name, Self::as_text)
    }

    /// A text that is not empty.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// Whether it says that there is nothing: `null`, or an empty text.
    pub(super) fn is_blank(&self) -> bool {
        match self {
            Self::Text(text) => text.trim().is_empty(),
            Self::Word(word) => word == "null",
            Self::Object(_) | Self::Array(_) => false,
        }
    }

    /// The number `name`, which may come as a text; parts of one are dropped.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.field(name, |value| match value {
            Self::Text(text) | Self::Word(text) => integer(text.trim()),
            Self::Object(_) | Self::Array(_) => None,
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the number is within the range of exact ones, and its fraction is to be dropped"
)]
fn integer(text: &str) -> Option<i64> {
    /// Up to here every whole number has a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number.abs() <= EXACT).then_some(number as i64)
    })
}

impl Reader<'_> {
    /// The next value; `None`, and nothing is read, if there is none. Half a value counts as none.
    fn value(&mut self, depth: usize) -> Option<Json> {
        match self.peek()? {
            '{' | '[' if depth == MAX_DEPTH => Some(self.nested_too_deeply()),
            '{' => Some(Json::Object(self.object(depth + 1))),
            '[' => Some(Json::Array(self.array(depth + 1))),
            '"' => self.text().map(Json::Text),
            _ => self.word().map(Json::Word),
        }
    }

    fn object(&mut self, depth: usize) -> Vec<(String, Json)> {
        let mut fields = Vec::new();
        self.rest.next();
        loop {
            match self.peek() {
                Some('}') => {
                    self.rest.next();
                    break;
                }
                Some(',') => {
                    self.rest.next();
                }
                Some('"') => {
                    let name = self.text();
                    let has_value = self.peek() == Some(':');
                    if has_value {
                        self.rest.next();
                    }
                    let value = has_value.then(|| self.value(depth)).flatten();
                    match name.zip(value) {
                        Some(field) => fields.push(field),
                        None => self.has_skipped = true,
                    }
                }
                Some(_) => self.skip(depth),
                None => break self.has_skipped = true,
            }
        }
        fields
    }

    fn array(&mut self, depth: usize) -> Vec<Json> {
        let mut entries = Vec::new();
        self.rest.next();
        loop {
            match self.peek() {
                Some(']') => {
                    self.rest.next();
                    break;
                }
                Some(',') => {
                    self.rest.next();
                }
                Some(_) => match self.value(depth) {
                    Some(entry) => entries.push(entry),
                    None => self.skip(depth),
                },
                None => break self.has_skipped = true,
            }
        }
        entries
    }

    /// Skips what makes no sense at its place: a value, or a character that begins none.
    fn skip(&mut self, depth: usize) {
        self.has_skipped = true;
        if self.value(depth).is_none() {
            self.rest.next();
        }
    }

    /// Skips an object or an array without looking at what it holds.
    fn nested_too_deeply(&mut self) -> Json {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                Some('"') => drop(self.text()),
                Some(next) => {
                    self.rest.next();
                    match next {
                        '{' | '[' => depth += 1,
                        '}' | ']' => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
                None => break self.has_skipped = true,
            }
        }
        Json::Word(String::new())
    }

    /// A text in quotes. A character that should be escaped stands for itself, and so does one that
    /// need not be.
    fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        self.rest.next();
        loop {
            match self.rest.next()? {
                '"' => return Some(text),
                '\\' => text.push(match self.rest.next()? {
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'u' => self.escaped_character(),
                    itself => itself,
                }),
                character => text.push(character),
            }
        }
    }

    /// What stands after `\u`: four digits, or eight with a `\u` between for a surrogate pair.
    fn escaped_character(&mut self) -> char {
        let Some(first) = self.code_unit() else {
            return REPLACEMENT_CHARACTER;
        };
        let mut after = self.clone();
        if (0xd800..0xdc00).contains(&first)
            && after.rest.next() == Some('\\')
            && after.rest.next() == Some('u')
            && let Some(second) = after.code_unit()
            && let Some(Ok(pair)) = char::decode_utf16([first, second]).next()
        {
            *self = after;
            return pair;
        }
        char::from_u32(first.into()).unwrap_or(REPLACEMENT_CHARACTER)
    }

    /// Four hexadecimal digits; nothing is read if they are not there.
    fn code_unit(&mut self) -> Option<u16> {
        let (digits, _) = self.rest.as_str().split_at_checked(4)?;
        let unit = u16::from_str_radix(digits, 16).ok()?;
        self.rest.nth(3);
        Some(unit)
    }

    /// What stands without quotes up to the next mark of JSON's or space; `None` if that is
    /// nothing. At the end of the body it may be half of something, and counts as nothing.
    fn word(&mut self) -> Option<String> {
        let text = self.rest.as_str();
        let end = text.find(|c: char| c.is_whitespace() || "{}[]:,\"".contains(c));
        let (word, rest) = text.split_at(end.unwrap_or(text.len()));
        self.rest = rest.chars();
        (!word.is_empty() && end.is_some()).then(|| word.to_owned())
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.as_str().trim_start().chars();
        self.rest.clone().next()
    }
}
