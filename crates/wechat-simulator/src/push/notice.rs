//! The plain XML of WeChat's pushes, and as much XML reading as a reply needs.

/// A push to the 授权事件接收 URL before it is sealed.
pub(crate) enum Notice {
    ComponentVerifyTicket { ticket: String },
    Authorized(GrantNotice),
    UpdateAuthorized(GrantNotice),
    Unauthorized { authorizer_appid: String },
}

/// What `authorized` and `updateauthorized` carry.
pub(crate) struct GrantNotice {
    pub(crate) authorizer_appid: String,
    pub(crate) authorization_code: String,
    /// Unix seconds.
    pub(crate) expires_at: u64,
    /// None if the merchant did not use a link of the component.
    pub(crate) pre_auth_code: Option<String>,
}

impl Notice {
    /// The XML that is sealed.
    ///
    /// Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/authorize_event.html>
    pub(crate) fn to_xml(&self, component_appid: &str, create_time: u64) -> String {
        let mut xml = format!(
            "<xml>\n{}<CreateTime>{create_time}</CreateTime>\n{}",
            cdata("AppId", component_appid),
            cdata("InfoType", self.info_type()),
        );
        match self {
            Self::ComponentVerifyTicket { ticket } => {
                xml += &cdata("ComponentVerifyTicket", ticket);
            }
            Self::Authorized(grant) | Self::UpdateAuthorized(grant) => xml += &grant.elements(),
            Self::Unauthorized { authorizer_appid } => {
                xml += &cdata("AuthorizerAppid", authorizer_appid);
            }
        }
        xml + "</xml>"
    }

    fn info_type(&self) -> &'static str {
        match self {
            Self::ComponentVerifyTicket { .. } => "component_verify_ticket",
            Self::Authorized(_) => "authorized",
            Self::UpdateAuthorized(_) => "updateauthorized",
            Self::Unauthorized { .. } => "unauthorized",
        }
    }
}

impl GrantNotice {
    fn elements(&self) -> String {
        let mut xml = cdata("AuthorizerAppid", &self.authorizer_appid)
            + &cdata("AuthorizationCode", &self.authorization_code)
            + &cdata("AuthorizationCodeExpiredTime", &self.expires_at.to_string());
        if let Some(pre_auth_code) = &self.pre_auth_code {
            xml += &cdata("PreAuthCode", pre_auth_code);
        }
        xml
    }
}

/// A follower's text message, for the 消息与事件接收 URL.
///
/// Source: <https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Receiving_standard_messages.html>
pub(crate) fn text_message(
    user_name: &str,
    openid: &str,
    create_time: u64,
    text: &str,
    message_id: u64,
) -> String {
    format!(
        "<xml>\n{}{}<CreateTime>{create_time}</CreateTime>\n{}{}<MsgId>{message_id}</MsgId>\n</xml>",
        cdata("ToUserName", user_name),
        cdata("FromUserName", openid),
        cdata("MsgType", "text"),
        cdata("Content", text),
    )
}

/// An event of an account, for the same URL.
pub(crate) fn event_message(
    user_name: &str,
    openid: &str,
    create_time: u64,
    event: &str,
) -> String {
    format!(
        "<xml>\n{}{}<CreateTime>{create_time}</CreateTime>\n{}{}</xml>",
        cdata("ToUserName", user_name),
        cdata("FromUserName", openid),
        cdata("MsgType", "event"),
        cdata("Event", event),
    )
}

/// The text of the first element of this name, without its CDATA.
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = text.trim();
    let inner = text
        .strip_prefix("<![CDATA[")
        .and_then(|t| t.strip_suffix("]]>"));
    Some(inner.unwrap_or(text))
}

/// One element on a line of its own, its text in CDATA.
pub(crate) fn cdata(name: &str, text: &str) -> String {
    let text = text.replace("]]>", "]]]]><![CDATA[>");
    format!("<{name}><![CDATA[{text}]]></{name}>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorized_notice_has_the_documented_fields() {
        let notice = Notice::Authorized(GrantNotice {
            authorizer_appid: "wxfedcba9876543210".into(),
            authorization_code: "queryauthcode@@@EXAMPLE".into(),
            expires_at: 1_700_003_700,
            pre_auth_code: Some("preauthcode@@@EXAMPLE".into()),
        });
        let xml = notice.to_xml("wx0123456789abcdef", 1_700_000_100);
        let fields = [
            ("AppId", "wx0123456789abcdef"),
            ("CreateTime", "1700000100"),
            ("InfoType", "authorized"),
            ("AuthorizerAppid", "wxfedcba9876543210"),
            ("AuthorizationCode", "queryauthcode@@@EXAMPLE"),
            ("AuthorizationCodeExpiredTime", "1700003700"),
            ("PreAuthCode", "preauthcode@@@EXAMPLE"),
        ];
        for (name, text) in fields {
            assert_eq!(element(&xml, name), Some(text), "{name}");
        }
        assert!(xml.starts_with("<xml>\n") && xml.ends_with("</xml>"));
    }

    #[test]
    fn a_text_cannot_break_out_of_its_cdata() {
        let xml = cdata("Name", "a]]></Name><b>");
        assert_eq!(xml.matches("]]>").count(), 2);
        assert!(xml.contains("<![CDATA[></Name>"));
    }
}
