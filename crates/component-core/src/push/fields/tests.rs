//! What is found in texts of every shape, and what is not taken for a field.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// The text of the child `Kind`.
#[track_caller]
fn check(plain: impl AsRef<[u8]>, kind: Option<&str>) {
    let plain = plain.as_ref();
    let shown = String::from_utf8_lossy(plain);
    let [found] = find(plain, ["Kind"]).expect(&shown);
    assert_eq!(found.text().as_deref(), kind, "{shown}");
}

#[test]
fn a_text_is_found_in_every_writing() {
    for writing in [
        "unauthorized",
        " unauthorized\n",
        "<![CDATA[unauthorized]]>",
        "\n<![CDATA[ unauthorized ]]>\t",
        "un<![CDATA[auth]]>orized",
        "<![CDATA[un]]><![CDATA[authorized]]>",
        "<!-- no <b> -->unauthorized",
        "un&#97;uthoriz&#x65;d",
    ] {
        check(
            format!("<xml><Kind>{writing}</Kind></xml>"),
            Some("unauthorized"),
        );
    }
    check("<xml><Kind>a &amp; b</Kind></xml>", Some("a & b"));
    check(
        "<xml><Kind><![CDATA[a &amp; b]]></Kind></xml>",
        Some("a &amp; b"),
    );
    check("<xml><Kind/></xml>", Some(""));
    check("<xml><Kind></Kind></xml>", Some(""));
    check("<xml><Kind a=\"1>2\" b='</Kind'>x</Kind></xml>", None);
    check("<xml><Kind a=\"1>2\">x</Kind></xml>", Some("x"));
    check(
        "\u{feff}<?xml version=\"1.0\"?>\n<xml ><Kind >x</Kind ></xml>",
        Some("x"),
    );
}

#[test]
fn an_element_that_nobody_reads_may_hold_anything() {
    for other in [
        "A & B",
        "A &; B &nothing; &#xD83D;&#xDE00; &#0;",
        "A < B",
        "A <3 B <",
        "A <B",
        "a > b ]]> c",
        "a </ b",
        "<b>",
        "</b>",
        "<b/><c d='",
        "<? not closed",
        "<!ENTITY a>",
        "<![CDATA[a <![CDATA[b]]> c]]>",
        "<![CDATA[</Remark><Kind>y</Kind><!DOCTYPE x>]]>",
        "<!-- </Remark> <Kind>y</Kind> -->",
        "<Kind>y</Kind>",
        "<Remark><Kind>y</Kind></Remark>",
        "</xml><xml>",
        "don't",
        "\0\u{1}\u{8}",
    ] {
        let remark = format!("<Remark>{other}</Remark>");
        check(format!("<xml>{remark}<Kind>x</Kind></xml>"), Some("x"));
        check(format!("<xml><Kind>x</Kind>{remark}</xml>"), Some("x"));
    }
    for bytes in [
        &b"\xff\xfe"[..],
        b"\xc3",
        b"\xc4\xe3\xba\xc3",
        b"\xed\xa0\xbd",
    ] {
        let parts = [b"<xml><Remark>", bytes, b"</Remark><Kind>x</Kind></xml>"];
        check(parts.concat(), Some("x"));
    }
}

#[test]
fn what_stands_around_the_element_does_not_matter() {
    for plain in [
        "<xml><Kind>x</Kind>",
        "<xml><Kind>x</Kind><xml>",
        "<xml><Kind>x</Kind></xml>tail",
        "<xml><Kind>x</Kind></xml><xml><Kind>y</Kind></xml>",
        "head<xml><Kind>x</Kind></xml>",
        "<xml>text</Stray><Kind>x</Kind><Cut",
        "<xml><Kind>x</Kind><Remark><![CDATA[cut",
    ] {
        check(plain, Some("x"));
    }
}

#[test]
fn what_is_no_child_of_the_root_is_no_field() {
    for plain in [
        "",
        "success",
        "{\"Kind\":\"x\"}",
        "[\"<Kind>\"]",
        "<",
        "<xml",
        "<xml/>",
        "<xml/><Kind>x</Kind>",
        "<xml></xml><Kind>x</Kind>",
        "<Kind>x</Kind>",
        "<root><Kind>x</Kind></root>",
        "<root><xml><Kind>x</Kind></xml></root>",
        "<XML><Kind>x</Kind></XML>",
        "<xml><kind>x</kind></xml>",
        "<xml><Kinds>x</Kinds></xml>",
        "<xml><List><Kind>x</Kind></List></xml>",
        "<xml><List><List></List><Kind>x</Kind></List></xml>",
        "<xml><!-- <Kind>x</Kind> --></xml>",
        "<xml><![CDATA[<Kind>x</Kind>]]></xml>",
        "<!-- <xml><Kind>x</Kind></xml> -->",
    ] {
        check(plain, None);
    }
}

