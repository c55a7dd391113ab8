//! The error codes of WeChat that the simulator answers, with their texts.
//!
//! Source: <https://developers.weixin.qq.com/doc/oplatform/developers/errCode/errCode.html>

/// An `errcode`: why WeChat refuses a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) i64);

impl Refusal {
    pub(crate) const INVALID_CREDENTIAL: Self = Self(40001);
    pub(crate) const INVALID_OPENID: Self = Self(40003);
    pub(crate) const INVALID_MESSAGE_TYPE: Self = Self(40008);
    pub(crate) const INVALID_APPID: Self = Self(40013);
    pub(crate) const INVALID_URL: Self = Self(40066);
    pub(crate) const INVALID_APPSECRET: Self = Self(40125);
    pub(crate) const ARGS_COUNT: Self = Self(40170);
    pub(crate) const TOKEN_MISSING: Self = Self(41001);
    pub(crate) const APPSECRET_MISSING: Self = Self(41004);
    pub(crate) const COMPONENT_APPID_MISSING: Self = Self(41018);
    pub(crate) const TOKEN_EXPIRED: Self = Self(42001);
    pub(crate) const REQUIRE_GET: Self = Self(43001);
    pub(crate) const REQUIRE_POST: Self = Self(43002);
    pub(crate) const EMPTY_BODY: Self = Self(44002);
    pub(crate) const DAILY_QUOTA: Self = Self(45009);
    pub(crate) const DATA_FORMAT: Self = Self(47001);
    pub(crate) const CLEAR_QUOTA_USED_UP: Self = Self(48006);
    pub(crate) const USER_LIMITED: Self = Self(50002);
    pub(crate) const NOT_AUTHORIZED: Self = Self(61003);
    pub(crate) const CLIENT_IP: Self = Self(61004);
    pub(crate) const TICKET_EXPIRED: Self = Self(61005);
    pub(crate) const TICKET_INVALID: Self = Self(61006);
    pub(crate) const CODE_INVALID: Self = Self(61009);
    pub(crate) const CODE_EXPIRED: Self = Self(61010);
    pub(crate) const OPTION_NAME: Self = Self(61012);
    pub(crate) const OPTION_VALUE: Self = Self(61013);
    pub(crate) const COMPONENT_TOKEN_NEEDED: Self = Self(61014);
    pub(crate) const AUTHORIZER_TOKEN_NEEDED: Self = Self(61015);
    pub(crate) const REFRESH_TOKEN_INVALID: Self = Self(61023);
    pub(crate) const CGI_PATH_FORM: Self = Self(76003);
    pub(crate) const CGI_PATH_UNKNOWN: Self = Self(76021);
    pub(crate) const CGI_PATH_FORBIDDEN: Self = Self(76022);

    /// WeChat's text for the code.
    ///
    /// The caller adds the IP address of 61004 and the `rid` that ends every text.
    pub(crate) fn errmsg(self) -> &'static str {
        match self.0 {
            40001 => "invalid credential, access_token is invalid or not latest",
            40003 => "invalid openid",
            40008 => "invalid message type",
            40013 => "invalid appid",
            40066 => "invalid url",
            40125 => "invalid appsecret",
            40170 => "args count exceed count limit",
            41001 => "access_token missing",
            41004 => "appsecret missing",
            41018 => "component_appid missing",
            42001 => "access_token expired",
            43001 => "require GET method",
            43002 => "require POST method",
            44002 => "empty post data",
            45009 => "reach max api daily quota limit",
            45011 => "api minute-quota reach limit, must slower, retry next minute",
            47001 => "data format error",
            48001 => "api unauthorized",
            48006 => "forbid to clear quota because of reaching the limit",
            50002 => "user limited",
            61003 => "component is not authorized by this account",
            61004 => "access clientip is not registered",
            61005 => "component ticket is expired",
            61006 => "component ticket is invalid",
            61007 => "api is unauthorized to component",
            61009 => "code is invalid",
            61010 => "code is expired",
            61012 => "invalid option name",
            61013 => "invalid option value",
            61014 => "must use component token for component api",
            61015 => "must use biz token, not component token",
            61023 => "refresh_token is invalid",
            76003 => "invalid cgi_path",
            76021 => "cgi_path not found, please check",
            76022 => "could not use this cgi_path, no permission",
            _ => "system error",
        }
    }
}
