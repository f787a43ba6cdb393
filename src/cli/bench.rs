//! `postcall bench`: measures a running installation.

mod calls;
mod histories;
mod installation;
mod latency;
mod load;
mod proc;
mod processes;
mod report;
mod stream;
mod tally;

use clap::Subcommand;

use super::Failed;

#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Post end-of-call reports at a fixed rate, whatever the answers do, and wait until the calls
    /// are done.
    Calls(calls::CallsArgs),
}

pub(super) async fn run(command: BenchCommand) -> Result<(), Failed> {
    match command {
        BenchCommand::Calls(args) => Box::pin(calls::run(&args)).await,
    }
}
