//! The functions as processes: release binaries, each behind a Lambda Runtime API of its own.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use local::emulators::TABLE;
use local::events::BUS;
use local::secrets::SECRET;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// The binaries under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Function {
    TicketReceiver,
    MessageReceiver,
    AuthStart,
    AuthCallback,
    AuthorizerSync,
    TokenRefresher,
    TokenGetter,
}

impl Function {
    const ALL: [Self; 7] = [
        Self::TicketReceiver,
        Self::MessageReceiver,
        Self::AuthStart,
        Self::AuthCallback,
        Self::AuthorizerSync,
        Self::TokenRefresher,
        Self::TokenGetter,
    ];

    /// The name of the binary, which is that of the crate.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::TicketReceiver => "ticket-receiver",
            Self::MessageReceiver => "message-receiver",
            Self::AuthStart => "auth-start",
            Self::AuthCallback => "auth-callback",
            Self::AuthorizerSync => "authorizer-sync",
            Self::TokenRefresher => "token-refresher",
            Self::TokenGetter => "token-getter",
        }
    }

    /// The bytes of the binary.
    pub(crate) fn size(self) -> u64 {
        let binary = release().join(self.name());
        binary.metadata().unwrap().len()
    }

    /// The `Timeout` in template.yaml; the length of a lease depends on it.
    const fn timeout(self) -> Duration {
        match self {
            Self::TicketReceiver | Self::MessageReceiver => Duration::from_secs(5),
            Self::AuthStart | Self::AuthCallback | Self::TokenGetter => Duration::from_secs(25),
            Self::AuthorizerSync | Self::TokenRefresher => Duration::from_mins(15),
        }
    }
}

/// A sandbox: one process of a function, which answers one invocation at a time. The process ends
/// when this value is dropped.
pub(crate) struct Process {
    invocations: mpsc::UnboundedSender<Invocation>,
    kill: Arc<Notify>,
    end: watch::Receiver<Option<ExitStatus>>,
}

/// The result of an invocation.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The function answered.
    Answered(Value),
    /// The function failed, with `errorType` and `errorMessage`.
    Failed(Value),
    /// The process was killed before it answered.
    Killed,
}

struct Invocation {
    event: Value,
    answer: oneshot::Sender<Outcome>,
}

/// The Runtime API of one sandbox.
struct Runtime {
    timeout: Duration,
    invocations: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    running: Mutex<Option<oneshot::Sender<Outcome>>>,
}

const SIGKILL: i32 = 9;

/// One id will do, because there is one invocation at a time.
const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

impl Process {
    /// Starts a process that reaches AWS and WeChat at the address `outside`.
    pub(crate) async fn start(function: Function, outside: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let child = command(function, outside, &address).spawn().unwrap();
        let (invocations, queue) = mpsc::unbounded_channel();
        let runtime = Arc::new(Runtime {
            timeout: function.timeout(),
            invocations: tokio::sync::Mutex::new(queue),
            running: Mutex::new(None),
        });
        let (ended, end) = watch::channel(None);
        let kill = Arc::new(Notify::new());
        let killed = kill.clone();
        tokio::spawn(async move {
            let served = axum::serve(listener, router(runtime));
            tokio::select! {
                status = watch_over(child, &killed) => drop(ended.send(Some(status))),
                _ = served.into_future() => {}
            }
        });
        Self {
            invocations,
            kill,
            end,
        }
    }

    /// Invokes the function with an event, once the invocation before is answered.
    pub(crate) async fn invoke(&self, event: &Value) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let event = event.clone();
        drop(self.invocations.send(Invocation { event, answer }));
        tokio::select! {
            biased;
            Ok(outcome) = answered => outcome,
            status = self.end() => {
                // A function that ends in any other way has a fault.
                assert_eq!(status.signal(), Some(SIGKILL), "a function ended by itself");
                Outcome::Killed
            }
        }
    }

    /// Kills the process by SIGKILL, and returns when it has ended.
    pub(crate) async fn kill(&self) {
        self.kill.notify_one();
        self.end().await;
    }

    async fn end(&self) -> ExitStatus {
        let mut end = self.end.clone();
        let status = end.wait_for(Option::is_some).await.unwrap();
        status.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill.notify_one();
    }
}

async fn watch_over(mut child: Child, kill: &Notify) -> ExitStatus {
    tokio::select! {
        status = child.wait() => return status.unwrap(),
        () = kill.notified() => child.start_kill().unwrap(),
    }
    child.wait().await.unwrap()
}

