//! One long life of many authorizers: days of faults, and every outage of WeChat and AWS.
//!
//! Four days of 30 authorizers by default; `SOAK=full` lives ninety days of two thousand, with
//! `--release`. `SEED=n` is another life; `DAYS` and `AUTHORIZERS` set another size. With `TRACE=1`
//! the life is printed.

use std::time::{Duration, Instant};

use local::triggers::RECONCILE_EVERY;
use wechat_simulator::AccountKind;

use crate::reliability::lives::variable;
use crate::reliability::simulation::boundary::Place;
use crate::reliability::simulation::triggers::{DIED, REFRESH_EVERY, Wish};
use crate::reliability::simulation::{Life, Simulation};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The length and size of a life.
#[derive(Clone, Copy)]
struct Size {
    days: u32,
    authorizers: usize,
    /// Callers in each minute.
    asked: usize,
}

const SHORT: Size = Size {
    days: 4,
    authorizers: 30,
    asked: 1,
};

const FULL: Size = Size {
    days: 90,
    authorizers: 2_000,
    asked: 3,
};

/// The outages: what fails, from when, and for how long.
const TROUBLES: [(Trouble, Duration, Duration); 3] = [
    (
        Trouble::OfWechat,
        Duration::from_hours(30),
        Duration::from_hours(2),
    ),
    (
        Trouble::OfDynamodb,
        Duration::from_hours(40),
        Duration::from_hours(6),
    ),
    (
        Trouble::Silence,
        Duration::from_hours(60),
        Duration::from_hours(13),
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    OfWechat,
    OfDynamodb,
    Silence,
}

impl Trouble {
    /// How long after the outage everything works again.
    const fn recovery(self) -> Duration {
        match self {
            // The next run of the refresher, and its duration.
            Self::OfWechat | Self::OfDynamodb => Duration::from_mins(7),
            // A ticket is pushed every ten minutes, and one may be late or lost.
            Self::Silence => Duration::from_mins(30),
        }
    }
}

/// The share of requests that meet a fault, and of runs that are killed.
const FAULTS: f64 = 0.05;
const CRASHES: f64 = 0.05;

/// A caller retries after this time, when every lease has ended.
const AGAIN: Duration = Duration::from_secs(30);

async fn life(simulation: Simulation, size: Size) {
    let appids: Vec<String> = (0..size.authorizers)
        .map(|number| format!("wx{:016x}", 0x5eed_0000_0000_0000_u64 + number as u64))
        .collect();
    for appid in &appids {
        simulation
            .wechat()
            .add_account(appid, "店", AccountKind::MiniProgram);
    }
    {
        let mut weather = simulation.weather();
        weather.faults = FAULTS;
        weather.crashes = CRASHES;
    }
    tokio::spawn(simulation.clone().run_tickets());
    tokio::spawn(refresh(simulation.clone()));
    tokio::spawn(reconcile(simulation.clone()));
    for (trouble, from, long) in TROUBLES {
        tokio::spawn(cause(simulation.clone(), trouble, from, long));
    }
    tokio::spawn(merchants(simulation.clone(), appids.clone()));
    tokio::spawn(callers(simulation.clone(), appids.clone(), size.asked));

    let hours = authorized_hours(&simulation, size.days).await;
    let calls = simulation.wechat().calls();
    println!(
        "WeChat calls per authorizer and day: {:.1}, of them renewals {:.1}",
        daily(calls.values().sum(), hours),
        daily(calls["api_authorizer_token"], hours),
    );
    {
        let mut weather = simulation.weather();
        weather.faults = 0.0;
        weather.crashes = 0.0;
    }
    simulation.sleep(11 * MINUTE).await;
    simulation.clone().reconcile().await;
    simulation.sleep(11 * MINUTE).await;
    for appid in &appids {
        simulation.check_settled(appid).await;
    }
}

/// Waits for so many days; returns the hours for which accounts were authorized, summed up.
async fn authorized_hours(simulation: &Simulation, days: u32) -> u64 {
    let mut hours = 0;
    for _hour in 0..days * 24 {
        simulation.sleep(HOUR).await;
        let accounts = simulation.wechat().authorizers();
        let authorized = accounts.iter().filter(|account| account.authorized);
        hours += authorized.count() as u64;
    }
    hours
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn daily(calls: u64, hours: u64) -> f64 {
    calls as f64 * 24.0 / hours as f64
}

async fn refresh(simulation: Simulation) {
    loop {
        tokio::spawn(simulation.clone().tick());
        simulation.sleep(REFRESH_EVERY).await;
    }
}

async fn reconcile(simulation: Simulation) {
    loop {
        simulation.sleep(RECONCILE_EVERY).await;
        simulation.sweep();
        simulation.clone().reconcile().await;
    }
}

async fn cause(simulation: Simulation, trouble: Trouble, from: Duration, long: Duration) {
    simulation.sleep(from).await;
    simulation.note(format_args!("{trouble:?}"));
    let place = match trouble {
        Trouble::OfWechat => Place::Wechat,
        Trouble::OfDynamodb => Place::Dynamodb,
        Trouble::Silence => {
            simulation.weather().silence = true;
            simulation.sleep(long).await;
            simulation.weather().silence = false;
            return;
        }
    };
    simulation.weather().outages.push(place);
    simulation.sleep(long).await;
    simulation.weather().outages.retain(|other| *other != place);
}

/// Every merchant authorizes on the first day; later some authorize again, withdraw, and come back.
async fn merchants(simulation: Simulation, appids: Vec<String>) {
    let chance = simulation.chance().clone();
    let each = DAY / u32::try_from(appids.len()).unwrap() / 4;
    for appid in &appids {
        simulation.sleep(each).await;
        let (simulation, appid, link) = (simulation.clone(), appid.clone(), chance.happens(0.7));
        tokio::spawn(async move {
            if link {
                simulation.authorize_by_link(&appid).await;
            } else {
                simulation.authorize(&appid).await;
            }
        });
    }
    // On average one merchant of a hundred changes something each day.
    let between = DAY * 100 / u32::try_from(appids.len()).unwrap();
    loop {
        simulation
            .sleep(chance.between(Duration::ZERO, 2 * between))
            .await;
        let appid = chance.pick(&appids);
        let authorized = simulation.wechat().authorizer(appid).unwrap().authorized;
        match chance.below(3) {
            0 if authorized => simulation.revoke(appid),
            1 => simulation.authorize_by_link(appid).await,
            _ => simulation.authorize(appid).await,
        }
    }
}

async fn callers(simulation: Simulation, appids: Vec<String>, asked: usize) {
    loop {
        for _caller in 0..asked {
            let appid = simulation.chance().pick(&appids).clone();
            tokio::spawn(caller(simulation.clone(), appid));
        }
        simulation.sleep(MINUTE).await;
    }
}

/// Asks the getter, again if it was killed: its answer, or the code of its error.
async fn ask(simulation: &Simulation, appid: &str) -> Result<(), &'static str> {
    loop {
        match simulation.ask(appid, Wish::Any).await {
            Err(DIED) => {
                simulation.count("asked again: the getter died");
                simulation.sleep(AGAIN).await;
            }
            answer => return answer.map(drop),
        }
    }
}

/// A caller that asks, and retries once after an error.
async fn caller(simulation: Simulation, appid: String) {
    simulation.count("asked");
    let Err(first) = ask(&simulation, &appid).await else {
        return simulation.count("answered");
    };
    if let Some(why) = rightly_refused(&simulation, &appid, first) {
        return simulation.count(why);
    }
    simulation.sleep(AGAIN).await;
    let Err(second) = ask(&simulation, &appid).await else {
        return simulation.count("answered at the second try");
    };
    match rightly_refused(&simulation, &appid, second) {
        Some(why) => simulation.count(why),
        None => simulation.broken(format_args!(
            "{appid} is refused wrongly: {first}, {second}"
        )),
    }
}

fn rightly_refused(simulation: &Simulation, appid: &str, code: &str) -> Option<&'static str> {
    let now = simulation.elapsed();
    let in_trouble = |trouble: Trouble, since: Duration| {
        TROUBLES.iter().any(|(other, from, long)| {
            *other == trouble && now >= *from + since && now <= *from + *long + trouble.recovery()
        })
    };
    let view = simulation.wechat().authorizer(appid).unwrap();
    match code {
        "authorization_revoked" | "unknown_authorizer" if !view.authorized => {
            Some("refused: not authorized")
        }
        "reauthorization_required" if view.refresh_token.is_none() => {
            Some("refused: never exchanged")
        }
        "authorization_revoked" | "unknown_authorizer" | "reauthorization_required"
            if simulation.is_news(appid) =>
        {
            Some("refused: its authorization is news")
        }
        "store_unavailable" if in_trouble(Trouble::OfDynamodb, Duration::ZERO) => {
            Some("refused: no DynamoDB")
        }
        // When the refresher last succeeded, each token was good for 80 minutes more in either
        // outage.
        "wechat_unavailable" if in_trouble(Trouble::OfWechat, 30 * MINUTE) => {
            Some("refused: no WeChat for longer than a token lasts")
        }
        "wechat_unavailable" | "store_unavailable" if in_trouble(Trouble::OfDynamodb, HOUR) => {
            Some("refused: just after no DynamoDB")
        }
        // The last ticket lasts twelve hours, and the last component token two more.
        "no_verify_ticket"
            if in_trouble(Trouble::Silence, 12 * HOUR) && !simulation.has_good_ticket() =>
        {
            Some("refused: no ticket for twelve hours")
        }
        _ => None,
    }
}

#[test]
fn a_long_life_with_every_outage_loses_nothing_and_refuses_no_caller_wrongly() {
    let size = if std::env::var("SOAK").as_deref() == Ok("full") {
        FULL
    } else {
        SHORT
    };
    let seed = variable("SEED").unwrap_or(1);
    let size = Size {
        days: variable("DAYS").map_or(size.days, |days| u32::try_from(days).unwrap()),
        authorizers: variable("AUTHORIZERS")
            .map_or(size.authorizers, |many| usize::try_from(many).unwrap()),
        ..size
    };
    let began = Instant::now();
    let Life {
        broken,
        counts,
        hash,
    } = Simulation::live(seed, variable("TRACE").is_some(), |simulation| {
        life(simulation, size)
    });
    println!("{counts:#?} {hash:x} in {:?}", began.elapsed());
    assert!(
        broken.is_empty(),
        "SEED={seed}: {} broken, first {:#?}",
        broken.len(),
        &broken[..broken.len().min(20)]
    );
}
