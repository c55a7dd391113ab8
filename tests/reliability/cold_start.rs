//! How long a receiver takes from its start to its first answer: a figure, no test.

use std::time::{Duration, Instant};

use serde_json::Value;
use wechat_simulator::{Settings, SimClock};

use super::crash::scene::{pushed, written};
use crate::world::gate::Gate;
use crate::world::processes::{Function, MACHINE, Outcome, Process, say};
use crate::world::{World, appid};

const STARTS: usize = 21;

#[tokio::test]
#[ignore = "a benchmark"]
async fn from_the_start_of_a_receiver_to_its_first_answer() {
    let _mine = MACHINE.lock().await;
    let world = World::on(SimClock::system(1), 1, Settings::example()).await;
    world.push_ticket().await;
    world.authorize(appid()).await;
    let gate = Gate::open(&world).await;
    let ticket = "<xml><AppId>wx0123456789abcdef</AppId><InfoType>component_verify_ticket</InfoType><ComponentVerifyTicket>ticket@@@one</ComponentVerifyTicket></xml>";
    let mut times = [Vec::new(), Vec::new()];
    // In turn, so that both meet the same machine.
    for start in 0..STARTS {
        let message = format!(
            "<xml><FromUserName>o1</FromUserName><MsgType>text</MsgType><MsgId>{start}</MsgId></xml>"
        );
        let (ticket, message) = (world.sealed(ticket), world.sealed(&message));
        let ticket = pushed(&ticket.query, &ticket.body);
        let message = written(&message.query, &message.body);
        times[0].push(first_answer(Function::TicketReceiver, &gate, &ticket).await);
        times[1].push(first_answer(Function::MessageReceiver, &gate, &message).await);
    }
    let functions = [Function::TicketReceiver, Function::MessageReceiver];
    for (function, mut times) in functions.into_iter().zip(times) {
        times.sort();
        let (median, kib) = (times[STARTS / 2], function.size() / 1024);
        say(&format!(
            "{}: {median:.1?} from start to first answer (median of {STARTS}), {kib} KiB",
            function.name()
        ));
    }
}

async fn first_answer(function: Function, gate: &Gate, event: &Value) -> Duration {
    let started = Instant::now();
    let process = Process::start(function, &gate.url).await;
    let outcome = process.invoke(event).await;
    let took = started.elapsed();
    assert!(
        matches!(&outcome, Outcome::Answered(answer) if answer["body"] == "success"),
        "{outcome:?}"
    );
    process.kill().await;
    took
}
