//! `postcall credentials list|set|rotate|drop|delete`.
//!
//! A secret comes from a file or from stdin, never as an argument: everybody on the machine sees
//! the arguments of a process.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use contract::call::Provider;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{Failed, Format, output, target::TargetArgs};

/// Whatever is longer is no secret, but a file named by mistake.
const LONGEST_SECRET: u64 = 4096;
const COLUMNS: [&str; 12] = [
    "provider",
    "rotated_at",
    "has_previous",
    "previous_ends_at",
    "has_shared_key",
    "has_api_key",
    "is_swept",
    "swept_until",
    "last_swept_at",
    "sweep_found",
    "sweep_error",
    "settings",
];

#[derive(Debug, Subcommand)]
pub(super) enum CredentialsCommand {
    /// List which providers have credentials, and how far their calls were swept; never a secret.
    List(ListArgs),
    /// Set a provider's credentials; what is not given stays as it is. A new secret is the only one
    /// accepted.
    Set(SetArgs),
    /// Give a provider a new secret; the current one is accepted beside it for a while.
    Rotate(RotateArgs),
    /// Remove a key, or the secret before the current one; the rest stays.
    Drop(DropArgs),
    /// Remove a provider's credentials: its webhooks are refused from then on.
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct ProviderArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// vapi, retell or twilio.
    provider: Provider,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("given").required(true).multiple(true)
    .args(["secret_stdin", "secret_file", "api_key_file", "shared_key_file", "settings"]))]
pub(super) struct SetArgs {
    #[command(flatten)]
    of: ProviderArgs,
    // Needed where the provider has no credentials yet.
    #[command(flatten)]
    secret: Option<SecretArgs>,
    /// A file with the key of the provider's API, where that is not the secret.
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// A file with the key of Twilio's requests that are signed with a shared key.
    #[arg(long, value_name = "FILE")]
    shared_key_file: Option<PathBuf>,
    /// Settings as a JSON object: Vapi's HMAC plan, Twilio's account_sid and shared_key_id.
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    settings: Option<Value>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("given").required(true).args(["secret_stdin", "secret_file"]))]
pub(super) struct RotateArgs {
    #[command(flatten)]
    of: ProviderArgs,
    #[command(flatten)]
    secret: SecretArgs,
    /// For how many hours the current secret is accepted beside the new one, 0 to 720.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(..=720))]
    overlap_hours: u16,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct DropArgs {
    #[command(flatten)]
    of: ProviderArgs,
    /// What to remove.
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The key of the provider's API.
    ApiKey,
    /// The key of Twilio's requests that are signed with a shared key.
    SharedKey,
    /// The secret before the current one.
    Previous,
}

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    of: ProviderArgs,
    /// Needed, because nothing brings a secret back.
    #[arg(long)]
    yes: bool,
}

/// Where the secret is.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct SecretArgs {
    /// Read the secret from standard input.
    #[arg(long)]
    secret_stdin: bool,
    /// A file with the secret. A line break at its end is cut.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

pub(super) async fn run(command: CredentialsCommand) -> Result<(), Failed> {
    match command {
        CredentialsCommand::List(args) => list(&args).await,
        CredentialsCommand::Set(args) => set(&args).await,
        CredentialsCommand::Rotate(args) => rotate(&args).await,
        CredentialsCommand::Drop(args) => drop_part(&args).await,
        CredentialsCommand::Delete(args) => delete(&args).await,
    }
}

async fn list(args: &ListArgs) -> Result<(), Failed> {
    let found = args.target.api()?.get("/v1/provider-credentials", &[]).await?;
    let credentials = found["data"].as_array().cloned().unwrap_or_default();
    output::rows(args.output, &COLUMNS, &credentials);
    Ok(())
}

async fn set(args: &SetArgs) -> Result<(), Failed> {
    let mut body = json!({});
    if let Some(secret) = &args.secret {
        body["secret"] = secret.read()?.expose_secret().into();
    }
    for (name, path) in [("api_key", &args.api_key_file), ("shared_key", &args.shared_key_file)] {
        if let Some(path) = path {
            body[name] = read_file(path)?.expose_secret().into();
        }
    }
    if let Some(settings) = &args.settings {
        body["settings"] = settings.clone();
    }
    let now = args.of.send(Method::PUT, "", Some(&body)).await?;
    output::object(args.output, &now);
    Ok(())
}

async fn rotate(args: &RotateArgs) -> Result<(), Failed> {
    let secret = args.secret.read()?;
    let body = json!({ "secret": secret.expose_secret(), "overlap_hours": args.overlap_hours });
    let now = args.of.send(Method::POST, "/rotate", Some(&body)).await?;
    output::object(args.output, &now);
    Ok(())
}

