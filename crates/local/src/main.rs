//! `cargo run -p local`: starts everything and says what to click.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use component_core::http;
use component_core::time::{Clock, Timestamp};
use local::emulators::Emulators;
use local::functions::{Functions, Parts};
use local::triggers::Stream;
use local::{Error, door, story, triggers};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;
use wechat_simulator::{Settings, SimClock, Simulator};

/// A WeChat third-party platform on this machine: every function, the table, the secret, and a simulated WeChat.
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
    /// Keep the table in this file. The simulated WeChat remembers nothing.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Play the whole story without a person, on free ports, and exit.
    #[arg(long)]
    once: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let level = if options.once { "off" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .compact()
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match run(&options).await {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error}");
            let _ = writeln!(std::io::stderr(), "local: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<ExitCode, Error> {
    let (port, wechat_port) = if options.once {
        (0, 0)
    } else {
        (options.port, options.wechat_port)
    };
    let app = bind(port, "--port").await?;
    let wechat = bind(wechat_port, "--wechat-port").await?;
    let app_url = format!("http://{}", app.local_addr()?);
    let wechat_url = format!("http://{}", wechat.local_addr()?);

    let clock = SimClock::system(options.speed);
    let settings = Settings {
        authorization_host: Some(app.local_addr()?.to_string()),
        ..Settings::example()
    };
    let simulator = Simulator::new(settings.clone(), clock.clone());
    simulator.set_events_url(&format!("{app_url}/wechat/events"));
    tokio::spawn(simulator.clone().serve(wechat));

    let http = http::client()?;
    let emulators = Emulators::start(&http, options.data.as_deref(), &settings).await?;
    let told = clock.clone();
    let parts = Parts {
        dynamodb: emulators.dynamodb.clone(),
        secretsmanager: emulators.secretsmanager.clone(),
        http: http.clone(),
        wechat_url: wechat_url.clone(),
        clock: Clock::told(move || Timestamp::from_secs(told.now()), options.speed),
        return_origins: Vec::new(),
    };
    let functions = Arc::new(Functions::start(&parts).await?);
    let stream = Stream::open(emulators.database.clone())?;
    let door = door::router(functions.clone());
    let served = tokio::spawn(async move { axum::serve(app, door).await });

    if options.once {
        let story = story::Story {
            http,
            app_url,
            simulator,
            clock,
            functions,
            stream,
        };
        return Ok(story.play().await);
    }
    panel(&app_url, &wechat_url, &settings, options)?;
    tokio::spawn(triggers::run_stream(functions.clone(), stream));
    tokio::spawn(triggers::run_schedules(functions, clock));
    tokio::spawn(async move { simulator.run_ticket_pushes().await });
    tokio::select! {
        served = served => served??,
        stop = tokio::signal::ctrl_c() => stop?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn bind(port: u16, option: &str) -> Result<TcpListener, Error> {
    TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|error| format!("port {port}: {error}; name another with {option}").into())
}

fn panel(app: &str, wechat: &str, settings: &Settings, options: &Options) -> Result<(), Error> {
    let host = app.trim_start_matches("http://");
    let data = options
        .data
        .as_ref()
        .map_or_else(|| "in memory".to_owned(), |file| file.display().to_string());
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "
  WeChat third-party platform, on this machine        clock: {speed} x real time, table: {data}

  Functions   {app}
  WeChat      {wechat}   (simulated; component {component})

  As pasted into WeChat's console (开放平台 > 第三方平台 > 开发资料):
    授权事件接收 URL     {app}/wechat/events
    消息与事件接收 URL   {app}/wechat/$APPID$/messages   (not served yet)
    授权发起页域名       {host}

  1. Open   {app}/auth/start   and authorize one of the accounts.
  2. Ask    curl -s {app}/_local/token -d '{{\"authorizer_appid\":\"{demo}\"}}'
  3. Let two hours pass: curl -s {wechat}/_sim/clock -d '{{\"advance_secs\":7200}}'
     and ask again. Ctrl-C ends it.
",
        speed = options.speed,
        component = settings.component_appid,
        demo = wechat_simulator::DEMO_APPIDS
            .first()
            .copied()
            .unwrap_or_default(),
    )?;
    Ok(())
}
