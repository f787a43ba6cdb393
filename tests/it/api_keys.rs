//! API keys as customers manage them: told once, in force and out of force at once.

mod changes;
mod manage;
mod usage;
