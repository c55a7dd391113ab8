//! `local` and `wechat-simulator` as programs, each a process of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::processes::{cargo, say};

/// A program that runs until this value is dropped.
pub(crate) struct Program {
    child: Child,
    /// The address that it has printed first: its own.
    pub(crate) url: String,
    /// The one that `local` prints next: WeChat's.
    pub(crate) wechat_url: Option<String>,
}

/// Starts a program, with these variables in its environment, and waits until it says where it is.
pub(crate) async fn start(name: &str, options: &[&str], variables: &[(&str, &str)]) -> Program {
    let mut child = command(name, options, variables).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || loop {
        let line = lines.next_line().await.unwrap();
        let line = line.expect("the program says where it is before it ends");
        if let Some((_, after)) = line.split_once("http://") {
            let address = after.split_whitespace().next().unwrap();
            return format!("http://{address}");
        }
    };
    let url = next().await;
    let wechat_url = match name {
        "local" => Some(next().await),
        _ => None,
    };
    // A program whose output is not read would stop at some time.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Program {
        child,
        url,
        wechat_url,
    }
}

/// Runs a program to its end; answers whether it was content, and what it said to the terminal.
pub(crate) async fn run(name: &str, options: &[&str]) -> (bool, String) {
    let output = command(name, options, &[]).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), said)
}

impl Program {
    /// Ends it as a power failure would.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

fn command(name: &str, options: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(built().join(name));
    command
        .args(options)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The folder of the programs, which are built on first use, as `cargo run` builds them.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        say("cargo builds local and wechat-simulator; the first time, this takes minutes");
        cargo(&["build", "--package=local", "--package=wechat-simulator"]).join("debug")
    })
}
