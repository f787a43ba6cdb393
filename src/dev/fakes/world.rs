//! Everything that running fakes hold.

use std::{
    fmt, io,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{
    Effects, Provider,
    clock::{Clock, ahead},
    openai::Openai,
    receiver::Receiver,
    reply::Fake,
    resend::Resend,
    retell::Retell,
    script::Scripts,
    stripe::Stripe,
    supabase::Supabase,
    twilio::Twilio,
    vapi::Vapi,
};

pub(super) struct World {
    pub(super) effects: Effects,
    pub(super) scripts: Scripts,
    pub(super) clock: Clock,
    pub(super) stopping: CancellationToken,
    delays_ms: [AtomicU64; Provider::ALL.len()],
    vapi: Vapi,
    retell: Retell,
    twilio: Twilio,
    resend: Resend,
    openai: Openai,
    pub(super) stripe: Stripe,
    supabase: Supabase,
    receiver: Receiver,
}

impl World {
    /// Opens the log and lets every fake remember what it says.
    pub(super) fn open(
        log_file: Option<&Path>,
        delay: Duration,
        stopping: CancellationToken,
    ) -> io::Result<Self> {
        let (effects, past, clock_seconds) = Effects::open(log_file)?;
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let world = Self {
            effects,
            scripts: Scripts::default(),
            clock: Clock::new(clock_seconds),
            stopping: stopping.clone(),
            delays_ms: std::array::from_fn(|_| AtomicU64::new(delay_ms)),
            vapi: Vapi::default(),
            retell: Retell::default(),
            twilio: Twilio::default(),
            resend: Resend::default(),
            openai: Openai,
            stripe: Stripe::new(stopping),
            supabase: Supabase,
            receiver: Receiver,
        };
        for effect in past.iter().filter(|effect| effect.accepted) {
            let at = ahead(effect.at, effect.clock_seconds);
            world.fake(effect.provider).restore(effect, at);
        }
        Ok(world)
    }

    pub(super) fn fake(&self, provider: Provider) -> &dyn Fake {
        match provider {
            Provider::Vapi => &self.vapi,
            Provider::Retell => &self.retell,
            Provider::Twilio => &self.twilio,
            Provider::Resend => &self.resend,
            Provider::Openai => &self.openai,
            Provider::Stripe => &self.stripe,
            Provider::Supabase => &self.supabase,
            Provider::Hooks => &self.receiver,
        }
    }

    /// The base latency of a provider.
    pub(super) fn delay(&self, provider: Provider) -> Duration {
        Duration::from_millis(self.delays_ms[provider as usize].load(Ordering::Relaxed))
    }

    pub(super) fn set_delay(&self, provider: Provider, ms: u64) {
        self.delays_ms[provider as usize].store(ms, Ordering::Relaxed);
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}
