//! Which task queue runs which workflows and activities.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use activities::{
    BillingActivities, CallActivities, Clock, ExtractionActivities, Gate, MaintenanceActivities,
    NotificationActivities, OnboardingActivities, RecordingActivities, SweepActivities,
    UsageActivities, WebhookActivities,
};
use anyhow::{Context, anyhow};
use contract::{
    call::Provider,
    ids::OrganizationId,
    names::{BILLING_QUEUE, CALL_PROCESSING_QUEUE, MAINTENANCE_QUEUE, WEBHOOK_DELIVERY_QUEUE},
};
use providers::{
    model::ModelClient,
    recording::{Access, Bases, RecordingSource},
    resend::ResendClient,
    stripe::StripeClient,
    supabase::Broadcaster,
    twilio::TwilioClient,
    webhook_out::WebhookSender,
};
use secrecy::SecretString;
use store::{
    Database, counters::Counters, deliveries::Recorder, objects::Objects, signals, signals::Teller,
};
use temporalio_client::Client;
use temporalio_common::worker::{WorkerDeploymentOptions, WorkerDeploymentVersion};
use temporalio_sdk::{
    Runtime, Worker, WorkerOptions,
    runtime::{
        PollerBehavior,
        worker_tuner::{FixedSizeSlotSupplier, TunerHolder},
    },
};
use tokio::sync::{mpsc, watch};
use workflows::{
    BillingCycle, BillingSweep, CallProcessing, EndpointNotice, LogRetention, MeterErrorReport,
    Onboarding, PartitionMaintenance, ProviderSweep, UsageAggregation, UsageAlert,
    UsageReconciliation, WebhookDelivery, WebhookRecovery,
};

use crate::config::{Config, ProviderConfig};

/// Calls whose state stays in memory between two of their tasks.
const CACHED_WORKFLOWS: usize = 1000;
/// Local steps at once. More than there are database connections only queue there.
const LOCAL_STEPS: usize = 48;
/// Ordinary steps at once: downloads and model answers, which mostly wait.
const REMOTE_STEPS: usize = 64;
/// Runs of workflow code at once.
const WORKFLOW_TASKS: usize = 64;
/// Open requests for work of a queue that every call passes, and of one that few do. Each costs the
/// server also when there is none.
const BUSY_POLLERS: usize = 5;
const QUIET_POLLERS: usize = 2;
/// An activity in progress at a stop has this long before it is cancelled.
const GRACEFUL_SHUTDOWN: Duration = Duration::from_secs(15);
/// A worker that ended by itself starts again after this.
const RESTART_PAUSE: Duration = Duration::from_secs(2);

/// Everything that activities need, made once.
#[derive(Debug, Clone)]
pub struct Room {
    pub(super) calls: CallActivities,
    recordings: RecordingActivities,
    extraction: ExtractionActivities,
    notifications: NotificationActivities,
    pub(super) webhooks: WebhookActivities,
    maintenance: MaintenanceActivities,
    sweep: SweepActivities,
    usage: UsageActivities,
    billing: BillingActivities,
    onboarding: OnboardingActivities,
    pub(super) counters: Counters,
    pub(super) events: Teller,
}

