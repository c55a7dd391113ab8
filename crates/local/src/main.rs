//! `cargo run -p local`: starts everything and says what to click.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use auth_start::Pages;
use axum::Router;
use axum::response::Html;
use axum::routing::get;
use clap::Parser;
use component_core::credentials::document::Credentials;
use component_core::time::{Clock, Timestamp};
use component_core::{config, http};
use local::emulators::{Emulators, secret};
use local::functions::{Functions, Parts};
use local::options::Options;
use local::panel::{self, Panel};
use local::reply::{ReplyUrl, SharedReplies};
use local::secrets::SecretsManager;
use local::story::Story;
use local::triggers::{self, Mapping, Stream};
use local::{Error, address, door, kept, log, release_check};
use tokio::net::TcpListener;
use wechat_simulator::{Settings, SimClock, Simulator};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let clock = SimClock::system(options.speed);
    // The database logs each refused condition, and a refused condition decides every lease.
    let level = if options.plays() {
        "off"
    } else {
        "info,dynoxide=off"
    };
    log::start(clock.clone(), level);
    let run = async {
        let _held = options.data.as_deref().map(kept::lock).transpose()?;
        match &options.secret {
            None => simulate(&options, clock).await,
            Some(file) => {
                let secrets = SecretsManager::of_file(file, clock.clone())?;
                serve(&options, secrets, clock).await
            }
        }
    };
    match run.await {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "local: {error}");
            ExitCode::FAILURE
        }
    }
}

/// With a simulated WeChat.
async fn simulate(options: &Options, clock: SimClock) -> Result<ExitCode, Error> {
    let (port, wechat_port) = options.ports();
    let app = address::bind(options.listen, port, "--port").await?;
    let wechat = address::bind(options.listen, wechat_port, "--wechat-port").await?;
    let (app_here, app_url) = addresses(&app)?;
    let (wechat_here, wechat_url) = addresses(&wechat)?;

    let settings = settings(options, &app_url);
    let simulator = Simulator::new(settings.clone(), clock.clone());
    simulator.set_events_url(&format!("{app_here}/wechat/events"));
    simulator.set_messages_url(&format!("{app_here}/wechat/$APPID$/messages"));
    tokio::spawn(simulator.clone().serve(wechat));

    let http = http::client()?;
    let secrets = SecretsManager::new(secret(&settings), clock.clone());
    let emulators = emulators(options, &http, secrets).await?;
    if let Some(key) = &options.link_signing_key {
        emulators.sign_links(&settings, key);
    }
    resume(&emulators, &simulator).await?;

    let pages = Pages::new(&wechat_url, &wechat_url)?;
    let parts = parts(options, &emulators, &http, &wechat_here, pages, &clock);
    let functions = Arc::new(Functions::start(&parts).await?);
    let [stream, outbox] = streams(&emulators)?;
    let public = door::with_a_hint(door::public(functions.clone()), app_here.clone());
    let home = panel::home(&app_here, Some(&wechat_url));
    let router = door::over_plain_http(public.merge(private(&functions, &emulators, home)));
    let served = tokio::spawn(served(app, router));

    let story = Story {
        http,
        app_url: app_here.clone(),
        simulator,
        clock,
        functions,
        stream,
        outbox,
    };
    match (options.once, options.release_check) {
        (true, _) => return Ok(story.play().await),
        (_, true) => return release_check::play(story).await,
        (false, false) => {}
    }
    let panel = Panel {
        app: &app_url,
        here: &app_here,
        component: &settings.component_appid,
        data: options.data.as_deref(),
    };
    panel.of_simulation(&wechat_url, options.speed)?;
    story.goes_on_by_itself();
    until_stopped(served).await
}

/// Goes on where a kept table has ended.
async fn resume(emulators: &Emulators, simulator: &Simulator) -> Result<(), Error> {
    kept::claim(&emulators.dynamodb, None).await?;
    let resumed = kept::resume(&emulators.dynamodb, simulator.clock().now()).await?;
    simulator.clock().set(resumed.latest);
    for authorization in resumed.authorizations {
        simulator.remember(authorization);
    }
    Ok(())
}

/// The console of the simulated WeChat, for functions that a browser reaches at `app_url`.
fn settings(options: &Options, app_url: &str) -> Settings {
    let example = Settings::example();
    let name = options.vendor_name.as_ref().map(ToString::to_string);
    let host = app_url.trim_start_matches("http://");
    Settings {
        // As the start page does.
        platform_name: name.unwrap_or_else(|| host.to_owned()),
        // A machine has many addresses, and a browser may use any of them.
        authorization_host: (!options.listen.is_unspecified()).then(|| host.to_owned()),
        ..example
    }
}

