//! The address of WeChat's authorization page.

use component_core::config::Misconfigured;
use component_core::token::{PreAuthCode, Secret};
use url::Url;

use crate::device::Device;
use crate::link::Link;

/// Where WeChat's two authorization pages are.
#[derive(Clone)]
pub struct Pages {
    /// `https://mp.weixin.qq.com`.
    pub mp: Url,
    /// `https://open.weixin.qq.com`.
    pub open: Url,
}

impl Pages {
    /// The pages at `mp` and `open`.
    ///
    /// # Errors
    /// [`Misconfigured`] if one of them is not a URL.
    pub fn new(mp: &str, open: &str) -> Result<Self, Misconfigured> {
        let parse = |base: &str| {
            Url::parse(base).ok().filter(Url::has_host).ok_or_else(|| {
                Misconfigured("the base URL of WeChat's pages is not a URL".to_owned())
            })
        };
        Ok(Self {
            mp: parse(mp)?,
            open: parse(open)?,
        })
    }

    /// The page for `device` that leads back to the address `back`.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Authorization_Process_Technical_Description.html>
    pub(crate) fn wechat_page(
        &self,
        device: Device,
        link: &Link,
        component: &str,
        code: &Secret<PreAuthCode>,
        back: &str,
    ) -> Url {
        let mobile = device != Device::Pc;
        let mut page = if mobile { &self.open } else { &self.mp }.clone();
        if mobile {
            page.set_path("/wxaopen/safe/bindcomponent");
            page.query_pairs_mut()
                .append_pair("action", "bindcomponent")
                .append_pair("no_scan", "1");
            page.set_fragment(Some("wechat_redirect"));
        } else {
            page.set_path("/cgi-bin/componentloginpage");
        }
        page.query_pairs_mut()
            .append_pair("component_appid", component)
            .append_pair("pre_auth_code", code.expose())
            .append_pair("redirect_uri", back)
            .append_pair("auth_type", &link.auth_type);
        if let Some(appid) = &link.biz_appid {
            page.query_pairs_mut()
                .append_pair("biz_appid", appid.as_str());
        }
        if let Some(list) = &link.category_id_list {
            page.query_pairs_mut().append_pair("category_id_list", list);
        }
        page
    }

    /// Where the answer to a click may lead.
    pub(crate) fn origins(&self) -> [String; 2] {
        [&self.mp, &self.open].map(|url| url.origin().ascii_serialization())
    }
}