impl Room {
    /// Makes clients of everything that the configuration names.
    pub fn furnish(
        config: &Config,
        db: &Database,
    ) -> anyhow::Result<(Self, mpsc::UnboundedReceiver<OrganizationId>)> {
        let providers = &config.providers;
        let faults = config.faults.clone();
        let egress = config.egress()?;
        let (unprojected, receiver) = mpsc::unbounded_channel();
        let events = Teller::start(db, signals::EVENTS);
        let counters = Counters::new(&config.redis_url)?;
        let Clients { twilio, resend, model, broadcaster, stripe } = Clients::of(providers)?;
        let bases = Bases {
            vapi: &providers.vapi_base_url,
            retell: &providers.retell_base_url,
            twilio: &providers.twilio_base_url,
        };
        let source = RecordingSource::new(egress.clone(), bases, config.recording_max_bytes)?;
        let objects = Objects::new(&config.storage_url, config.storage_options.0.clone())?;
        let db = db.clone();
        let sealer = config.sealer.clone();
        let room = Self {
            calls: CallActivities {
                db: db.clone(),
                counters: counters.clone(),
                unprojected,
                broadcaster,
                events: events.clone(),
                clock: Clock::system(),
                faults: faults.clone(),
            },
            recordings: RecordingActivities {
                db: db.clone(),
                sealer: sealer.clone(),
                fallbacks: own_accounts(providers),
                source,
                objects,
                faults: faults.clone(),
            },
            extraction: ExtractionActivities { db: db.clone(), model, faults: faults.clone() },
            notifications: NotificationActivities {
                db: db.clone(),
                sealer: sealer.clone(),
                twilio,
                resend: resend.clone(),
                look_up_after: config.sms_look_up,
                public_url: config.public_url.clone(),
                faults: faults.clone(),
            },
            webhooks: WebhookActivities {
                db: db.clone(),
                sealer: sealer.clone(),
                sender: WebhookSender::new(&egress)?,
                recorder: Recorder::start(&db),
                gate: Gate::default(),
                resend: resend.clone(),
                clock: Clock::system(),
                queue: events.clone(),
                faults: faults.clone(),
            },
            usage: UsageActivities {
                db: db.clone(),
                counters: counters.clone(),
                sealer: sealer.clone(),
                resend: resend.clone(),
                clock: Clock::system(),
                faults: faults.clone(),
            },
            billing: BillingActivities {
                db: db.clone(),
                counters: counters.clone(),
                stripe: stripe.clone(),
                event_name: providers.stripe_event_name.clone(),
                clock: Clock::system(),
                faults: faults.clone(),
            },
            onboarding: OnboardingActivities {
                db: db.clone(),
                sealer: sealer.clone(),
                stripe,
                resend,
                clock: Clock::system(),
                faults,
            },
            maintenance: MaintenanceActivities { db: db.clone() },
            sweep: SweepActivities {
                vapi_base_url: providers.vapi_base_url.clone(),
                retell_base_url: providers.retell_base_url.clone(),
                twilio_base_url: providers.twilio_base_url.clone(),
                inbox: Teller::start(&db, signals::INBOX),
                db,
                sealer,
            },
            counters,
            events,
        };
        Ok((room, receiver))
    }

    fn options(&self, queue: &str) -> anyhow::Result<WorkerOptions> {
        let build = option_env!("POSTCALL_BUILD").unwrap_or(env!("CARGO_PKG_VERSION"));
        let version = WorkerDeploymentVersion::builder()
            .deployment_name("postcall".to_owned())
            .build_id(build.to_owned())
            .build();
        let tuner = TunerHolder::builder()
            .workflow_task_slot_supplier(FixedSizeSlotSupplier::new(WORKFLOW_TASKS))
            .activity_task_slot_supplier(FixedSizeSlotSupplier::new(REMOTE_STEPS))
            .local_activity_task_slot_supplier(FixedSizeSlotSupplier::new(LOCAL_STEPS))
            .nexus_task_slot_supplier(FixedSizeSlotSupplier::new(1))
            .build();
        let pollers = if queue == CALL_PROCESSING_QUEUE { BUSY_POLLERS } else { QUIET_POLLERS };
        let options = WorkerOptions::new(queue)
            .workflow_task_poller_behavior(PollerBehavior::SimpleMaximum(pollers))
            .activity_task_poller_behavior(PollerBehavior::SimpleMaximum(pollers))
            .max_cached_workflows(CACHED_WORKFLOWS)
            .tuner(tuner)
            .graceful_shutdown_period(GRACEFUL_SHUTDOWN)
            .deployment_options(
                WorkerDeploymentOptions::new(version).use_worker_versioning(false).build(),
            );
        let options = match queue {
            CALL_PROCESSING_QUEUE => options
                .register_workflow::<CallProcessing>()?
                .register_activities(self.calls.clone())
                .register_activities(self.recordings.clone())
                .register_activities(self.extraction.clone())
                .register_activities(self.notifications.clone())
                .register_activities(self.webhooks.clone()),
            WEBHOOK_DELIVERY_QUEUE => options
                .register_workflow::<WebhookDelivery>()?
                .register_workflow::<WebhookRecovery>()?
                .register_workflow::<EndpointNotice>()?
                .register_activities(self.webhooks.clone()),
            BILLING_QUEUE => options
                .register_workflow::<UsageAggregation>()?
                .register_workflow::<UsageReconciliation>()?
                .register_workflow::<UsageAlert>()?
                .register_workflow::<BillingCycle>()?
                .register_workflow::<BillingSweep>()?
                .register_workflow::<MeterErrorReport>()?
                .register_workflow::<Onboarding>()?
                .register_activities(self.usage.clone())
                .register_activities(self.billing.clone())
                .register_activities(self.onboarding.clone()),
            MAINTENANCE_QUEUE => options
                .register_workflow::<PartitionMaintenance>()?
                .register_workflow::<LogRetention>()?
                .register_workflow::<ProviderSweep>()?
                .register_activities(self.maintenance.clone())
                .register_activities(self.sweep.clone()),
            other => return Err(anyhow!("no task queue {other}")),
        };
        Ok(options.build())
    }
}

