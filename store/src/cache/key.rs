//! The names of what is kept, for how long, and in which shape.

use contract::ids::OrganizationId;
use uuid::Uuid;

/// A row, or rows, as Redis names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// An organization: its name, plan and zone.
    Organization(OrganizationId),
    /// What it chose.
    Settings(OrganizationId),
    /// Its last calls.
    RecentCalls(OrganizationId),
    /// Its assistants that are active.
    Assistants(OrganizationId),
    /// Its phone numbers.
    PhoneNumbers(OrganizationId),
    /// What its calls of today come to.
    CallsToday(OrganizationId),
    /// How many of its calls are in progress.
    ActiveCalls(OrganizationId),
    /// An assistant.
    Assistant(Uuid),
    /// A template, by its slug.
    Template(String),
    /// A user.
    User(Uuid),
}

impl Key {
    /// What is kept of what an organization sets.
    pub const fn of_settings(id: OrganizationId) -> [Self; 4] {
        [Self::Organization(id), Self::Settings(id), Self::Assistants(id), Self::PhoneNumbers(id)]
    }

    /// The key in Redis.
    pub fn name(&self) -> String {
        match self {
            Self::Organization(id) => format!("org:{id}"),
            Self::Settings(id) => format!("org:{id}:settings"),
            Self::RecentCalls(id) => format!("org:{id}:calls:recent"),
            Self::Assistants(id) => format!("org:{id}:assistants"),
            Self::PhoneNumbers(id) => format!("org:{id}:phone_numbers"),
            Self::CallsToday(id) => format!("org:{id}:calls:today"),
            Self::ActiveCalls(id) => format!("org:{id}:active_calls"),
            Self::Assistant(id) => format!("assistant:{id}"),
            Self::Template(slug) => format!("template:{slug}"),
            Self::User(id) => format!("user:{id}"),
        }
    }

    /// How long a value is kept, in seconds.
    pub const fn seconds(&self) -> u64 {
        match self {
            Self::Organization(_)
            | Self::Settings(_)
            | Self::Assistants(_)
            | Self::PhoneNumbers(_)
            | Self::Assistant(_) => 300,
            Self::RecentCalls(_) => 10,
            Self::CallsToday(_) => 86_400,
            Self::ActiveCalls(_) | Self::Template(_) => 3600,
            Self::User(_) => 600,
        }
    }

    /// Stands before a value of this release's shape: it changes whenever the shape does.
    pub(crate) const fn shape(&self) -> &'static str {
        match self {
            // A number, as counters are.
            Self::ActiveCalls(_) => "",
            _ => "1:",
        }
    }

    /// What metrics call it.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Organization(_) => "organization",
            Self::Settings(_) => "settings",
            Self::RecentCalls(_) => "recent_calls",
            Self::Assistants(_) => "assistants",
            Self::PhoneNumbers(_) => "phone_numbers",
            Self::CallsToday(_) => "calls_today",
            Self::ActiveCalls(_) => "active_calls",
            Self::Assistant(_) => "assistant",
            Self::Template(_) => "template",
            Self::User(_) => "user",
        }
    }
}
