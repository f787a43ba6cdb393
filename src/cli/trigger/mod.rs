//! `postcall trigger`: an example webhook, as the provider would post it.

mod examples;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use contract::call::Provider;
use uuid::Uuid;

use self::examples::Example;
use super::{Failed, output, target::TargetArgs};
use crate::dev::DevState;

pub(super) use self::examples::vapi_body;

macro_rules! fixture {
    ($path:literal) => {
        include_str!(concat!("../../../tests/fixtures/", $path))
    };
}

/// What can be posted.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Event {
    /// Vapi's report of a completed call.
    #[value(name = "vapi.end-of-call-report")]
    VapiReport,
    /// Vapi's word that a call was answered.
    #[value(name = "vapi.status-update.in-progress")]
    VapiInProgress,
    /// Vapi's word that a call is over.
    #[value(name = "vapi.status-update.ended")]
    VapiEnded,
    /// Retell's word that a call was answered.
    #[value(name = "retell.call-started")]
    RetellStarted,
    /// Retell's report of a call, without its analysis.
    #[value(name = "retell.call-ended")]
    RetellEnded,
    /// Retell's report of a call with its analysis.
    #[value(name = "retell.call-analyzed")]
    RetellAnalyzed,
    /// Twilio's word that a call was answered.
    #[value(name = "twilio.answered")]
    TwilioAnswered,
    /// Twilio's word that a call was completed.
    #[value(name = "twilio.completed")]
    TwilioCompleted,
    /// Twilio's word that a call's recording is there.
    #[value(name = "twilio.recording")]
    TwilioRecording,
    /// Stripe's word that the demo organization subscribed now.
    #[value(name = "stripe.customer.subscription.created")]
    StripeSubscribed,
    /// Stripe's word that its subscription changed.
    #[value(name = "stripe.customer.subscription.updated")]
    StripeUpdated,
    /// Stripe's word that its subscription ended.
    #[value(name = "stripe.customer.subscription.deleted")]
    StripeEnded,
    /// Stripe's word that it paid an invoice.
    #[value(name = "stripe.invoice.paid")]
    StripePaid,
    /// Stripe's word that a payment failed.
    #[value(name = "stripe.invoice.payment_failed")]
    StripePaymentFailed,
    /// Stripe's word that usage could not be billed.
    #[value(name = "stripe.v1.billing.meter.error_report_triggered")]
    StripeMeterError,
}

#[derive(Debug, Args)]
pub(super) struct TriggerArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Which webhook.
    #[arg(value_enum)]
    event: Event,
    /// The provider's call id, for Stripe the event's; a new one if not given.
    #[arg(long)]
    provider_call_id: Option<String>,
    /// Stripe's id of the customer; one of the demo organization if not given.
    #[arg(long)]
    customer: Option<String>,
}

pub(super) async fn run(args: &TriggerArgs) -> Result<(), Failed> {
    let dev = args.target.dev()?;
    let id = args.provider_call_id.clone().unwrap_or_else(|| args.event.new_id());
    let customer = args.customer.clone().unwrap_or_else(|| examples::customer(&dev));
    let Example { url, headers, body } = args.event.example(&id, &customer, &dev)?;
    let mut request = reqwest::Client::new().post(&url).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = request.send().await.with_context(|| format!("{url} does not answer"))?;
    if !response.status().is_success() {
        return Err(anyhow!("{url} answered {}", response.status()).into());
    }
    output::line(&id);
    match args.event.provider() {
        Some(_) => eprintln!("posted; see it with: postcall calls list --provider-call-id {id}"),
        None => eprintln!("posted; see what came of it with: postcall billing events"),
    }
    Ok(())
}

impl Event {
    /// Whose call it is about. Nothing for Stripe, which knows of no calls.
    const fn provider(self) -> Option<Provider> {
        Some(match self {
            Self::VapiReport | Self::VapiInProgress | Self::VapiEnded => Provider::Vapi,
            Self::RetellStarted | Self::RetellEnded | Self::RetellAnalyzed => Provider::Retell,
            Self::TwilioAnswered | Self::TwilioCompleted | Self::TwilioRecording => {
                Provider::Twilio
            }
            Self::StripeSubscribed
            | Self::StripeUpdated
            | Self::StripeEnded
            | Self::StripePaid
            | Self::StripePaymentFailed
            | Self::StripeMeterError => return None,
        })
    }

    /// An id as the provider would make it: of a call, for Stripe of an event.
    fn new_id(self) -> String {
        let id = Uuid::now_v7();
        match self.provider() {
            Some(Provider::Vapi) => id.to_string(),
            Some(Provider::Retell) => format!("call_{}", id.simple()),
            Some(Provider::Twilio) => format!("CA{}", id.simple()),
            None => format!("evt_{}", id.simple()),
        }
    }

    /// The webhook about call `id`, or for Stripe with `id` itself, about `customer`.
    fn example(self, id: &str, customer: &str, dev: &DevState) -> anyhow::Result<Example> {
        use examples::{retell, twilio, vapi};
        let call = id;
        let stripe = |text| examples::stripe(text, id, customer, dev);
        match self {
            Self::VapiReport => vapi(fixture!("vapi/end_of_call_report.json"), call, dev),
            Self::VapiInProgress => {
                vapi(fixture!("vapi/status_update_in_progress.json"), call, dev)
            }
            Self::VapiEnded => vapi(fixture!("vapi/status_update_ended.json"), call, dev),
            Self::RetellStarted => retell(fixture!("retell/call_started.json"), call, dev),
            Self::RetellEnded => retell(fixture!("retell/call_ended.json"), call, dev),
            Self::RetellAnalyzed => retell(fixture!("retell/call_analyzed.json"), call, dev),
            Self::TwilioAnswered => {
                Ok(twilio(fixture!("twilio/voice_status_answered.form"), "status", call, dev))
            }
            Self::TwilioCompleted => {
                Ok(twilio(fixture!("twilio/voice_status_completed.form"), "status", call, dev))
            }
            Self::TwilioRecording => Ok(twilio(
                fixture!("twilio/recording_status_completed.form"),
                "recording",
                call,
                dev,
            )),
            Self::StripeSubscribed => stripe(fixture!("stripe/customer.subscription.created.json")),
            Self::StripeUpdated => stripe(fixture!("stripe/customer.subscription.updated.json")),
            Self::StripeEnded => stripe(fixture!("stripe/customer.subscription.deleted.json")),
            Self::StripePaid => stripe(fixture!("stripe/invoice.paid.json")),
            Self::StripePaymentFailed => stripe(fixture!("stripe/invoice.payment_failed.json")),
            Self::StripeMeterError => {
                stripe(fixture!("stripe/v1.billing.meter.error_report_triggered.thin.json"))
            }
        }
    }
}
