//! WeChat's endpoints: their paths, their methods, and the names that count and spoil them.

/// An endpoint that the simulator answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// The path of every endpoint, some of which have two.
const PATHS: [(&str, Endpoint); 11] = [
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
    ("/cgi-bin/clear_quota", Endpoint::ClearQuota),
    ("/cgi-bin/component/clear_quota", Endpoint::ClearQuota),
    ("/cgi-bin/component/clear_quota/v2", Endpoint::ClearQuotaV2),
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
            | Self::CustomSend => true,
        }
    }
}

/// The name of the endpoint at this path: the last segment, without a version.
pub(crate) fn name(path: &str) -> &str {
    let path = path.strip_suffix("/v2").unwrap_or(path);
    path.rsplit('/').next().unwrap_or_default()
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
            ("/", ""),
        ] {
            assert_eq!(name(path), expected);
        }
        assert_eq!(names().len(), PATHS.len() - 2);
    }
}
