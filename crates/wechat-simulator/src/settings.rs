//! The Open Platform's console for the one component.

use std::net::IpAddr;

/// The component's credentials, and the IP addresses that may call.
#[derive(Clone)]
pub struct Settings {
    /// `wx` and 16 hexadecimal digits.
    pub component_appid: String,
    /// 平台名称, which the consent page shows.
    pub platform_name: String,
    /// 第三方平台 `AppSecret`.
    pub component_appsecret: String,
    /// 消息校验 Token: signs pushes.
    pub token: String,
    /// 消息加解密 Key, 43 characters. Under a key of another length no push can be opened.
    pub encoding_aes_key: String,
    /// 授权发起页域名, with its port if that is not the scheme's default: `127.0.0.1:8080`.
    ///
    /// None: the hosts of the entry page and the redirect address need only be equal.
    pub authorization_host: Option<String>,
    /// 白名单 IP: the addresses that may call. None: any.
    pub allowed_ips: Option<Vec<IpAddr>>,
    /// How many calls to `api_component_token` a day are allowed; the next gets 45009.
    pub component_token_daily_quota: u64,
}

impl Settings {
    /// The fixed component of examples and tests.
    ///
    /// Its key is not canonical base64: most real keys are not.
    pub fn example() -> Self {
        Self {
            component_appid: "wx0123456789abcdef".to_owned(),
            platform_name: "示例平台".to_owned(),
            component_appsecret: "0123456789abcdef0123456789abcdef".to_owned(),
            token: "exampleToken1".to_owned(),
            encoding_aes_key: "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3B".to_owned(),
            authorization_host: None,
            allowed_ips: None,
            component_token_daily_quota: 2000,
        }
    }
}
