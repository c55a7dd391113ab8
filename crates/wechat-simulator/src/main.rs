//! Serves a simulated WeChat on the loopback address.

use std::io::{IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr};

use clap::Parser;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;
use wechat_simulator::{Settings, SimClock, Simulator};

/// A stateful, strict WeChat Open Platform for one component, to test an SDK against.
#[derive(Parser)]
#[command(version, about)]
struct Options {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8081)]
    port: u16,
    /// Address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// Where tickets and notices are pushed (授权事件接收 URL). Without it nothing is pushed.
    #[arg(long)]
    events_url: Option<String>,
    /// Where messages are pushed, with a literal $APPID$ (消息与事件接收 URL).
    #[arg(long)]
    messages_url: Option<String>,
    /// The component's appid.
    #[arg(long, default_value_t = Settings::example().component_appid)]
    component_appid: String,
    /// 平台名称: what the consent page calls the component.
    #[arg(long, default_value_t = Settings::example().platform_name)]
    platform_name: String,
    /// The component's secret.
    #[arg(long, default_value_t = Settings::example().component_appsecret)]
    component_appsecret: String,
    /// Signs pushes.
    #[arg(long, default_value_t = Settings::example().token)]
    token: String,
    /// Encrypts pushes: 43 characters.
    #[arg(long, default_value_t = Settings::example().encoding_aes_key, value_parser = encoding_aes_key)]
    encoding_aes_key: String,
    /// 授权发起页域名, with its port unless it is the scheme's own.
    #[arg(long)]
    authorization_host: Option<String>,
    /// An IP address that may call; may be repeated. Without it, any may.
    #[arg(long = "allowed-ip")]
    allowed_ips: Vec<IpAddr>,
    /// How many times as fast as real time the clock runs.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    speed: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse();
    let (address, port) = (options.address, options.port);
    let listener = TcpListener::bind((address, port)).await;
    let listener = listener.map_err(|error| format!("port {port} of {address}: {error}"))?;
    let address = listener.local_addr()?;
    let simulator = Simulator::new(settings(&options), SimClock::system(options.speed));
    if let Some(url) = &options.messages_url {
        simulator.set_messages_url(url);
    }
    writeln!(
        std::io::stdout(),
        "wechat-simulator listens on http://{address}"
    )?;
    if let Some(url) = &options.events_url {
        simulator.set_events_url(url);
        let pushing = simulator.clone();
        tokio::spawn(async move { pushing.run_ticket_pushes().await });
    }
    simulator.serve(listener).await?;
    Ok(())
}

fn encoding_aes_key(text: &str) -> Result<String, String> {
    if text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(text.to_owned())
    } else {
        Err("43 letters and digits are needed".to_owned())
    }
}

fn settings(options: &Options) -> Settings {
    Settings {
        component_appid: options.component_appid.clone(),
        platform_name: options.platform_name.clone(),
        component_appsecret: options.component_appsecret.clone(),
        token: options.token.clone(),
        encoding_aes_key: options.encoding_aes_key.clone(),
        authorization_host: options.authorization_host.clone(),
        allowed_ips: (!options.allowed_ips.is_empty()).then(|| options.allowed_ips.clone()),
        ..Settings::example()
    }
}
