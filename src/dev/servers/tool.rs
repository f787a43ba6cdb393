//! Short runs of the programs that come with the servers (`createdb`, `temporal operator ...`).

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::error::ServerError;
use super::log::last_lines;

/// They ask a server on this machine one thing; the usual answer takes 20 to 200 ms.
const LIMIT: Duration = Duration::from_secs(15);

/// Runs the tool and returns what it printed.
///
/// # Errors
/// [`ServerError::Tool`] with the end of its output when it fails or takes too long.
pub(super) async fn run(what: &'static str, command: Command) -> Result<String, ServerError> {
    let program = PathBuf::from(command.get_program());
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let failed = |ending: String, output: &[u8]| {
        Err(ServerError::Tool { what, ending, output: last_lines(output) })
    };
    match tokio::time::timeout(LIMIT, command.output()).await {
        Err(_) => failed(format!("no end within {} s", LIMIT.as_secs()), &[]),
        Ok(Err(source)) => Err(ServerError::Run { program, source }),
        Ok(Ok(output)) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(Ok(output)) => failed(output.status.to_string(), &output.stderr),
    }
}

/// Whether something listens on that port of this machine.
pub(super) async fn listens(port: u16) -> bool {
    let address = (std::net::Ipv4Addr::LOCALHOST, port);
    let connecting = tokio::net::TcpStream::connect(address);
    matches!(tokio::time::timeout(LIMIT, connecting).await, Ok(Ok(_)))
}
