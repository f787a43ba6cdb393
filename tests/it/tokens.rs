//! Users who come with access tokens of Supabase.

mod forged;
mod members;
mod supabase;

use std::time::Duration;

/// For what must happen.
const PATIENCE: Duration = Duration::from_secs(30);
