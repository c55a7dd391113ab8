//! An authorization link: what its query may say, and who may have made it.

use std::fmt;
use std::str::FromStr;

use component_api::id::AuthorizerAppId;
use component_core::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use merchant_pages::page::is_language;
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use url::{Host, Url, form_urlencoded};

/// A link's query, parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Which kinds of accounts WeChat offers.
    pub(crate) auth_type: String,
    /// The one account that may authorize.
    pub(crate) biz_appid: Option<AuthorizerAppId>,
    /// The permission sets to ask for, joined by `|`.
    pub(crate) category_id_list: Option<String>,
    /// The vendor's own name for the account.
    pub(crate) reference: Option<String>,
    /// Where to send the browser in the end.
    pub(crate) return_to: Option<Url>,
}

/// Origins that a link's `return_to` may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReturnOrigins(Vec<String>);

/// A text that is no list of origins; completes the sentence "it is not ..".
#[derive(Debug, PartialEq, Eq)]
pub struct NotOrigins;

/// Why a link is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkError {
    /// This parameter is wrong or comes twice.
    Malformed(&'static str),
    /// The stack takes signed links only, and this link has no valid signature.
    Unsigned,
    /// It has expired.
    Expired,
    /// `return_to` has an origin that the stack does not allow.
    ForeignReturn,
}

/// Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Authorization_Process_Technical_Description.html>
const AUTH_TYPES: [&str; 7] = ["1", "2", "3", "4", "5", "6", "8"];

/// Public accounts and mini programs.
const DEFAULT_AUTH_TYPE: &str = "3";

const MAX_REFERENCE_CHARS: usize = 128;

impl Link {
    /// Reads a query. Other parameters are ignored: mailers and statistics add their own.
    pub(crate) fn parse(query: &str, return_origins: &ReturnOrigins) -> Result<Self, LinkError> {
        let once = |name, is_good: fn(&str) -> bool| {
            let mut values = values(query, name);
            match (values.next(), values.next()) {
                (None, _) => Ok(None),
                (Some(value), None) if is_good(&value) => Ok(Some(value)),
                (Some(_), _) => Err(LinkError::Malformed(name)),
            }
        };
        let auth_type = once("auth_type", |kind| AUTH_TYPES.contains(&kind))?;
        let biz_appid = once("biz_appid", |_| true)?;
        let biz_appid = biz_appid.map(|appid| AuthorizerAppId::parse(&appid));
        let biz_appid = biz_appid
            .transpose()
            .map_err(|_not_an_appid| LinkError::Malformed("biz_appid"))?;
        let category_id_list = once("category_id_list", is_id_list)?;
        let reference = once("reference", is_reference)?;
        let return_to = once("return_to", |_| true)?;
        let return_to = return_to
            .map(|url| return_origins.allowed(&url).ok_or(LinkError::ForeignReturn))
            .transpose()?;
        Ok(Self {
            auth_type: auth_type.unwrap_or_else(|| DEFAULT_AUTH_TYPE.to_owned()),
            biz_appid,
            category_id_list,
            reference,
            return_to,
        })
    }
}

/// The decoded values of the parameter `name`, in the order of the query.
fn values<'a>(query: &'a str, name: &'static str) -> impl Iterator<Item = String> + use<'a> {
    form_urlencoded::parse(query.as_bytes())
        .filter_map(move |(key, value)| (key == name).then(|| value.into_owned()))
}

/// The reference of a link that may be refused, for the log.
pub(crate) fn reference_in(query: &str) -> Option<String> {
    let reference = values(query, "reference").next()?;
    Some(reference.chars().take(MAX_REFERENCE_CHARS).collect())
}

/// Where a link that may be refused would have led, without path and query, for the log.
pub(crate) fn return_origin_in(query: &str) -> Option<String> {
    let url = Url::parse(&values(query, "return_to").next()?).ok()?;
    Some(url.origin().ascii_serialization())
}