async fn drop_part(args: &DropArgs) -> Result<(), Failed> {
    let (path, what) = match args.part {
        Part::ApiKey => ("/api-key", "API key"),
        Part::SharedKey => ("/shared-key", "shared key"),
        Part::Previous => ("/previous", "previous secret"),
    };
    args.of.send(Method::DELETE, path, None).await?;
    eprintln!("the {what} of {} is gone", args.of.provider);
    Ok(())
}

async fn delete(args: &DeleteArgs) -> Result<(), Failed> {
    if !args.yes {
        let provider = args.of.provider;
        let text = format!("webhooks of {provider} would be refused; if you mean it, add --yes");
        return Err(Failed::Usage(text));
    }
    args.of.send(Method::DELETE, "", None).await?;
    eprintln!("the credentials of {} are gone", args.of.provider);
    Ok(())
}

impl ProviderArgs {
    async fn send(
        &self,
        method: Method,
        what: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failed> {
        let path = format!("/v1/provider-credentials/{}{what}", self.provider);
        self.target.api()?.send(method, &path, body).await
    }
}

impl SecretArgs {
    fn read(&self) -> anyhow::Result<SecretString> {
        match &self.secret_file {
            Some(path) => read_file(path),
            None => read(io::stdin().lock()).context("--secret-stdin"),
        }
    }
}

fn read_file(path: &Path) -> anyhow::Result<SecretString> {
    File::open(path).map_err(Into::into).and_then(read).with_context(|| path.display().to_string())
}

/// Named, because clap would take any text for a JSON string.
fn json_value(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

/// The text without the line break that editors and `echo` end it with.
fn read(source: impl Read) -> anyhow::Result<SecretString> {
    let mut text = String::new();
    source.take(LONGEST_SECRET).read_to_string(&mut text).context("no text")?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).into())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: CredentialsCommand,
    }

    fn is_good(line: &str) -> bool {
        Line::try_parse_from(line.split(' ')).is_ok()
    }

    #[test]
    fn one_line_break_is_cut() {
        for (text, secret) in
            [("s", "s"), ("s\n", "s"), ("s\r\n", "s"), ("s\n\n", "s\n"), (" s ", " s "), ("", "")]
        {
            assert_eq!(read(text.as_bytes()).unwrap().expose_secret(), secret, "{text:?}");
        }
        assert!(read([0xff, 0xfe].as_slice()).is_err());
    }

    #[test]
    fn settings_are_json_and_no_text() {
        let line = r#"x set vapi --secret-stdin --settings {"includeTimestamp":false}"#;
        let command = Line::try_parse_from(line.split(' ')).unwrap().command;
        let CredentialsCommand::Set(args) = command else { panic!("{command:?}") };
        assert_eq!(args.settings, Some(json!({ "includeTimestamp": false })));
    }

    #[test]
    fn a_secret_comes_from_one_place_and_never_from_an_argument() {
        assert!(is_good("x set vapi --secret-stdin"));
        assert!(is_good("x set twilio --secret-file a --shared-key-file b --settings {\"a\":1}"));
        assert!(is_good("x rotate retell --secret-file a --overlap-hours 0"));
        for line in [
            "x set vapi --secret-stdin --secret-file a",
            "x set vapi --secret a",
            "x set vapi a --secret-stdin",
            "x set stripe --secret-stdin",
            "x set vapi --secret-stdin --settings {",
            "x rotate vapi",
            "x rotate vapi --secret-stdin --overlap-hours 721",
        ] {
            assert!(!is_good(line), "{line}");
        }
    }

    #[test]
    fn each_part_is_set_and_dropped_alone() {
        for (line, has_secret) in [
            ("x set vapi --api-key-file a", false),
            ("x set twilio --shared-key-file a", false),
            ("x set vapi --settings {}", false),
            ("x set vapi --secret-file a --api-key-file b", true),
        ] {
            let command = Line::try_parse_from(line.split(' ')).unwrap().command;
            let CredentialsCommand::Set(args) = command else { panic!("{command:?}") };
            assert_eq!(args.secret.is_some(), has_secret, "{line}");
        }
        for (line, part) in [
            ("x drop vapi api-key", Part::ApiKey),
            ("x drop twilio shared-key", Part::SharedKey),
            ("x drop retell previous", Part::Previous),
        ] {
            let command = Line::try_parse_from(line.split(' ')).unwrap().command;
            let CredentialsCommand::Drop(args) = command else { panic!("{command:?}") };
            assert_eq!(args.part, part, "{line}");
        }
        for line in ["x set vapi", "x set vapi -o json", "x drop vapi", "x drop vapi secret"] {
            assert!(!is_good(line), "{line}");
        }
    }
}