/// Clients of the third parties that are configured.
struct Clients {
    twilio: Option<TwilioClient>,
    resend: Option<ResendClient>,
    model: Option<ModelClient>,
    broadcaster: Option<Broadcaster>,
    stripe: Option<StripeClient>,
}

impl Clients {
    fn of(providers: &ProviderConfig) -> anyhow::Result<Self> {
        let twilio = providers.twilio.as_ref().map(|(sid, token, from)| {
            TwilioClient::new(&providers.twilio_base_url, sid, token.clone(), from)
        });
        let resend = providers
            .resend
            .as_ref()
            .map(|(key, from)| ResendClient::new(&providers.resend_base_url, key.clone(), from));
        let model = providers
            .openai
            .as_ref()
            .map(|(key, model)| ModelClient::new(&providers.openai_base_url, key.clone(), model));
        let broadcaster =
            providers.supabase.as_ref().map(|(url, key)| Broadcaster::new(url, key.clone()));
        let stripe = providers
            .stripe_secret_key
            .as_ref()
            .map(|key| StripeClient::new(&providers.stripe_base_url, key.clone()));
        Ok(Self {
            stripe: stripe.transpose()?,
            twilio: twilio.transpose()?,
            resend: resend.transpose()?,
            model: model.transpose()?,
            broadcaster: broadcaster.transpose()?,
        })
    }
}

/// The installation's own accounts, for organizations without.
fn own_accounts(providers: &ProviderConfig) -> BTreeMap<Provider, Access> {
    let key = |key: &SecretString| Access { account: String::new(), api_key: key.clone() };
    let twilio = |(account, token, _): &(String, SecretString, String)| Access {
        account: account.clone(),
        api_key: token.clone(),
    };
    let accounts = [
        (Provider::Vapi, providers.vapi_api_key.as_ref().map(key)),
        (Provider::Retell, providers.retell_api_key.as_ref().map(key)),
        (Provider::Twilio, providers.twilio.as_ref().map(twilio)),
    ];
    accounts.into_iter().filter_map(|(provider, access)| Some((provider, access?))).collect()
}

/// Runs a queue's worker on a thread of its own: workflow code is not `Send`, and a flood in one
/// queue must not delay another.
pub(super) fn spawn(
    queue: &str,
    room: &Room,
    runtime: &Arc<Runtime>,
    client: &Client,
    stop: watch::Receiver<bool>,
) -> tokio::task::JoinHandle<()> {
    let (queue, room) = (queue.to_owned(), room.clone());
    let (runtime, client) = (runtime.clone(), client.clone());
    let (ended, wait) = tokio::sync::oneshot::channel::<()>();
    let handle = tokio::runtime::Handle::current();
    let name = format!("worker-{queue}");
    let spawned = std::thread::Builder::new().name(name).spawn(move || {
        handle.block_on(keep_running(&queue, &room, &runtime, &client, stop));
        drop(ended);
    });
    tokio::spawn(async move {
        match spawned {
            Ok(_) => drop(wait.await),
            Err(error) => tracing::error!(%error, "no thread for a worker"),
        }
    })
}

/// A worker ends by itself when the server refuses it for a minute, or on a fatal error of the SDK.
async fn keep_running(
    queue: &str,
    room: &Room,
    runtime: &Runtime,
    client: &Client,
    stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        if let Err(error) = run_once(queue, room, runtime, client, stop.clone()).await {
            tracing::error!(queue, error = format!("{error:#}"), "a worker ended; it starts again");
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }
}

async fn run_once(
    queue: &str,
    room: &Room,
    runtime: &Runtime,
    client: &Client,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut worker = Worker::new(runtime, client.clone(), room.options(queue)?)
        .map_err(|error| anyhow!("{error}"))?;
    let shut_down = worker.shutdown_handle();
    tokio::spawn(async move {
        if stop.wait_for(|stop| *stop).await.is_ok() {
            shut_down();
        }
    });
    worker.run().await.context("worker")
}