impl LinkError {
    /// A word for the vendor, who made the link.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Malformed(_) => "link_malformed",
            Self::Unsigned => "link_unsigned",
            Self::Expired => "link_expired",
            Self::ForeignReturn => "link_foreign_return",
        }
    }

    /// Which parameter is refused.
    pub(crate) const fn parameter(self) -> &'static str {
        match self {
            Self::Malformed(parameter) => parameter,
            Self::Unsigned => "signature",
            Self::Expired => "expires",
            Self::ForeignReturn => "return_to",
        }
    }
}

/// What makes a link a signed one.
///
/// The signature is lower-case hex of HMAC-SHA256. It covers the other parameters as the query
/// writes them, sorted and joined by `&`.
pub(crate) struct Signature<'a> {
    given: &'a str,
    /// What it may cover: the merchant may have chosen a language, beside the link's own.
    covered: [String; 3],
    expires: &'a str,
}

impl<'a> Signature<'a> {
    /// Takes `signature` and `expires` out of a query, which must have each once.
    pub(crate) fn parse(query: &'a str) -> Result<Self, LinkError> {
        let (signatures, others): (Vec<&str>, Vec<&str>) = query
            .split('&')
            .partition(|pair| pair.starts_with("signature="));
        let times: Vec<&str> = others
            .iter()
            .filter_map(|pair| pair.strip_prefix("expires="))
            .collect();
        let ([signature], [expires]) = (signatures.as_slice(), times.as_slice()) else {
            return Err(LinkError::Unsigned);
        };
        let joined = |mut pairs: Vec<&str>| {
            pairs.sort_unstable();
            pairs.join("&")
        };
        let mut no_language = others.clone();
        no_language.retain(|pair| !is_language(pair));
        let mut not_chosen = others.clone();
        if let Some(last) = others.iter().rposition(|pair| is_language(pair)) {
            not_chosen.remove(last);
        }
        Ok(Self {
            given: signature.strip_prefix("signature=").unwrap_or_default(),
            covered: [others, not_chosen, no_language].map(joined),
            expires,
        })
    }

    /// Whether it was made with `key`.
    pub(crate) fn is_by(&self, key: &SecretSlice<u8>) -> bool {
        let is_over = |covered: &String| {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose_secret()) else {
                return false;
            };
            mac.update(covered.as_bytes());
            let expected = component_core::digest::hex(&mac.finalize().into_bytes());
            expected.as_bytes().ct_eq(self.given.as_bytes()).into()
        };
        self.covered.iter().any(is_over)
    }

    /// Checks that `expires` has not passed at `now`. What it says counts only once the signature
    /// is found good.
    pub(crate) fn check_expiry(&self, now: Timestamp) -> Result<(), LinkError> {
        let secs = self.expires.parse();
        let secs = secs.map_err(|_not_a_time| LinkError::Malformed("expires"))?;
        if Timestamp::from_secs(secs) < now {
            return Err(LinkError::Expired);
        }
        Ok(())
    }
}

fn is_id_list(list: &str) -> bool {
    list.len() <= 256
        && list
            .split('|')
            .all(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()))
}

fn is_reference(reference: &str) -> bool {
    let chars = reference.chars().count();
    (1..=MAX_REFERENCE_CHARS).contains(&chars) && !reference.chars().any(char::is_control)
}

impl ReturnOrigins {
    /// The address in `text`, if a link may return to it. It must not be an open redirect.
    ///
    /// It is of an origin in the list, as a browser parses it. It hides nothing before
    /// the host or from other parsers. It sets none of the parameters that tell the vendor the
    /// result.
    fn allowed(&self, text: &str) -> Option<Url> {
        let hidden = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
        let url = Url::parse(text).ok().filter(|_| !text.contains(hidden))?;
        let ours = |name: &str| ["authorizer_appid", "reference", "result"].contains(&name);
        let good = url.username().is_empty()
            && url.password().is_none()
            && self.0.contains(&url.origin().ascii_serialization())
            && !url.query_pairs().any(|(name, _)| ours(&name));
        good.then_some(url)
    }
}

