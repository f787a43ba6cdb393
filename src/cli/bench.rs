//! `postcall bench`: measures a running installation.

mod acks;
mod aggregation;
mod calls;
mod dashboard;
mod deliveries;
mod histories;
mod installation;
mod latency;
mod load;
mod proc;
mod processes;
mod report;
mod stream;
mod tally;
mod template;
#[cfg(test)]
mod tests;

use clap::Subcommand;

use super::Failed;

#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    Acks(acks::AcksArgs),
    Aggregation(aggregation::AggregationArgs),
    Calls(calls::CallsArgs),
    Dashboard(dashboard::DashboardArgs),
    Deliveries(deliveries::DeliveriesArgs),
}

pub(super) async fn run(command: BenchCommand) -> Result<(), Failed> {
    match command {
        BenchCommand::Acks(args) => Box::pin(acks::run(&args)).await,
        BenchCommand::Aggregation(args) => Box::pin(aggregation::run(&args)).await,
        BenchCommand::Calls(args) => Box::pin(calls::run(&args)).await,
        BenchCommand::Dashboard(args) => Box::pin(dashboard::run(&args)).await,
        BenchCommand::Deliveries(args) => Box::pin(deliveries::run(&args)).await,
    }
}
