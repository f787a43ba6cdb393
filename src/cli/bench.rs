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
#[cfg(test)]
mod tests;

use clap::Subcommand;

use super::Failed;

#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    Calls(calls::CallsArgs),
}

pub(super) async fn run(command: BenchCommand) -> Result<(), Failed> {
    match command {
        BenchCommand::Calls(args) => Box::pin(calls::run(&args)).await,
    }
}