impl ReturnOrigins {
    /// A list that may also name this machine's own http origins, for trials without AWS.
    ///
    /// # Errors
    /// [`NotOrigins`], as for a list of https origins.
    pub fn with_this_machine(list: &str) -> Result<Self, NotOrigins> {
        Self::parse(list, |url| url.scheme() == "https" || is_this_machine(url))
    }

    fn parse(list: &str, is_good: fn(&Url) -> bool) -> Result<Self, NotOrigins> {
        let origin = |text: &str| {
            let url = Url::parse(text.trim()).ok()?;
            let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            let anonymous = url.username().is_empty() && url.password().is_none();
            let good = is_good(&url) && bare && anonymous;
            good.then(|| url.origin().ascii_serialization())
        };
        let origins: Option<Vec<String>> = list.split(',').map(origin).collect();
        origins.map(Self).ok_or(NotOrigins)
    }
}

/// Whether only this machine can open an http address.
pub(crate) fn is_this_machine(url: &Url) -> bool {
    url.scheme() == "http"
        && match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

impl FromStr for ReturnOrigins {
    type Err = NotOrigins;

    fn from_str(list: &str) -> Result<Self, NotOrigins> {
        Self::parse(list, |url| url.scheme() == "https")
    }
}

impl std::error::Error for NotOrigins {}

impl fmt::Display for NotOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of https origins, separated by commas")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: Result<(), LinkError>) {
        let origins = "https://shop.example".parse().unwrap();
        assert_eq!(
            Link::parse(query, &origins).map(|_| ()),
            expected,
            "{query}"
        );
    }

    #[test]
    fn a_link_says_what_it_may_and_nothing_else() {
        check("", Ok(()));
        check("utm_source=mail&auth_type=8", Ok(()));
        check(
            "biz_appid=wxfedcba9876543210&category_id_list=1%7C2%7C30",
            Ok(()),
        );
        check("reference=%E5%BA%97%E9%93%BA+42", Ok(()));
        check(&format!("reference={}", "%E5%BA%97".repeat(128)), Ok(()));
        for wrong in [
            "auth_type=7",
            "auth_type=",
            "auth_type=1&auth_type=1",
            "biz_appid=wx1",
            "category_id_list=1,2",
            "category_id_list=1||2",
            "reference=",
            "reference=a%0Ab",
            &format!("reference={}", "a".repeat(129)),
        ] {
            let name = wrong.split('=').next().unwrap();
            let error = Link::parse(wrong, &ReturnOrigins::default()).unwrap_err();
            assert_eq!(error.parameter(), name, "{wrong}");
            assert_eq!(error.code(), "link_malformed", "{wrong}");
        }
    }

    #[test]
    fn a_link_never_leads_to_a_foreign_place() {
        for good in [
            "https://shop.example/done?a=b",
            "https://SHOP.example:443",
            "https://shop.example/%E5%BA%97?next=/%23/done%23here",
        ] {
            check(&format!("return_to={good}"), Ok(()));
        }
        for foreign in [
            "http://shop.example/",
            "https://shop.example:8443/",
            "https://shop.example@evil.example/",
            "https://user@shop.example/",
            "https://evil.example/",
            "//shop.example/",
            "javascript:alert(1)",
            "",
            "https://shop.example.evil.example/",
            "https://evil.example/https://shop.example/",
            "https://evil.example/?https://shop.example",
            "https://evil.example%23@shop.example/",
            "https://:word@shop.example/",
            "https:%5C%5Cshop.example/",
            "https://evil.example%5C@shop.example/",
            "https://shop.example%5C@evil.example/",
            "https://shop%09.example/",
            "%20https://shop.example/",
            "https://shop.example./",
            "https:shop.example@evil.example/",
            "https://shop.example/?result=connected",
            "https://shop.example/?%61uthorizer_appid%3Dwx1",
            "https://shop.example/?a%3Db%26reference%3Dother",
        ] {
            check(
                &format!("return_to={foreign}"),
                Err(LinkError::ForeignReturn),
            );
        }
    }

    #[test]
    fn the_origins_of_a_stack_are_origins() {
        let origins: ReturnOrigins = "https://Shop.example/, https://b.example:8443"
            .parse()
            .unwrap();
        assert_eq!(
            origins,
            ReturnOrigins(vec![
                "https://shop.example".to_owned(),
                "https://b.example:8443".to_owned()
            ])
        );
        for wrong in [
            "http://shop.example",
            "shop.example",
            "https://shop.example/done",
            "https://shop.example,",
            "https://*.shop.example/?",
            "https://user@shop.example",
            "*",
        ] {
            assert_eq!(wrong.parse::<ReturnOrigins>(), Err(NotOrigins), "{wrong}");
        }
    }

    #[test]
    fn a_trial_may_also_return_to_this_machine() {
        let list = "http://localhost:3000,http://127.0.0.1,http://[::1]:80,https://shop.example";
        let origins = ReturnOrigins::with_this_machine(list).unwrap();
        for good in [
            "http://localhost:3000/done",
            "http://127.0.0.1/",
            "https://shop.example/",
        ] {
            assert!(origins.allowed(good).is_some(), "{good}");
        }
        assert!(origins.allowed("http://shop.example/").is_none());
        for wrong in [
            "http://shop.example",
            "http://localhost.example",
            "http://10.0.0.1",
        ] {
            let refused = ReturnOrigins::with_this_machine(wrong);
            assert_eq!(refused, Err(NotOrigins), "{wrong}");
        }
        assert_eq!(list.parse::<ReturnOrigins>(), Err(NotOrigins));
    }

    /// Made with Python's hmac over `expires=1700000600&reference=shop-42`.
    #[test]
    fn a_signed_link_is_good_until_it_expires_and_only_as_it_was_signed() {
        let key = SecretSlice::from(b"0123456789abcdef0123456789abcdef".to_vec());
        let signature = "c05ddd3b2babe9722f98c4b38a87239ed2f685bcf1c22282208f0be8ce27261d";
        let link = format!("reference=shop-42&expires=1700000600&signature={signature}");
        let at = |query: &str, secs| {
            let signature = Signature::parse(query)?;
            if !signature.is_by(&key) {
                return Err(LinkError::Unsigned);
            }
            signature.check_expiry(Timestamp::from_secs(secs))
        };
        assert_eq!(at(&link, 1_700_000_600), Ok(()));
        assert_eq!(at(&link, 1_700_000_601), Err(LinkError::Expired));
        // The merchant has chosen a language, also after the link's own (signed in the same way).
        let lang = "b0ae7d51f4a33799de0611641a7338040aa4fe07a9552556a2e061e99bf492f8";
        let own = format!("reference=shop-42&expires=1700000600&lang=en&signature={lang}");
        for chosen in [
            format!("{link}&lang=en"),
            format!("lang=zh&{link}&lang=en"),
            own.clone(),
            format!("{own}&lang=zh"),
        ] {
            assert_eq!(at(&chosen, 1_700_000_600), Ok(()), "{chosen}");
        }
        for forged in [
            own.replace("lang=en", "lang=zh"),
            link.replace("42", "43"),
            link.replace("&expires=1700000600", ""),
            format!("{link}&utm=1"),
            format!("{link}&signature={signature}"),
            link.replace("signature=", "signature=signature="),
            link.replace(signature, &signature.to_uppercase()),
            link.replace(&format!("&signature={signature}"), ""),
        ] {
            assert_eq!(
                at(&forged, 1_700_000_000),
                Err(LinkError::Unsigned),
                "{forged}"
            );
        }
    }
}