/// The environment that Lambda and template.yaml give, and nothing else. With `FUNCTION_LOGS=1` the
/// log is shown.
fn command(function: Function, outside: &str, runtime: &str) -> Command {
    let mut command = Command::new(release().join(function.name()));
    let log = || match std::env::var_os("FUNCTION_LOGS") {
        Some(_) => Stdio::inherit(),
        None => Stdio::null(),
    };
    command
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", runtime)
        .env("AWS_LAMBDA_FUNCTION_NAME", function.name())
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_SESSION_TOKEN", "test")
        .env("AWS_ENDPOINT_URL", outside)
        .env("TABLE_NAME", TABLE)
        .env("COMPONENT_SECRET_ARN", SECRET)
        .stdin(Stdio::null())
        .stdout(log())
        .stderr(log())
        .kill_on_drop(true);
    if !matches!(
        function,
        Function::TicketReceiver | Function::MessageReceiver
    ) {
        command.env("WECHAT_API_BASE_URL", outside);
    }
    if matches!(
        function,
        Function::MessageReceiver | Function::TokenRefresher | Function::AuthorizerSync
    ) {
        command.env("EVENT_BUS_NAME", BUS);
    }
    if function == Function::AuthStart {
        command
            .env("WECHAT_MP_BASE_URL", outside)
            .env("WECHAT_OPEN_BASE_URL", outside);
    }
    command
}

/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
fn router(runtime: Arc<Runtime>) -> Router {
    let api = Router::new()
        .route("/runtime/invocation/next", get(next))
        .route("/runtime/invocation/{id}/response", post(response))
        .route("/runtime/invocation/{id}/error", post(error))
        .route("/runtime/init/error", post(init_error))
        .with_state(runtime);
    Router::new().nest("/2018-06-01", api)
}

async fn next(State(runtime): State<Arc<Runtime>>) -> Response {
    let invocation = runtime.invocations.lock().await.recv().await;
    let Some(Invocation { event, answer }) = invocation else {
        // No invocation will come any more: the process waits until it is killed.
        return std::future::pending().await;
    };
    *runtime.running.lock().unwrap() = Some(answer);
    let deadline = SystemTime::now() + runtime.timeout;
    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap().as_millis();
    let arn = "arn:aws:lambda:us-east-1:123456789012:function:wechat";
    let headers = [
        ("lambda-runtime-aws-request-id", REQUEST_ID.to_owned()),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", arn.to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, event.to_string()).into_response()
}

async fn response(
    State(runtime): State<Arc<Runtime>>,
    UrlPath(_id): UrlPath<String>,
    body: Bytes,
) -> StatusCode {
    runtime.settle(Outcome::Answered(json(&body)))
}

async fn error(
    State(runtime): State<Arc<Runtime>>,
    UrlPath(_id): UrlPath<String>,
    body: Bytes,
) -> StatusCode {
    runtime.settle(Outcome::Failed(json(&body)))
}

async fn init_error(body: Bytes) -> StatusCode {
    say(&format!("init failed: {}", json(&body)));
    StatusCode::ACCEPTED
}

impl Runtime {
    fn settle(&self, outcome: Outcome) -> StatusCode {
        let running = self.running.lock().unwrap().take();
        // The caller may have given up.
        drop(running.expect("an invocation runs").send(outcome));
        StatusCode::ACCEPTED
    }
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| json!(String::from_utf8_lossy(body)))
}

/// The folder of the release binaries, which are built on first use.
fn release() -> &'static Path {
    static RELEASE: OnceLock<PathBuf> = OnceLock::new();
    RELEASE.get_or_init(build)
}

/// Builds the release binaries. Each crate is named, so that none gets features that it is not
/// deployed with.
fn build() -> PathBuf {
    say("cargo builds the functions in release; the first time, this takes minutes");
    let packages = Function::ALL.map(|function| format!("--package={}", function.name()));
    let packages = packages.iter().map(String::as_str);
    let arguments: Vec<_> = ["build", "--release"].into_iter().chain(packages).collect();
    cargo(&arguments).join("release")
}

/// Runs cargo on this test's target directory, and answers that directory.
pub(super) fn cargo(arguments: &[&str]) -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let target = here.ancestors().nth(3).expect("<target>/debug/deps/e2e");
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments)
        .args(["--locked", "--quiet", "--target-dir"])
        .arg(target);
    // Cargo's variables about the test package would make build scripts run again.
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    assert!(cargo.status().unwrap().success(), "cargo {arguments:?}");
    target.to_owned()
}

/// Held by a test that loads the machine or measures time, so that two such tests never overlap.
pub(crate) static MACHINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Prints a line to the terminal, even where the test harness captures output.
pub(crate) fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
