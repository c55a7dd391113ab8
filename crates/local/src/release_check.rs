//! WeChat's release check, played by the simulated WeChat, and its report.

use std::io::Write;
use std::process::ExitCode;

use wechat_simulator::{AccountKind, ReleaseLine, Simulator};

use crate::Error;
use crate::story::Story;

/// Plays the check with the stream and the schedules running; the exit code says whether every line
/// passed.
///
/// # Errors
/// If the report cannot be printed.
pub async fn play(story: Story) -> Result<ExitCode, Error> {
    let simulator = story.simulator.clone();
    story.goes_on_by_itself();
    let mut out = std::io::stdout();
    writeln!(out, "\n  全网发布检测 · WeChat's release check (15 s)\n")?;
    let group = usize::try_from(simulator.clock().now())? % Simulator::RELEASE_GROUPS;
    let lines = simulator.release_check(group).await;
    for ReleaseLine {
        kind,
        name,
        failure,
    } in &lines
    {
        let kind = match kind {
            AccountKind::OfficialAccount => "公众号",
            AccountKind::MiniProgram => "小程序",
        };
        match failure {
            None => writeln!(out, "  通过 ok     {kind} [{name}]")?,
            Some(failure) => writeln!(out, "  失败 WRONG  {kind} [{name}]\n        {failure}")?,
        }
    }
    let failed = lines.iter().filter(|line| line.failure.is_some()).count();
    if failed == 0 {
        writeln!(out, "\n  Every line passed.\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "\n  {failed} of {} lines failed.\n", lines.len())?;
    Ok(ExitCode::FAILURE)
}
