//! Who is faked.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A third party. Its literal is also the first segment of its paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Vapi: calls and recordings.
    Vapi,
    /// Retell: calls and recordings.
    Retell,
    /// Twilio: messages, calls and recordings.
    Twilio,
    /// Resend: emails.
    Resend,
    /// An OpenAI-compatible model.
    Openai,
    /// Stripe: meter events and customers.
    Stripe,
    /// Supabase: Realtime broadcasts.
    Supabase,
    /// The customers' own webhook receivers.
    Hooks,
}

impl Provider {
    /// Every provider, in the order of the index page.
    pub const ALL: [Self; 8] = [
        Self::Vapi,
        Self::Retell,
        Self::Twilio,
        Self::Resend,
        Self::Openai,
        Self::Stripe,
        Self::Supabase,
        Self::Hooks,
    ];

    /// The literal of paths and of the effect log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vapi => "vapi",
            Self::Retell => "retell",
            Self::Twilio => "twilio",
            Self::Resend => "resend",
            Self::Openai => "openai",
            Self::Stripe => "stripe",
            Self::Supabase => "supabase",
            Self::Hooks => "hooks",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that none of the fakes has.
#[derive(Debug, thiserror::Error)]
#[error("no such fake; one of: vapi, retell, twilio, resend, openai, stripe, supabase, hooks")]
pub struct UnknownProvider;

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == text).ok_or(UnknownProvider)
    }
}
