//! `postcall doctor`: every dependency and setting, and what to do about it.

use std::path::Path;

use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};
use store::{Database, Role, counters::Counters, database, objects::Objects};
use temporalio_client::NamespacedClient;

use super::{Failed, Format, output};
use crate::{config, config::Config, temporal};

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(super) async fn run(args: &DoctorArgs) -> Result<(), Failed> {
    let findings = match Config::from_env() {
        Err(error) => vec![finding("configuration", Err(error.to_string()), "see .env.example")],
        Ok(config) => Box::pin(examine(&config)).await,
    };
    output::rows(args.output, &["check", "state", "detail", "fix"], &findings);
    let broken = findings.iter().filter(|finding| finding["state"] == "broken").count();
    match broken {
        0 => Ok(()),
        broken => Err(anyhow!("{broken} checks failed").into()),
    }
}

async fn examine(config: &Config) -> Vec<Value> {
    let mut findings = vec![finding("configuration", Ok("complete".to_owned()), "")];
    findings.extend(postgres(config).await);
    let redis = match Counters::new(&config.redis_url) {
        Ok(counters) => counters.ping().await,
        Err(error) => Err(error),
    };
    let answers = |()| "answers".to_owned();
    findings.push(finding(
        "redis",
        redis.map(answers).map_err(|error| error.to_string()),
        "check REDIS_URL; postcall works without, slower",
    ));
    let storage = match Objects::new(&config.storage_url, config.storage_options.0.clone()) {
        Ok(objects) => objects.size("postcall-doctor").await.map(drop),
        Err(error) => Err(error),
    };
    findings.push(finding(
        "object storage",
        storage.map(answers).map_err(|error| error.to_string()),
        "check POSTCALL_STORAGE_URL and AWS_*",
    ));
    let temporal = temporal::connect(&config.temporal, &config::identity("doctor")).await;
    findings.push(finding(
        "temporal",
        temporal
            .map(|client| format!("answers, namespace {}", client.namespace()))
            .map_err(|error| format!("{error:#}")),
        "check TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and TLS",
    ));
    findings.push(finding(
        "spool",
        spool(&config.spool_dir),
        "serve must be able to write POSTCALL_SPOOL_DIR; what lies aside there was acknowledged: \
         look at it before it is deleted",
    ));
    findings.extend(providers(config));
    findings
}

/// Whether webhooks have a place while Postgres is down, and none was put aside there.
fn spool(folder: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    if !folder.exists() {
        return Ok("made when serve starts".to_owned());
    }
    let probe = folder.join("doctor.probe");
    std::fs::write(&probe, b"probe").and_then(|()| std::fs::remove_file(&probe)).map_err(failed)?;
    let entries = std::fs::read_dir(folder).map_err(failed)?.flatten();
    let is_aside = |name: &str| name.ends_with(".damaged") || name.ends_with(".refused");
    let aside = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_aside)).count();
    match aside {
        0 => Ok("can be written".to_owned()),
        aside => Err(format!("{}: {aside} files lie aside", folder.display())),
    }
}

async fn postgres(config: &Config) -> Vec<Value> {
    let database = match Database::connect(&config.database_url, Role::Api, 1) {
        Ok(database) => database,
        Err(error) => {
            return vec![finding("postgres", Err(error.to_string()), "check DATABASE_URL")];
        }
    };
    let answer = database.ping().await;
    let answers = answer.is_ok();
    let mut findings = vec![finding(
        "postgres",
        answer.map(|()| config::shown(&config.database_url)).map_err(|error| error.to_string()),
        "check DATABASE_URL and that Postgres runs",
    )];
    if answers {
        let migrated = match database::is_migrated(&database).await {
            Ok(true) => Ok("up to date".to_owned()),
            Ok(false) => Err("migrations are missing".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        findings.push(finding("schema", migrated, "run `postcall migrate`"));
    }
    findings
}

/// Providers are optional; what is not set is told, not blamed.
fn providers(config: &Config) -> Vec<Value> {
    let providers = &config.providers;
    [
        (
            "public url",
            config.public_url.is_some(),
            "POSTCALL_PUBLIC_URL: Twilio is refused unless it calls POSTCALL_LISTEN itself",
        ),
        ("vapi", providers.vapi_api_key.is_some(), "VAPI_API_KEY: expired recordings are lost"),
        ("twilio", providers.twilio.is_some(), "TWILIO_*: text messages fail"),
        ("resend", providers.resend.is_some(), "RESEND_API_KEY and RESEND_FROM: emails fail"),
        ("model", providers.openai.is_some(), "OPENAI_API_KEY: rules extract instead"),
        (
            "stripe",
            providers.stripe_secret_key.is_some(),
            "STRIPE_SECRET_KEY: periods close, and wait to be billed",
        ),
        (
            "stripe webhooks",
            !providers.stripe_webhook_secrets.is_empty(),
            "STRIPE_WEBHOOK_SECRET: every event of Stripe is refused",
        ),
        ("supabase", providers.supabase.is_some(), "SUPABASE_*: no broadcasts"),
    ]
    .into_iter()
    .map(|(name, set, without)| {
        let state = if set { "ok" } else { "not set" };
        json!({ "check": name, "state": state, "detail": if set { "set" } else { without },
            "fix": "" })
    })
    .collect()
}

fn finding(check: &str, result: Result<String, String>, fix: &str) -> Value {
    match result {
        Ok(detail) => json!({ "check": check, "state": "ok", "detail": detail, "fix": "" }),
        Err(detail) => json!({ "check": check, "state": "broken", "detail": detail, "fix": fix }),
    }
}
