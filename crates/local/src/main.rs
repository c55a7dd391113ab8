//! `cargo run -p local`: starts everything and says what to click.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use auth_start::ReturnOrigins;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use clap::Parser;
use component_core::http;
use component_core::time::{Clock, Timestamp};
use local::emulators::Emulators;
use local::functions::{Functions, Parts};
use local::release_check;
use local::reply::{ReplyUrl, SharedReplies};
use local::story::Story;
use local::triggers::{Mapping, Stream};
use local::{Error, door};
use merchant_pages::brand::{Accent, Brand, HttpsUrl, Line, Support};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use url::Url;
use wechat_simulator::{DEMO_APPIDS, Settings, SimClock, Simulator};

/// A WeChat third-party platform on this machine: every function, the table, the secret, and a
/// simulated WeChat.
#[derive(Parser)]
#[command(version, about)]
struct Options {
    /// Port of the functions.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port of the simulated WeChat.
    #[arg(long, default_value_t = 8081)]
    wechat_port: u16,
    /// How many times as fast as real time the clock runs.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=600))]
    speed: u32,
    /// Keep the table in this file. The simulated WeChat remembers nothing: its accounts must
    /// authorize again.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where `return_to` of a link may lead: https origins, or http origins of this machine,
    /// separated by commas.
    #[arg(long, default_value = "https://example.com", value_parser = ReturnOrigins::with_this_machine)]
    return_origin: ReturnOrigins,
    /// Whose pages merchants see.
    #[arg(long)]
    vendor_name: Option<Line>,
    /// The https address of the vendor's logo.
    #[arg(long)]
    vendor_logo_url: Option<HttpsUrl>,
    /// The colour of the pages' buttons: `#rrggbb`.
    #[arg(long)]
    vendor_accent_color: Option<Accent>,
    /// Where a merchant goes on after the result: an https address.
    #[arg(long)]
    vendor_url: Option<HttpsUrl>,
    /// Where a merchant finds help: a telephone number, an e-mail address, an https address, or
    /// words.
    #[arg(long)]
    vendor_support: Option<Support>,
    /// The https address of the vendor's privacy policy.
    #[arg(long)]
    vendor_privacy_url: Option<HttpsUrl>,
    /// The site's registration in mainland China (ICP备案号).
    #[arg(long)]
    icp_number: Option<Line>,
    /// Take signed links only: the key (base64, 32 bytes or more), as `link_signing_key` in the
    /// secret.
    #[arg(long)]
    link_signing_key: Option<String>,
    /// Post each message to this address, which may answer a passive reply: the same JSON that the
    /// reply function of a stack gets and answers.
    #[arg(long)]
    reply_url: Option<Url>,
    /// Play the whole story without a person, on free ports, and exit.
    #[arg(long, conflicts_with_all = ["data", "link_signing_key", "reply_url"])]
    once: bool,
    /// Have WeChat play its release check (全网发布检测) on free ports, print its report, and exit.
    #[arg(long, conflicts_with_all = ["data", "once", "speed"])]
    release_check: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let clock = SimClock::system(options.speed);
    // The database logs each refused condition, and a refused condition decides every lease.
    let level = if options.once || options.release_check {
        "off"
    } else {
        "info,dynoxide=off"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .compact()
        .event_format(Marked(
            tracing_subscriber::fmt::format()
                .compact()
                .with_target(false)
                .with_ansi(std::io::stderr().is_terminal())
                .with_timer(OnTheClock(clock.clone())),
        ))
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match run(&options, clock).await {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "local: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options, clock: SimClock) -> Result<ExitCode, Error> {
    let (port, wechat_port) = if options.once || options.release_check {
        (0, 0)
    } else {
        (options.port, options.wechat_port)
    };
    let app = bind(port, "--port").await?;
    let wechat = bind(wechat_port, "--wechat-port").await?;
    let app_url = format!("http://{}", app.local_addr()?);
    let wechat_url = format!("http://{}", wechat.local_addr()?);

    let settings = Settings {
        authorization_host: Some(app.local_addr()?.to_string()),
        ..Settings::example()
    };
    let simulator = Simulator::new(settings.clone(), clock.clone());
    simulator.set_events_url(&format!("{app_url}/wechat/events"));
    simulator.set_messages_url(&format!("{app_url}/wechat/$APPID$/messages"));
    tokio::spawn(simulator.clone().serve(wechat));

    let http = http::client()?;
    let connector = http::connector(http.clone());
    let emulators = emulators(&connector, &settings, &clock, options).await?;
    let parts = parts(&emulators, &http, &wechat_url, &clock, options);
    let functions = Arc::new(Functions::start(&parts).await?);
    let stream = |mapping| Stream::open(emulators.database.clone(), mapping);
    let (stream, outbox) = (stream(Mapping::Notices)?, stream(Mapping::Outbox)?);
    let router = door::router(functions.clone()).merge(emulators.bus.pages());
    let served = tokio::spawn(axum::serve(app, router).into_future());

    let story = Story {
        http,
        app_url,
        simulator,
        clock,
        functions,
        stream,
        outbox,
    };
    if options.once {
        return Ok(story.play().await);
    }
    if options.release_check {
        return release_check::play(story).await;
    }
    panel(&story.app_url, &wechat_url, &settings, options)?;
    story.goes_on_by_itself();
    tokio::select! {
        served = served => served??,
        stop = tokio::signal::ctrl_c() => stop?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The table and the secret that `options` ask for. The clock goes on where a kept table has ended.
async fn emulators(
    connector: &SharedHttpConnector,
    settings: &Settings,
    clock: &SimClock,
    options: &Options,
) -> Result<Emulators, Error> {
    let data = options.data.as_deref();
    let emulators = Emulators::start(connector, data, settings, clock.clone()).await?;
    if let Some(key) = &options.link_signing_key {
        emulators.sign_links(settings, key);
    }
    clock.set(emulators.forget_wechat(clock.now()).await?);
    Ok(emulators)
}

fn parts(
    emulators: &Emulators,
    http: &reqwest::Client,
    wechat_url: &str,
    clock: &SimClock,
    options: &Options,
) -> Parts {
    let told = clock.clone();
    Parts {
        dynamodb: emulators.dynamodb.clone(),
        secretsmanager: emulators.secretsmanager.clone(),
        eventbridge: emulators.eventbridge.clone(),
        replies: options
            .reply_url
            .as_ref()
            .map(|url| reply_function(http, url)),
        wechat: http::connector(http.clone()),
        wechat_url: wechat_url.to_owned(),
        clock: Clock::told(move || Timestamp::from_secs(told.now()), options.speed),
        return_origins: options.return_origin.clone(),
        brand: Brand {
            name: options.vendor_name.clone(),
            logo: options.vendor_logo_url.clone(),
            accent: options.vendor_accent_color.unwrap_or_default(),
            url: options.vendor_url.clone(),
            support: options.vendor_support.clone(),
            privacy: options.vendor_privacy_url.clone(),
            icp_number: options.icp_number.clone(),
        },
    }
}

fn reply_function(http: &reqwest::Client, url: &Url) -> SharedReplies {
    SharedReplies(Arc::new(ReplyUrl {
        http: http.clone(),
        url: url.clone(),
    }))
}

async fn bind(port: u16, option: &str) -> Result<TcpListener, Error> {
    TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|error| format!("port {port}: {error}; name another with {option}").into())
}

/// The log tells the time of the clock that the functions see, in hours, minutes and seconds (UTC).
struct OnTheClock(SimClock);

impl FormatTime for OnTheClock {
    fn format_time(&self, out: &mut Writer<'_>) -> std::fmt::Result {
        let secs = self.0.now();
        let (hours, minutes) = (secs / 3600 % 24, secs / 60 % 60);
        write!(out, "{hours:02}:{minutes:02}:{:02}Z", secs % 60)
    }
}

/// Each line says whose it is: the functions', or the simulated WeChat's.
struct Marked<F>(F);

impl<S, N, F> FormatEvent<S, N> for Marked<F>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> std::fmt::Result {
        let target = event.metadata().target();
        let mark = if target.starts_with("wechat_simulator") {
            "微信│ "
        } else {
            "函数│ "
        };
        out.write_str(mark)?;
        self.0.format_event(context, out, event)
    }
}

fn panel(app: &str, wechat: &str, settings: &Settings, options: &Options) -> Result<(), Error> {
    let host = app.trim_start_matches("http://");
    let data = options.data.as_ref().map_or_else(
        || "仅内存，退出即清空 in memory only".to_owned(),
        |file| file.display().to_string(),
    );
    let (speed, component) = (options.speed, &settings.component_appid);
    let demo = DEMO_APPIDS.first().copied().unwrap_or_default();
    writeln!(
        std::io::stdout(),
        "
  微信第三方平台 · WeChat third-party platform

  服务地址 functions  {app}
  微信 WeChat         {wechat}   (模拟 simulated, component {component})
  数据 table          {data}
  时钟 clock          {speed} 倍速 x

  微信开放平台“开发资料”对应项 · as pasted into WeChat's console
    授权事件接收 URL       {app}/wechat/events
    消息与事件接收 URL     {app}/wechat/$APPID$/messages
    授权发起页域名         {host}

  接下来 · what next
    1. 打开授权页 open        {app}/auth/start
    2. 获取令牌 get a token   curl -s {app}/_local/token -d '{{\"authorizer_appid\":\"{demo}\"}}'
    3. 快进两小时 two hours   curl -s {wechat}/_sim/clock -d '{{\"advance_secs\":7200}}'
    4. 发消息 write to it     {wechat}/_sim/chat   (事件 events: {app}/_local/events)

  按 Ctrl-C 退出 ends it.
"
    )?;
    Ok(())
}