#[test]
fn a_field_that_is_cut_or_repeated_or_no_text_is_not_read() {
    for plain in [
        "<xml><Kind>x",
        "<xml><Kind>x</Kind",
        "<xml><Kind>x</Other></xml>",
        "<xml><Kind><![CDATA[x</Kind></xml>",
        "<xml><Kind>x</Kind><Kind>x</Kind></xml>",
        "<xml><Kind>x</Kind><Kind/></xml>",
        "<xml><Kind>x<Kind>y</Kind></Kind></xml>",
        "<xml><Kind><b/>x</Kind></xml>",
        "<xml><Kind>a & b</Kind></xml>",
        "<xml><Kind>&b;</Kind></xml>",
        "<xml><Kind>&#xD83D;</Kind></xml>",
    ] {
        check(plain, None);
    }
    check(b"<xml><Kind>x\xff</Kind></xml>", None);
}

#[test]
fn a_doctype_is_refused_wherever_it_stands_as_one() {
    for plain in [
        "<!DOCTYPE xml><xml><Kind>x</Kind></xml>",
        "<?xml version='1.0'?>\n<!doctype xml [<!ENTITY a \"b\">]><xml></xml>",
        "<xml><Kind>x</Kind><!DOCTYPE xml></xml>",
        "<xml><Remark><!DOCTYPE</Remark></xml>",
        "<xml></xml><!DOCTYPE x>",
        "text <!DOCTYPE x>",
    ] {
        assert_eq!(find(plain.as_bytes(), ["Kind"]), Err(Doctype), "{plain}");
    }
    check(
        "<xml><Kind><![CDATA[<!DOCTYPE]]></Kind></xml>",
        Some("<!DOCTYPE"),
    );
    check("<xml><!-- <!DOCTYPE x> --><Kind>x</Kind></xml>", Some("x"));
}

const PLAIN: &str = "<?xml version=\"1.0\"?><xml><AppId><![CDATA[wx0123456789abcdef]]></AppId><!-- c --><CreateTime>17</CreateTime><Kind>a<![CDATA[b]]>&#99;</Kind><List><Kind>n</Kind></List><Empty/></xml>";

/// A reader of well-formed XML is the judge: what it takes, this one reads alike or not at all.
#[test]
fn it_never_reads_another_text_than_a_strict_reader_does() {
    const NAMES: [&str; 3] = ["CreateTime", "Kind", "Empty"];
    let mut random = StdRng::seed_from_u64(3);
    let pieces = [
        "<",
        ">",
        "/",
        "&",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<Kind>",
        "</Kind>",
        "</xml>",
        "<xml>",
        "\"",
        "=",
    ];
    let mut alike = 0;
    for _round in 0..20_000 {
        let mut plain = PLAIN.to_owned();
        for _change in 0..random.random_range(1..=3) {
            let at = random.random_range(0..plain.len());
            match random.random_range(0..3) {
                0 => drop(plain.remove(at)),
                _ => plain.insert_str(at, pieces[random.random_range(0..pieces.len())]),
            }
        }
        if plain.contains("<<") {
            // The other reader takes this for a tag.
            continue;
        }
        let found = find(plain.as_bytes(), NAMES);
        let Some(strict) = super::super::envelope::children(&plain, &NAMES) else {
            continue;
        };
        for (field, strict) in found.unwrap().into_iter().zip(strict) {
            if let Some(text) = field.text() {
                let strict = strict.as_deref().map(str::trim);
                assert_eq!(Some(&*text), strict, "{plain}");
                alike += 1;
            }
        }
    }
    assert!(alike > 1000, "{alike}");
}

#[test]
fn a_hostile_text_takes_no_longer_than_its_length() {
    for piece in [
        "<",
        "<?",
        "<!",
        "<![CDATA[",
        "<!--",
        "<a",
        "<a'",
        "</",
        "<xml>",
        "<Kind>",
        "&",
    ] {
        let plain = piece.repeat(64 * 1024 / piece.len());
        let [kind] = find(plain.as_bytes(), ["Kind"]).unwrap();
        assert_eq!(kind.text(), None, "{piece}");
    }
}
