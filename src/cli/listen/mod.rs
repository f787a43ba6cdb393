//! `postcall listen`: the organization's events, posted to a server on this machine as an endpoint
//! would get them.
//!
//! It follows the live stream, whose frames carry the bytes that deliveries send. Where the stream
//! breaks off it begins again after the last event that was handled, so that none is passed over or
//! comes twice. What the local server refuses is said, and not sent again.

mod receiver;
mod stream;

use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use clap::Args;
use contract::events::{EVENT_TYPES, family, is_subscription, timestamp};
use providers::webhook_out::{new_secret, sign};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::{sync::watch, time::sleep};
use url::Url;
use uuid::Uuid;

use self::{
    receiver::{Outcome, Receiver},
    stream::{Broken, Frame, Stream},
};
use super::{
    Failed, Format, output,
    target::{Target, TargetArgs},
};

/// Before the first attempt to follow again; doubled for each further one.
const SHORTEST_WAIT: Duration = Duration::from_millis(250);
/// An installation that is being deployed is back within minutes.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// `--since`: what happens from now on.
const NOW: &str = "now";

#[derive(Debug, Args)]
pub(super) struct ListenArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Where to post events, as http://127.0.0.1:3000/hooks. Redirects are not followed.
    #[arg(long, value_name = "URL", required_unless_present = "print")]
    forward_to: Option<Url>,
    /// Only these types of events: call.completed, a family as call.*, or * for all.
    #[arg(long, value_delimiter = ',', default_value = "*")]
    events: Vec<String>,
    /// Begin after this event, with `now`, or after 00000000-0000-0000-0000-000000000000 with
    /// the oldest.
    #[arg(long, value_name = "EVENT_ID", default_value = NOW)]
    since: String,
    /// The secret to sign with. Default: a new one, which is printed.
    #[arg(long, value_name = "WHSEC")]
    secret: Option<SecretString>,
    /// Also print what is sent.
    #[arg(long)]
    print: bool,
    /// Take any certificate of the local server.
    #[arg(long)]
    skip_verify: bool,
    /// Form of the output; `json` is one object a line too.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(super) async fn run(args: ListenArgs) -> Result<(), Failed> {
    let since = since(&args)?;
    wanted(&args.events)?;
    let secret = secret(&args)?;
    let receiver = args.forward_to.clone();
    let receiver = receiver.map(|url| Receiver::new(url, secret.clone(), args.skip_verify));
    let receiver = receiver.transpose()?;
    let target = args.target.api()?;
    let stream = Stream::open(&target, since).await?;
    if let Some(url) = &args.forward_to {
        eprintln!("posting {} to {url}", args.events.join(", "));
        eprintln!("signed with {}", secret.expose_secret());
    }
    let listener = Listener { target, receiver, args, asked: since };
    listener.listen(stream, super::stop_signal()).await
}

fn since(args: &ListenArgs) -> Result<Option<Uuid>, Failed> {
    if args.since == NOW {
        return Ok(None);
    }
    let id = args.since.parse();
    id.map(Some).map_err(|_| Failed::Usage("--since: the id of an event, or now".to_owned()))
}

fn wanted(events: &[String]) -> Result<(), Failed> {
    match events.iter().find(|event| !is_subscription(event)) {
        Some(unknown) => Err(Failed::Usage(format!(
            "--events: {unknown:?} is none of {}, a family as call.*, or *",
            EVENT_TYPES.join(", ")
        ))),
        None => Ok(()),
    }
}

fn secret(args: &ListenArgs) -> Result<SecretString, Failed> {
    let Some(secret) = &args.secret else {
        return Ok(new_secret().context("no randomness for a secret")?);
    };
    let unusable = |error| Failed::Usage(format!("--secret: {error}"));
    sign("check", 0, b"", std::slice::from_ref(secret)).map_err(unusable)?;
    Ok(secret.clone())
}

struct Listener {
    target: Target,
    receiver: Option<Receiver>,
    args: ListenArgs,
    /// After which event to begin, until it is known whether there is such an event.
    asked: Option<Uuid>,
}

impl Listener {
    /// Until `stop`, or until the API refuses.
    async fn listen(
        mut self,
        mut stream: Stream,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), Failed> {
        let mut last = self.asked;
        let mut wait = SHORTEST_WAIT;
        loop {
            let broken = tokio::select! {
                broken = self.follow(&mut stream, &mut last, &mut wait) => broken,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            eprintln!("the stream ended ({broken}); going on where it was");
            stream = tokio::select! {
                again = self.again(last, &mut wait) => again?,
                _ = stop.wait_for(|stop| *stop) => break,
            };
        }
        if let Some(last) = last {
            eprintln!("to go on from here: --since {last}");
        }
        Ok(())
    }

    /// Handles every event of a stream, until it breaks.
    async fn follow(
        &mut self,
        stream: &mut Stream,
        last: &mut Option<Uuid>,
        wait: &mut Duration,
    ) -> Broken {
        loop {
            let frame = match stream.next().await {
                Ok(frame) => frame,
                Err(broken) => return broken,
            };
            *wait = SHORTEST_WAIT;
            let Some(id) = frame.id else { continue };
            if frame.event.is_none() && self.asked.take().is_some_and(|asked| asked != id) {
                eprintln!("there is no such event any more: beginning with what happens now");
            }
            self.handle(id, &frame).await;
            // Only now: what is cut off while it is posted is posted again.
            *last = Some(id);
        }
    }

    /// Opens the stream after `last`, as often as it takes.
    async fn again(&self, last: Option<Uuid>, wait: &mut Duration) -> Result<Stream, Failed> {
        loop {
            sleep(*wait).await;
            *wait = (*wait * 2).min(LONGEST_WAIT);
            match Stream::open(&self.target, last).await {
                // It may be there again in a moment.
                Err(Failed::Other(_)) => {}
                opened => return opened,
            }
        }
    }

    async fn handle(&self, id: Uuid, frame: &Frame) {
        let Some(event) = frame.event.as_deref().filter(|event| self.wants(event)) else { return };
        let outcome = match &self.receiver {
            Some(receiver) => Some(receiver.post(&id.to_string(), frame.data.clone()).await),
            None => None,
        };
        self.print(id, event, outcome.as_ref(), &frame.data);
    }

    /// Live events that no endpoint gets are none of the types.
    fn wants(&self, event: &str) -> bool {
        let family = family(event);
        let asked = |wanted: &String| wanted == "*" || wanted == event || *wanted == family;
        EVENT_TYPES.contains(&event) && self.args.events.iter().any(asked)
    }

    fn print(&self, id: Uuid, event: &str, outcome: Option<&Outcome>, body: &str) {
        let now = timestamp(Utc::now());
        if self.args.output == Format::Table {
            let outcome = outcome.map_or_else(String::new, |outcome| format!(" {outcome}"));
            output::line(format_args!("{now} {event} {id}{outcome}"));
            if self.args.print {
                output::line(body);
            }
            return;
        }
        let mut line = json!({ "at": now, "type": event, "id": id });
        if let Some(outcome) = outcome {
            line["status"] = json!(outcome.status);
            line["error"] = json!(outcome.error);
            line["latency_ms"] = json!(outcome.latency_ms());
        }
        if self.args.print {
            line["payload"] = serde_json::from_str(body).unwrap_or(Value::Null);
        }
        output::line(line);
    }
}
