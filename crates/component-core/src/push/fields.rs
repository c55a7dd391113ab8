//! The fields of an opened push, found whatever else stands in it.

use std::borrow::Cow;
use std::ops::Range;

use quick_xml::escape::unescape;

/// A child of `<xml>`, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'p> {
    /// There is none.
    Missing,
    /// There is one, with this between its tags.
    Once(&'p [u8]),
    /// There are more, and nothing tells which of them WeChat means.
    Repeated,
}

/// The text has a DOCTYPE, which WeChat never sends and entity bombs need.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Doctype;

/// A piece of markup, and where it starts and ends.
struct Piece<'p> {
    markup: Markup<'p>,
    start: usize,
    end: usize,
}

enum Markup<'p> {
    Open {
        name: &'p [u8],
        is_empty: bool,
    },
    Close {
        name: &'p [u8],
    },
    Doctype,
    /// CDATA, a comment, a declaration: what stands in it is no markup.
    Opaque,
}

/// A child of the root that has ended.
struct Child<'p> {
    name: &'p [u8],
    inside: Range<usize>,
}

/// Where the reader is.
enum Place<'p> {
    BeforeRoot,
    InRoot,
    /// In a child of the root, which ends with the tag that closes `name`; `nested` elements of the
    /// same name end before.
    InChild {
        name: &'p [u8],
        from: usize,
        nested: usize,
    },
    BehindRoot,
}

const CDATA: &[u8] = b"<![CDATA[";

const COMMENT: &[u8] = b"<!--";

const DOCTYPE: &[u8] = b"<!DOCTYPE";

/// Finds the children of `<xml>` with these names.
///
/// Every text has an answer, in one pass and without an allocation. Only the tags of `<xml>` and of
/// its children are looked at: an element that is not read may hold anything, and what is in it is
/// not taken for a field.
///
/// # Errors
/// [`Doctype`].
pub(super) fn find<'p, const N: usize>(
    plain: &'p [u8],
    names: [&str; N],
) -> Result<[Field<'p>; N], Doctype> {
    let mut fields = [Field::Missing; N];
    let mut place = Place::BeforeRoot;
    let mut at = 0;
    while let Some(piece) = next_piece(plain, at) {
        at = piece.end;
        let Some(Child { name, inside }) = place.pass(&piece)? else {
            continue;
        };
        let mut slots = names.iter().zip(&mut fields);
        if let Some((_, field)) = slots.find(|(wanted, _)| wanted.as_bytes() == name) {
            *field = match field {
                Field::Missing => Field::Once(plain.get(inside).unwrap_or_default()),
                Field::Once(_) | Field::Repeated => Field::Repeated,
            };
        }
    }
    Ok(fields)
}

impl<'p> Place<'p> {
    /// Goes on past `piece`, and answers the child that ends there.
    fn pass(&mut self, piece: &Piece<'p>) -> Result<Option<Child<'p>>, Doctype> {
        match (&mut *self, &piece.markup) {
            (_, Markup::Doctype) => return Err(Doctype),
            (Self::BeforeRoot, Markup::Open { name, is_empty }) => {
                *self = if *name == b"xml" && !is_empty {
                    Self::InRoot
                } else {
                    Self::BehindRoot
                };
            }
            (Self::InRoot, Markup::Open { name, is_empty }) => {
                if *is_empty {
                    let inside = piece.end..piece.end;
                    return Ok(Some(Child { name, inside }));
                }
                *self = Self::InChild {
                    name,
                    from: piece.end,
                    nested: 0,
                };
            }
            (Self::InRoot, Markup::Close { name: b"xml" }) => *self = Self::BehindRoot,
            (
                Self::InChild { name, nested, .. },
                Markup::Open {
                    name: inner,
                    is_empty,
                },
            ) if inner == name && !is_empty => {
                *nested += 1;
            }
            (Self::InChild { name, from, nested }, Markup::Close { name: closed })
                if closed == name =>
            {
                if let Some(left) = nested.checked_sub(1) {
                    *nested = left;
                } else {
                    let (name, inside) = (*name, *from..piece.start);
                    *self = Self::InRoot;
                    return Ok(Some(Child { name, inside }));
                }
            }
            _ => {}
        }
        Ok(None)
    }
}

impl<'p> Field<'p> {
    /// Its text without white space around it; `None` if it is missing, repeated, or more than one
    /// text.
    pub(super) fn text(self) -> Option<Cow<'p, str>> {
        let Self::Once(inner) = self else {
            return None;
        };
        let inner = std::str::from_utf8(inner).ok()?.trim();
        let cdata = inner.strip_prefix("<![CDATA[");
        match cdata.and_then(|rest| rest.split_once("]]>")) {
            Some((text, "")) => Some(Cow::Borrowed(text.trim())),
            None if !inner.contains(['<', '&']) => Some(Cow::Borrowed(inner)),
            _ => Some(Cow::Owned(joined(inner)?.trim().to_owned())),
        }
    }
}

