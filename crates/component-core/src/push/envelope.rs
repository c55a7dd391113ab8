//! The XML around the cipher text.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;

use component_api::id::ComponentAppId;

/// Finds the text of `Encrypt` without judging the rest; empty if there is none.
///
/// It runs before the signature is checked, on bodies from any sender: it allocates nothing and
/// decodes nothing. [`check`] reads the same body properly afterwards.
pub(super) fn find_encrypt(body: &[u8]) -> &str {
    const OPENS: &str = "<Encrypt>";
    let found = match std::str::from_utf8(body) {
        Ok(text) => text.split_once(OPENS),
        // Malformed, but only the signature says whether it is WeChat's. Slow, so only here.
        Err(_) => body
            .utf8_chunks()
            .find_map(|chunk| chunk.valid().split_once(OPENS)),
    };
    let Some((_, rest)) = found else {
        return "";
    };
    let (rest, end) = match rest.strip_prefix("<![CDATA[") {
        Some(rest) => (rest, ']'),
        None => (rest, '<'),
    };
    rest.split_once(end).map_or("", |(encrypt, _)| encrypt)
}

/// Whether the body is a well-formed envelope of exactly this `encrypt` text, and of this component
/// if it names one.
pub(super) fn check(body: &[u8], encrypt: &str, component: &ComponentAppId) -> Option<()> {
    let fields = children(std::str::from_utf8(body).ok()?, &["AppId", "Encrypt"])?;
    let [appid, sealed] = fields.try_into().ok()?;
    let ours = appid.is_none_or(|appid| appid == component.as_str());
    (ours && !encrypt.is_empty() && sealed.as_deref() == Some(encrypt)).then_some(())
}

/// An open element.
enum Element {
    /// A child of `<xml>` whose text is wanted, by its place among the names.
    Wanted(usize),
    /// Any other: the root, or one that is skipped.
    Other,
}

/// The texts of the wanted children of `<xml>`, in the order of `names`, `None` for those that are
/// missing.
///
/// It refuses anything but one `<xml>` element, and a wanted element that comes twice. It refuses a
/// DOCTYPE, which WeChat never sends and entity bombs need. Entities may be XML's own five or
/// character references.
pub(super) fn children<'t>(text: &'t str, names: &[&str]) -> Option<Vec<Option<Cow<'t, str>>>> {
    let mut reader = Reader::from_str(text);
    let mut values: Vec<Option<Cow<'t, str>>> = vec![None; names.len()];
    let mut path: Vec<Element> = Vec::new();
    let mut roots = 0;
    loop {
        let piece: Cow<'t, str> = match reader.read_event().ok()? {
            Event::Start(start) => {
                roots += usize::from(path.is_empty());
                path.push(opened(
                    path.len(),
                    start.name().as_ref(),
                    names,
                    &mut values,
                )?);
                continue;
            }
            Event::Empty(empty) => {
                roots += usize::from(path.is_empty());
                opened(path.len(), empty.name().as_ref(), names, &mut values)?;
                continue;
            }
            Event::End(_) => {
                path.pop()?;
                continue;
            }
            Event::Text(part) => part.xml10_content(),
            Event::CData(part) => part.xml10_content(),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(character) => Cow::Owned(character.to_string()),
                None => Cow::Borrowed(resolve_xml_entity(&reference)?),
            },
            Event::Decl(_) | Event::Comment(_) => continue,
            Event::DocType(_) | Event::PI(_) => return None,
            Event::Eof => return (roots == 1 && path.is_empty()).then_some(values),
        };
        match path.as_slice() {
            [] if !piece.trim().is_empty() => return None,
            [_root, Element::Wanted(wanted)] => *values.get_mut(*wanted)?.as_mut()? += piece,
            _ => {}
        }
    }
}

/// What the element is that opens at `depth`; `None` if it is not allowed there.
fn opened(
    depth: usize,
    name: &str,
    names: &[&str],
    values: &mut [Option<Cow<'_, str>>],
) -> Option<Element> {
    if depth == 0 {
        return (name == "xml").then_some(Element::Other);
    }
    let wanted = names
        .iter()
        .position(|wanted| depth == 1 && *wanted == name);
    if let Some(slot) = wanted.and_then(|index| values.get_mut(index))
        && slot.replace(Cow::default()).is_some()
    {
        return None;
    }
    Some(wanted.map_or(Element::Other, Element::Wanted))
}
