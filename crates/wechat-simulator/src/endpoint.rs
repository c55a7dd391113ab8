//! WeChat's endpoints: their paths, their methods, and the names that count and spoil them.

/// An endpoint that the simulator answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Endpoint {
    StartPushTicket,
    ComponentToken,
    CreatePreauthcode,
    QueryAuth,
    AuthorizerToken,
    GetAuthorizerInfo,
    GetAuthorizerList,
    ClearQuota,
    ClearQuotaV2,
    CustomSend,
    OldGetOption,
    OldSetOption,
    GetOption,
    SetOption,
    QuotaGet,
    CallbackIp,
}

/// Which access token a call carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Component,
    Account,
    Either,
}

/// The path of every endpoint; `ClearQuota` has two.
const PATHS: [(&str, Endpoint); 17] = [
    (
        "/cgi-bin/component/api_start_push_ticket",
        Endpoint::StartPushTicket,
    ),
    (
        "/cgi-bin/component/api_component_token",
        Endpoint::ComponentToken,
    ),
    (
        "/cgi-bin/component/api_create_preauthcode",
        Endpoint::CreatePreauthcode,
    ),
    ("/cgi-bin/component/api_query_auth", Endpoint::QueryAuth),
    (
        "/cgi-bin/component/api_authorizer_token",
        Endpoint::AuthorizerToken,
    ),
    (
        "/cgi-bin/component/api_get_authorizer_info",
        Endpoint::GetAuthorizerInfo,
    ),
    (
        "/cgi-bin/component/api_get_authorizer_list",
        Endpoint::GetAuthorizerList,
    ),
    (
        "/cgi-bin/component/api_get_authorizer_option",
        Endpoint::OldGetOption,
    ),
    (
        "/cgi-bin/component/api_set_authorizer_option",
        Endpoint::OldSetOption,
    ),
    (
        "/cgi-bin/component/get_authorizer_option",
        Endpoint::GetOption,
    ),
    (
        "/cgi-bin/component/set_authorizer_option",
        Endpoint::SetOption,
    ),
    ("/cgi-bin/clear_quota", Endpoint::ClearQuota),
    ("/cgi-bin/component/clear_quota", Endpoint::ClearQuota),
    ("/cgi-bin/component/clear_quota/v2", Endpoint::ClearQuotaV2),
    ("/cgi-bin/openapi/quota/get", Endpoint::QuotaGet),
    ("/cgi-bin/getcallbackip", Endpoint::CallbackIp),
    ("/cgi-bin/message/custom/send", Endpoint::CustomSend),
];

impl Endpoint {
    /// The endpoint at this path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        PATHS
            .iter()
            .find(|(known, _)| *known == path)
            .map(|(_, endpoint)| *endpoint)
    }

    /// The first endpoint of this name.
    pub(crate) fn named(wanted: &str) -> Option<Self> {
        PATHS
            .iter()
            .find(|(path, _)| name(path) == wanted)
            .map(|(_, endpoint)| *endpoint)
    }

    /// Whether a call names an account: in its body, by a code, or by an authorizer access token.
    pub(crate) fn names_an_account(self) -> bool {
        match self {
            Self::StartPushTicket
            | Self::ComponentToken
            | Self::CreatePreauthcode
            | Self::GetAuthorizerList => false,
            Self::QueryAuth
            | Self::AuthorizerToken
            | Self::GetAuthorizerInfo
            | Self::ClearQuota
            | Self::ClearQuotaV2
            | Self::CustomSend
            | Self::OldGetOption
            | Self::OldSetOption
            | Self::GetOption
            | Self::SetOption
            | Self::QuotaGet
            | Self::CallbackIp => true,
        }
    }

    /// Whether the endpoint is called with GET and without a body. All others are called with POST.
    pub(crate) fn is_read(self) -> bool {
        self == Self::CallbackIp
    }

    /// Which access token the endpoint belongs to; those without a token are the component's.
    pub(crate) fn token_kind(self) -> TokenKind {
        match self {
            Self::StartPushTicket
            | Self::ComponentToken
            | Self::CreatePreauthcode
            | Self::QueryAuth
            | Self::AuthorizerToken
            | Self::GetAuthorizerInfo
            | Self::GetAuthorizerList
            | Self::ClearQuotaV2
            | Self::OldGetOption
            | Self::OldSetOption => TokenKind::Component,
            Self::CustomSend => TokenKind::Account,
            Self::ClearQuota
            | Self::GetOption
            | Self::SetOption
            | Self::QuotaGet
            | Self::CallbackIp => TokenKind::Either,
        }
    }
}

/// The name of the endpoint at this path: the last segment, without a version.
///
/// Under `/cgi-bin/openapi/` one segment says too little: the name is then `quota/get`.
pub(crate) fn name(path: &str) -> &str {
    if let Some(name) = path.strip_prefix("/cgi-bin/openapi/") {
        return name;
    }
    let path = path.strip_suffix("/v2").unwrap_or(path);
    path.rsplit('/').next().unwrap_or_default()
}

/// The paths of all endpoints, in the order of the table.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    PATHS.iter().map(|(path, _)| *path)
}

/// The names of all endpoints, each once, in the order of the table.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for (path, _) in &PATHS {
        if !names.contains(&name(path)) {
            names.push(name(path));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_no_part_of_the_name() {
        for (path, expected) in [
            ("/cgi-bin/component/clear_quota/v2", "clear_quota"),
            ("/cgi-bin/component/api_query_auth", "api_query_auth"),
            ("/cgi-bin/message/custom/send", "send"),
            ("/cgi-bin/openapi/quota/get", "quota/get"),
            ("/", ""),
        ] {
            assert_eq!(name(path), expected);
        }
        assert_eq!(names().len(), PATHS.len() - 2);
    }
}
