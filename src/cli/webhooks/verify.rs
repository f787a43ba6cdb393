//! The receiver's side, for whoever writes one: is this message ours, and if not, why not.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, anyhow};
use chrono::Utc;
use clap::{ArgGroup, Args};
use providers::webhook_out;
use secrecy::SecretString;

use super::manage::read_line;
use crate::cli::Failed;

/// Ours are under 20 KB; whatever is longer is another file.
const LONGEST_BODY: u64 = 1024 * 1024;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("secrets").required(true).args(["secret", "secret_file"]))]
pub(in crate::cli) struct VerifyArgs {
    /// The endpoint's secret, `whsec_…`; may be given several times. Others on this machine can see
    /// it: `--secret-file` is for secrets in use.
    #[arg(long)]
    secret: Vec<SecretString>,
    /// A file with the endpoint's secret.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The header `webhook-id`.
    #[arg(long)]
    id: String,
    /// The header `webhook-timestamp`.
    #[arg(long)]
    timestamp: String,
    /// The header `webhook-signature`.
    #[arg(long)]
    signature: String,
    /// By how many seconds the message may be older or newer than now.
    #[arg(long, default_value_t = 300)]
    tolerance: u64,
    /// The body, byte by byte as it was received; `-` for stdin.
    #[arg(default_value = "-")]
    file: PathBuf,
}

pub(super) fn verify(args: &VerifyArgs) -> Result<(), Failed> {
    let secrets = match &args.secret_file {
        Some(path) => vec![SecretString::from(read_line(path)?)],
        None => args.secret.clone(),
    };
    let body = read(&args.file).with_context(|| args.file.display().to_string())?;
    webhook_out::verify(
        &args.id,
        &args.timestamp,
        &args.signature,
        &body,
        &secrets,
        Utc::now(),
        Duration::from_secs(args.tolerance),
    )
    .map_err(|reason| anyhow!("not to be believed: {reason}"))?;
    eprintln!("the message is genuine");
    Ok(())
}

fn read(path: &PathBuf) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    let source: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(path)?),
    };
    source.take(LONGEST_BODY).read_to_end(&mut body)?;
    Ok(body)
}