/// Puts text, CDATA and character references together; `None` if there is an element among them, or
/// a reference to anything but a character.
fn joined(mut rest: &str) -> Option<String> {
    let mut text = String::new();
    while let Some((before, markup)) = rest.split_once("<!") {
        text += &unescaped(before)?;
        rest = if let Some(cdata) = markup.strip_prefix("[CDATA[") {
            let (inner, behind) = cdata.split_once("]]>")?;
            text += inner;
            behind
        } else {
            markup.strip_prefix("--")?.split_once("-->")?.1
        };
    }
    text += &unescaped(rest)?;
    Some(text)
}

fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    (!text.contains('<')).then(|| unescape(text).ok())?
}

/// The next piece of markup from `at` on. A `<` that begins none is text.
fn next_piece(plain: &[u8], mut at: usize) -> Option<Piece<'_>> {
    loop {
        let rest = plain.get(at..)?;
        let start = at + rest.iter().position(|byte| *byte == b'<')?;
        if let Some((markup, length)) = read_markup(plain.get(start..)?) {
            return Some(Piece {
                markup,
                start,
                end: start + length,
            });
        }
        at = start + 1;
    }
}

/// The markup at the start of `from`, and its length.
fn read_markup(from: &[u8]) -> Option<(Markup<'_>, usize)> {
    match from.get(1)? {
        b'!' if from.starts_with(CDATA) => {
            Some((Markup::Opaque, length_to(from, CDATA.len(), b"]]>")))
        }
        b'!' if from.starts_with(COMMENT) => {
            Some((Markup::Opaque, length_to(from, COMMENT.len(), b"-->")))
        }
        b'!' => {
            let doctype = from.get(..DOCTYPE.len())?;
            let is_one = doctype.eq_ignore_ascii_case(DOCTYPE);
            is_one.then_some((Markup::Doctype, DOCTYPE.len()))
        }
        b'?' => Some((Markup::Opaque, tag_length(from)?)),
        b'/' => {
            let length = tag_length(from)?;
            let name = name(from.get(2..length - 1)?)?;
            Some((Markup::Close { name }, length))
        }
        _ => {
            let length = tag_length(from)?;
            let inside = from.get(1..length - 1)?;
            let (inside, is_empty) = match inside.strip_suffix(b"/") {
                Some(inside) => (inside, true),
                None => (inside, false),
            };
            let name = name(inside)?;
            Some((Markup::Open { name, is_empty }, length))
        }
    }
}

/// How far it is behind the first `end` that begins at `inside` or later; to the end of the text if
/// there is none. Each `end` ends with `>`.
fn length_to(from: &[u8], inside: usize, end: &[u8]) -> usize {
    let mut length = inside;
    while let Some(rest) = from.get(length..)
        && let Some(at) = rest.iter().position(|byte| *byte == b'>')
    {
        length += at + 1;
        if from
            .get(inside..length)
            .is_some_and(|inside| inside.ends_with(end))
        {
            return length;
        }
    }
    from.len()
}

/// The length of a tag up to its `>`, past those in quotes. A second `<` says that the first was
/// text.
fn tag_length(from: &[u8]) -> Option<usize> {
    let mut length = 1;
    loop {
        let rest = from.get(length..)?;
        let at = rest
            .iter()
            .position(|byte| matches!(byte, b'<' | b'>' | b'"' | b'\''))?;
        length += at + 1;
        match rest.get(at)? {
            b'<' => return None,
            b'>' => return Some(length),
            quote => {
                let quoted = from.get(length..)?;
                let at = quoted
                    .iter()
                    .position(|byte| byte == quote || *byte == b'<')?;
                length += at;
                if quoted.get(at)? == quote {
                    length += 1;
                }
            }
        }
    }
}

/// The name at the start of a tag's inside.
fn name(inside: &[u8]) -> Option<&[u8]> {
    let first = inside.first()?;
    let begins = first.is_ascii_alphabetic() || matches!(first, b'_' | b':' | 0x80..);
    let mut parts = inside.splitn(2, u8::is_ascii_whitespace);
    parts.next().filter(|_| begins)
}

#[cfg(test)]
mod tests;
