//! The command line.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use auth_start::ReturnOrigins;
use clap::Parser;
use merchant_pages::brand::{Accent, Brand, HttpsUrl, Line, Support};
use url::Url;

/// A WeChat third-party platform on this machine, with every function and the table: against a
/// simulated WeChat, or with --secret against the real one.
#[derive(Parser)]
#[command(version)]
pub struct Options {
    /// Port of the functions.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Port of the simulated WeChat.
    #[arg(long, default_value_t = 8081)]
    pub wechat_port: u16,
    /// Address to listen on: one of this machine's, for phones in the same network or a proxy on
    /// another machine, or 0.0.0.0 for all of them.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub listen: IpAddr,
    /// Run against the real WeChat, as the component of this secret: a file with the JSON object
    /// that a stack's secret holds. It is read again when it changes.
    #[arg(
        long,
        value_name = "FILE",
        requires = "data",
        conflicts_with_all = ["wechat_port", "speed", "link_signing_key", "once", "release_check"]
    )]
    pub secret: Option<PathBuf>,
    /// How many times as fast as real time the clock runs.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub speed: u32,
    /// Keep the table in this file.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Where `return_to` of a link may lead: https origins, or http origins of this machine,
    /// separated by commas [default with the simulated WeChat: <https://example.com>].
    #[arg(long, value_parser = return_origins)]
    pub return_origin: Option<ReturnOrigins>,
    /// Whose pages merchants see.
    #[arg(long)]
    pub vendor_name: Option<Line>,
    /// The https address of the vendor's logo.
    #[arg(long)]
    pub vendor_logo_url: Option<HttpsUrl>,
    /// The colour of the pages' buttons: `#rrggbb`.
    #[arg(long)]
    pub vendor_accent_color: Option<Accent>,
    /// Where a merchant goes on after the result: an https address.
    #[arg(long)]
    pub vendor_url: Option<HttpsUrl>,
    /// Where a merchant finds help: a telephone number, an e-mail address, an https address, or
    /// words.
    #[arg(long)]
    pub vendor_support: Option<Support>,
    /// The https address of the vendor's privacy policy.
    #[arg(long)]
    pub vendor_privacy_url: Option<HttpsUrl>,
    /// The site's registration in mainland China (ICP备案号).
    #[arg(long)]
    pub icp_number: Option<Line>,
    /// Take signed links only: the key (base64, 32 bytes or more), as `link_signing_key` in the
    /// secret.
    #[arg(long)]
    pub link_signing_key: Option<String>,
    /// Post each message to this address, which may answer a passive reply: the same JSON that the
    /// reply function of a stack gets and answers.
    #[arg(long)]
    pub reply_url: Option<Url>,
    /// Play the whole story without a person, on free ports, and exit.
    #[arg(long, conflicts_with_all = ["data", "listen", "link_signing_key", "reply_url"])]
    pub once: bool,
    /// Have WeChat play its release check (全网发布检测) on free ports, print its report, and exit.
    #[arg(long, conflicts_with_all = ["data", "listen", "once", "speed"])]
    pub release_check: bool,
}

fn return_origins(list: &str) -> Result<ReturnOrigins, &'static str> {
    let origins = ReturnOrigins::with_this_machine(list);
    origins.map_err(|_| "a list of https origins, or http origins of this machine such as http://localhost:3000, separated by commas")
}

impl Options {
    /// The ports of the functions and of WeChat: free ones for what the program plays.
    pub const fn ports(&self) -> (u16, u16) {
        if self.plays() {
            (0, 0)
        } else {
            (self.port, self.wechat_port)
        }
    }

    /// Whether the program plays something and ends by itself.
    pub const fn plays(&self) -> bool {
        self.once || self.release_check
    }

    /// Where `return_to` of a link may lead.
    pub fn return_origins(&self) -> ReturnOrigins {
        let tried_out = || "https://example.com".parse().unwrap_or_default();
        let given = self.return_origin.clone();
        given.unwrap_or_else(|| {
            if self.secret.is_some() {
                ReturnOrigins::default()
            } else {
                tried_out()
            }
        })
    }

    /// Whose pages merchants see.
    pub fn brand(&self) -> Brand {
        Brand {
            name: self.vendor_name.clone(),
            logo: self.vendor_logo_url.clone(),
            accent: self.vendor_accent_color.unwrap_or_default(),
            url: self.vendor_url.clone(),
            support: self.vendor_support.clone(),
            privacy: self.vendor_privacy_url.clone(),
            icp_number: self.icp_number.clone(),
        }
    }
}
