//! `postcall inbox list|show|replay|discard|gaps`.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    time::Duration,
};

use anyhow::{Context, anyhow};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand};
use contract::ids::InboxId;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    Failed, Format, output,
    target::{Target, TargetArgs},
};

/// Between two pictures of a bar that does not know how long it gets.
const TICK: Duration = Duration::from_millis(200);

#[derive(Debug, Subcommand)]
pub(super) enum InboxCommand {
    /// List what providers sent, newest first.
    List(ListArgs),
    /// Show one event.
    Show(ShowArgs),
    /// Have events read once more: those with these ids, or those that a filter names.
    Replay(ReplayArgs),
    /// Put parked events away: nothing follows from them, unless they are replayed.
    Discard(DiscardArgs),
    /// List what webhooks failed to tell and only the sweep found.
    Gaps(GapsArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only events that are received, processed, parked or discarded.
    #[arg(long)]
    status: Option<String>,
    /// Only events of vapi, retell or twilio.
    #[arg(long)]
    provider: Option<String>,
    /// Only events that the provider calls this.
    #[arg(long)]
    event_kind: Option<String>,
    /// Only events that came by webhook, spool, sweep or replay.
    #[arg(long)]
    origin: Option<String>,
    /// Only events of the call that the provider calls this.
    #[arg(long)]
    provider_call_id: Option<String>,
    /// Only events of this call.
    #[arg(long)]
    call_id: Option<String>,
    /// Received at or after this time (RFC 3339). Default: seven days ago.
    #[arg(long)]
    from: Option<String>,
    /// Received before this time (RFC 3339).
    #[arg(long)]
    to: Option<String>,
    /// At most so many, 1 to 250.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The event's id.
    id: InboxId,
    /// Print the body alone, byte by byte.
    #[arg(long)]
    body: bool,
    /// Form of the output. JSON holds the body too.
    #[arg(short, long, value_enum, default_value = "table", conflicts_with = "body")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Ids of events.
    #[arg(conflicts_with_all = ["status", "provider", "event_kind", "reason", "from", "to"])]
    ids: Vec<InboxId>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only count.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// Which events to replay; all that is given must hold.
#[derive(Debug, Args)]
struct FilterArgs {
    /// Events that are processed, parked or discarded.
    #[arg(long)]
    status: Option<String>,
    /// Events of vapi, retell or twilio.
    #[arg(long)]
    provider: Option<String>,
    /// Events that the provider calls this.
    #[arg(long)]
    event_kind: Option<String>,
    /// Events parked for this reason, in these very words.
    #[arg(long)]
    reason: Option<String>,
    /// Events received at or after this time (RFC 3339).
    #[arg(long)]
    from: Option<String>,
    /// Events received before this time (RFC 3339). Default: now.
    #[arg(long)]
    to: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct DiscardArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Ids of events.
    #[arg(required = true)]
    ids: Vec<InboxId>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct GapsArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Found at or after this time (RFC 3339). Default: seven days ago.
    #[arg(long)]
    from: Option<String>,
    /// Found before this time (RFC 3339).
    #[arg(long)]
    to: Option<String>,
    /// Only gaps of vapi, retell or twilio.
    #[arg(long)]
    provider: Option<String>,
    /// At most so many, 1 to 250.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(super) async fn run(command: InboxCommand) -> Result<(), Failed> {
    match command {
        InboxCommand::List(args) => list(&args).await,
        InboxCommand::Show(args) if args.body => show_body(&args).await,
        InboxCommand::Show(args) => show(&args).await,
        InboxCommand::Replay(args) => replay(&args).await,
        InboxCommand::Discard(args) => {
            let columns = ["id", "status"];
            one_by_one(&args.target.api()?, &args.ids, "discard", args.output, &columns).await
        }
        InboxCommand::Gaps(args) => gaps(&args).await,
    }
}

async fn list(args: &ListArgs) -> Result<(), Failed> {
    let given = [
        ("status", &args.status),
        ("provider", &args.provider),
        ("event_kind", &args.event_kind),
        ("origin", &args.origin),
        ("provider_call_id", &args.provider_call_id),
        ("call_id", &args.call_id),
        ("from", &args.from),
        ("to", &args.to),
    ];
    let columns =
        ["id", "received_at", "provider", "event_kind", "origin", "status", "parked_reason"];
    let api = args.target.api()?;
    print_page(&api, "/v1/inbox", &given, args.limit, args.output, &columns).await
}

async fn gaps(args: &GapsArgs) -> Result<(), Failed> {
    let given = [("from", &args.from), ("to", &args.to), ("provider", &args.provider)];
    let columns = [
        "found_at",
        "provider",
        "provider_call_id",
        "event_kind",
        "gap",
        "known_before",
        "webhook_came_later",
        "call_id",
    ];
    let api = args.target.api()?;
    print_page(&api, "/v1/inbox/gaps", &given, args.limit, args.output, &columns).await
}

async fn print_page(
    api: &Target,
    path: &str,
    given: &[(&'static str, &Option<String>)],
    limit: u32,
    form: Format,
    columns: &[&str],
) -> Result<(), Failed> {
    let given = given.iter().filter_map(|(name, value)| Some((*name, (*value).clone()?)));
    let query: Vec<(&str, String)> = given.chain([("limit", limit.to_string())]).collect();
    let page = api.get(path, &query).await?;
    output::rows(form, columns, page["data"].as_array().map_or(&[], Vec::as_slice));
    if page["next_cursor"].is_string() {
        eprintln!("there are more; narrow with --from and --to, or raise --limit");
    }
    Ok(())
}

async fn show(args: &ShowArgs) -> Result<(), Failed> {
    let mut event = args.target.api()?.get(&format!("/v1/inbox/{}", args.id), &[]).await?;
    if let (Format::Table, Some(fields)) = (args.output, event.as_object_mut()) {
        fields.retain(|name, _| !["body_json", "body_text", "body_base64"].contains(&&**name));
        eprintln!("for the body: --body, or -o json");
    }
    output::object(args.output, &event);
    Ok(())
}

async fn show_body(args: &ShowArgs) -> Result<(), Failed> {
    let query = [("body", "base64".to_owned())];
    let event = args.target.api()?.get(&format!("/v1/inbox/{}", args.id), &query).await?;
    let Some(body) = event["body_base64"].as_str() else {
        return Err(Failed::NotFound("the event's body aged out".to_owned()));
    };
    let body = STANDARD.decode(body).context("the API told no base64")?;
    let mut stdout = io::stdout().lock();
    match stdout.write_all(&body).and_then(|()| stdout.flush()) {
        // Who reads along may have seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow!("stdout: {error}").into())
        }
        _ => Ok(()),
    }
}

async fn replay(args: &ReplayArgs) -> Result<(), Failed> {
    let filter = filter(args)?;
    let api = args.target.api()?;
    if !args.ids.is_empty() && !args.dry_run {
        let columns = ["id", "replayed", "status"];
        return one_by_one(&api, &args.ids, "replay", args.output, &columns).await;
    }
    let expected = match (args.dry_run, args.yes) {
        (true, _) | (_, true) => None,
        (false, false) => Some(confirm(&api, &filter).await?),
    };
    let counts = batches(&api, &filter, args.dry_run, expected).await?;
    output::object(args.output, &counts.shown(args.dry_run));
    Ok(())
}

/// The filter as the API takes it. Without one there is no replay.
fn filter(args: &ReplayArgs) -> Result<Value, Failed> {
    let asked = &args.filter;
    let given = [
        ("status", &asked.status),
        ("provider", &asked.provider),
        ("event_kind", &asked.event_kind),
        ("parked_reason", &asked.reason),
        ("from", &asked.from),
        ("to", &asked.to),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    let mut filter: Map<String, Value> =
        given.map(|(name, value)| (name.to_owned(), value.into())).collect();
    if !args.ids.is_empty() {
        filter.insert("ids".to_owned(), json!(args.ids));
    }
    if filter.is_empty() {
        let text = "a replay needs ids or a filter: --status, --provider, --event-kind, --reason, \
                    --from, --to";
        return Err(Failed::Usage(text.to_owned()));
    }
    Ok(Value::Object(filter))
}

/// Counts first and asks; returns how many events there are to go through.
async fn confirm(api: &Target, filter: &Value) -> Result<u64, Failed> {
    if !io::stdin().is_terminal() {
        let text = "nobody to ask: count with --dry-run, replay with --yes";
        return Err(Failed::Usage(text.to_owned()));
    }
    let counts = batches(api, filter, true, None).await?;
    eprint!("replay {} of {} events? [y/N] ", counts.replayable, counts.matched);
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("stdin")?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(counts.matched);
    }
    Err(Failed::Other(anyhow!("nothing was replayed")))
}

/// What the batches of a replay add up to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    matched: u64,
    replayable: u64,
    replayed: u64,
}

impl Counts {
    fn add(&mut self, batch: &Value) {
        let count = |name: &str| batch[name].as_u64().unwrap_or_default();
        self.matched += count("matched");
        self.replayable += count("replayable");
        self.replayed += count("replayed");
    }

    fn shown(self, dry_run: bool) -> Value {
        json!({
            "matched": self.matched,
            "replayable": self.replayable,
            "replayed": self.replayed,
            "dry_run": dry_run,
        })
    }
}

/// Goes through all events of a filter, batch by batch.
async fn batches(
    api: &Target,
    filter: &Value,
    dry_run: bool,
    expected: Option<u64>,
) -> Result<Counts, Failed> {
    let what = if dry_run { "counting" } else { "replaying" };
    let bar = bar(what, expected);
    let mut counts = Counts::default();
    let mut request = json!({ "filter": filter, "dry_run": dry_run });
    loop {
        let batch = api.send(Method::POST, "/v1/inbox/replay", Some(&request)).await;
        let batch = match batch {
            Ok(batch) => batch,
            Err(failed) => {
                bar.abandon();
                if counts.replayed > 0 {
                    eprintln!("{} events were replayed; run it again", counts.replayed);
                }
                return Err(failed);
            }
        };
        counts.add(&batch);
        bar.set_position(counts.matched);
        if bar.is_hidden() {
            eprintln!("{what}: {}", counts.matched);
        }
        if !batch["next_cursor"].is_string() {
            break;
        }
        request["cursor"] = batch["next_cursor"].clone();
    }
    bar.finish_and_clear();
    Ok(counts)
}

/// On stderr, where that is a terminal; elsewhere each batch is a line.
fn bar(what: &'static str, expected: Option<u64>) -> ProgressBar {
    let (bar, template) = match expected {
        Some(expected) => (ProgressBar::new(expected), "{msg} {bar:40} {pos}/{len}, {eta} to go"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg} {pos}"),
    };
    bar.set_message(what);
    bar.enable_steady_tick(TICK);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Asks for each event by itself: one that cannot be helped does not stop the others.
async fn one_by_one(
    api: &Target,
    ids: &[InboxId],
    verb: &str,
    form: Format,
    columns: &[&str],
) -> Result<(), Failed> {
    let mut done = Vec::new();
    let mut first = None;
    for id in ids {
        match api.send(Method::POST, &format!("/v1/inbox/{id}/{verb}"), None).await {
            Ok(event) => done.push(event),
            Err(failed) if ids.len() == 1 => return Err(failed),
            Err(failed) => {
                eprintln!("{id}: {failed}");
                first.get_or_insert(failed);
            }
        }
    }
    output::rows(form, columns, &done);
    let failures = format!("{} of {} events failed", ids.len() - done.len(), ids.len());
    // What became of each is told already; the first one's exit code stands for all.
    first.map_or(Ok(()), |first| Err(told_as(&first, failures)))
}

/// The same kind of failure, so the same exit code, in other words.
fn told_as(failed: &Failed, text: String) -> Failed {
    match failed {
        Failed::Other(_) => Failed::Other(anyhow!(text)),
        Failed::Usage(_) => Failed::Usage(text),
        Failed::NotFound(_) => Failed::NotFound(text),
        Failed::NotAllowed(_) => Failed::NotAllowed(text),
        Failed::Conflict(_) => Failed::Conflict(text),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use clap::Parser;

    use super::*;

    const ID: &str = "019aa141-0000-7000-8000-000000000001";

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: InboxCommand,
    }

    fn parse(line: &str) -> Result<InboxCommand, clap::Error> {
        let words = std::iter::once("inbox").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.command)
    }

    fn filter_of(line: &str) -> Result<Value, Failed> {
        match parse(line).unwrap() {
            InboxCommand::Replay(args) => filter(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_replay_needs_ids_or_a_filter() {
        for line in ["replay", "replay --yes", "replay --dry-run"] {
            let failed = filter_of(line).unwrap_err();
            assert_eq!(failed.code(), 2, "{line}");
        }
        let parked =
            "replay --status parked --provider vapi --event-kind ended --reason unreadable";
        let expected = json!({
            "status": "parked",
            "provider": "vapi",
            "event_kind": "ended",
            "parked_reason": "unreadable",
        });
        assert_eq!(filter_of(parked).unwrap(), expected);
        assert_eq!(filter_of(&format!("replay {ID}")).unwrap(), json!({ "ids": [ID] }));
    }

    #[test]
    fn lines_that_mean_nothing_are_refused() {
        for line in [
            format!("replay {ID} --status parked"),
            format!("replay {ID} --to 2026-01-01T00:00:00Z"),
            format!("show {ID} --body -o json"),
            "replay 1".to_owned(),
            "discard".to_owned(),
            "show".to_owned(),
            "gaps --status parked".to_owned(),
        ] {
            assert!(parse(&line).is_err(), "{line}");
        }
        for line in [
            "list --status parked --origin spool --limit 5 -o jsonl".to_owned(),
            format!("show {ID} --body"),
            format!("replay {ID} {ID}"),
            format!("discard {ID}"),
            "gaps --provider retell".to_owned(),
        ] {
            assert!(parse(&line).is_ok(), "{line}");
        }
    }

    #[test]
    fn batches_add_up() {
        let mut counts = Counts::default();
        counts.add(&json!({ "matched": 500, "replayable": 400, "replayed": 399 }));
        counts.add(&json!({ "matched": 3, "replayable": 2, "replayed": 2, "next_cursor": null }));
        let expected = Counts { matched: 503, replayable: 402, replayed: 401 };
        assert_eq!(counts, expected);
    }
}
