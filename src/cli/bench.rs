//! `postcall bench`: measures a running installation.

use clap::Subcommand;

use super::Failed;

#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {}

pub(super) async fn run(command: BenchCommand) -> Result<(), Failed> {
    match command {}
}