/// Against the real WeChat, or what the variables name that a stack's functions read too.
async fn serve(
    options: &Options,
    secrets: SecretsManager,
    clock: SimClock,
) -> Result<ExitCode, Error> {
    let base = |variable, own: &str| config::optional(variable).unwrap_or_else(|| own.to_owned());
    let api = base("WECHAT_API_BASE_URL", "https://api.weixin.qq.com");
    let mp = base("WECHAT_MP_BASE_URL", "https://mp.weixin.qq.com");
    let open = base("WECHAT_OPEN_BASE_URL", "https://open.weixin.qq.com");
    let is_real = |url: &String| url.ends_with("weixin.qq.com");
    if is_real(&api) != is_real(&mp) || is_real(&api) != is_real(&open) {
        tracing::warn!(
            "WECHAT_API_BASE_URL, WECHAT_MP_BASE_URL and WECHAT_OPEN_BASE_URL name the real WeChat in part"
        );
    }
    let pages = Pages::new(&mp, &open)?;
    let component = Credentials::parse(&secrets.current())?;
    let component = component.push.component_appid.as_str().to_owned();

    let app = address::bind(options.listen, options.port, "--port").await?;
    let (app_here, app_url) = addresses(&app)?;
    let http = http::client()?;
    let emulators = emulators(options, &http, secrets).await?;
    // WeChat's API has several hosts.
    let owner = if is_real(&api) {
        component.clone()
    } else {
        format!("{component} at {api}")
    };
    kept::claim(&emulators.dynamodb, Some(&owner)).await?;
    let parts = parts(options, &emulators, &http, &api, pages, &clock);
    let functions = Arc::new(Functions::start(&parts).await?);
    let streams = streams(&emulators)?;
    let private = private(&functions, &emulators, panel::home(&app_here, None));
    let private = door::for_this_machine(private);
    let served = tokio::spawn(served(app, door::public(functions.clone()).merge(private)));

    let panel = Panel {
        app: &app_url,
        here: &app_here,
        component: &component,
        data: options.data.as_deref(),
    };
    panel.of_wechat(&api, is_real(&api))?;
    triggers::run(functions, streams, clock);
    until_stopped(served).await
}

/// What AWS keeps.
async fn emulators(
    options: &Options,
    http: &reqwest::Client,
    secrets: SecretsManager,
) -> Result<Emulators, Error> {
    let connector = http::connector(http.clone());
    Emulators::start(&connector, options.data.as_deref(), secrets).await
}

fn parts(
    options: &Options,
    emulators: &Emulators,
    http: &reqwest::Client,
    wechat_url: &str,
    pages: Pages,
    clock: &SimClock,
) -> Parts {
    let told = clock.clone();
    let replies = options.reply_url.as_ref().map(|url| {
        SharedReplies(Arc::new(ReplyUrl {
            http: http.clone(),
            url: url.clone(),
        }))
    });
    Parts {
        dynamodb: emulators.dynamodb.clone(),
        secretsmanager: emulators.secretsmanager.clone(),
        eventbridge: emulators.eventbridge.clone(),
        replies,
        wechat: http::connector(http.clone()),
        wechat_url: wechat_url.to_owned(),
        pages,
        clock: Clock::told(move || Timestamp::from_secs(told.now()), options.speed),
        return_origins: options.return_origins(),
        brand: options.brand(),
    }
}

/// The stream of notices, and that of what must not wait for them.
fn streams(emulators: &Emulators) -> Result<[Stream; 2], Error> {
    let open = |mapping| Stream::open(emulators.database.clone(), mapping);
    Ok([open(Mapping::Notices)?, open(Mapping::Outbox)?])
}

/// As a process on this machine, and as a browser in the network, reaches what listens.
fn addresses(listener: &TcpListener) -> Result<(String, String), Error> {
    let listening = listener.local_addr()?;
    Ok((
        address::from_here(listening),
        address::from_the_network(listening),
    ))
}

/// What no merchant and no push needs.
fn private(functions: &Arc<Functions>, emulators: &Emulators, home: String) -> Router {
    door::private(functions.clone())
        .merge(emulators.bus.pages())
        .route("/", get(async || Html(home)))
}

async fn served(listener: TcpListener, router: Router) -> std::io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await
}

async fn until_stopped(
    served: tokio::task::JoinHandle<std::io::Result<()>>,
) -> Result<ExitCode, Error> {
    tokio::select! {
        served = served => served??,
        stop = tokio::signal::ctrl_c() => stop?,
    }
    Ok(ExitCode::SUCCESS)
}
