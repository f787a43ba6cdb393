//! Named points before, between and after effects, where a test kills or fails the process.
//!
//! Compiled in by the feature `faults` only; a release build has the points as nothing at all.

use temporalio_sdk::activities::ActivityError;

/// The points of a call, in the order in which it passes them.
pub const OF_CALLS: &[&str] = &[
    "finish.before",
    "finish.after",
    "recording.before",
    "recording.written",
    "recording.after",
    "extract.before",
    "extract.answered",
    "extract.after",
    "sms.before",
    "sms.claimed",
    "sms.posted",
    "sms.after",
    "email.before",
    "email.claimed",
    "email.posted",
    "email.after",
    "webhooks.before",
    "webhooks.claimed",
    "webhooks.sending",
    "webhooks.posted",
    "webhooks.settled",
    "webhooks.after",
    "close.before",
    "close.written",
    "close.after",
];

/// The points of a day of usage, of a period, of an alert and of a new organization.
pub const OF_BOOKS: &[&str] = &[
    "aggregate.before",
    "aggregate.after",
    "due.before",
    "due.after",
    "freeze.before",
    "freeze.after",
    "report.before",
    "report.claimed",
    "report.posted",
    "report.settled",
    "close-period.before",
    "close-period.written",
    "close-period.after",
    "alert.before",
    "alert.claimed",
    "alert.posted",
    "alert.after",
    "customer.before",
    "customer.claimed",
    "customer.made",
    "customer.linked",
    "customer.after",
    "furnish.before",
    "furnish.after",
    "letter.before",
    "letter.claimed",
    "letter.posted",
    "letter.settled",
    "letter.after",
    "onboarded.before",
    "onboarded.after",
];

/// The points of endpoints: of deliveries that are given up, of those made again in bulk, and of letters
/// about their health.
pub const OF_ENDPOINTS: &[&str] = &[
    "give-up.before",
    "give-up.after",
    "recover.before",
    "recover.after",
    "notice.before",
    "notice.claimed",
    "notice.posted",
    "notice.after",
];

/// Every point.
pub fn points() -> impl Iterator<Item = &'static str> {
    OF_CALLS.iter().chain(OF_BOOKS).chain(OF_ENDPOINTS).copied()
}

#[cfg(feature = "faults")]
pub use armed::Faults;
#[cfg(not(feature = "faults"))]
pub use unarmed::Faults;

#[cfg(not(feature = "faults"))]
mod unarmed {
    use super::ActivityError;

    /// No faults.
    #[derive(Debug, Clone, Default)]
    pub struct Faults;

    impl Faults {
        pub(crate) async fn point(&self, _name: &'static str) -> Result<(), ActivityError> {
            Ok(())
        }
    }
}

#[cfg(feature = "faults")]
mod armed {
    use std::{
        fs,
        io::Write,
        path::PathBuf,
        process::Command,
        sync::{Arc, Mutex, PoisonError},
    };

    use super::{ActivityError, points};
    use crate::failure::failure;

    /// Which points do what, how often, and where it is noted that they did.
    #[derive(Debug, Clone, Default)]
    pub struct Faults {
        armed: Arc<Vec<Fault>>,
        log: Option<PathBuf>,
        firing: Arc<Mutex<()>>,
    }

    #[derive(Debug)]
    struct Fault {
        point: String,
        action: Action,
        times: usize,
    }

    #[derive(Debug, Clone, Copy)]
    enum Action {
        Kill,
        Fail,
    }

    impl Faults {
        /// Parses `sms.posted=kill,finish.before=fail*3`. Each fires at most its number of times
        /// over all processes that share the file `log`, which gets a line for each.
        pub fn parse(text: &str, log: PathBuf) -> Result<Self, String> {
            let armed: Result<Vec<_>, _> =
                text.split(',').filter(|part| !part.is_empty()).map(parse_fault).collect();
            Ok(Self { armed: Arc::new(armed?), log: Some(log), firing: Arc::default() })
        }

        pub(crate) async fn point(&self, name: &'static str) -> Result<(), ActivityError> {
            let Some(fault) = self.armed.iter().find(|fault| fault.point == name) else {
                return Ok(());
            };
            if !self.fires(fault) {
                return Ok(());
            }
            match fault.action {
                Action::Kill => {
                    let pid = std::process::id().to_string();
                    // The shell's own `kill`: a small Debian has no other.
                    let killed =
                        Command::new("sh").args(["-c", &format!("kill -9 {pid}")]).status();
                    Err(failure("Fault", format!("kill -9 did nothing: {killed:?}"), true, None))
                }
                Action::Fail => Err(failure("Fault", format!("fault at {name}"), true, None)),
            }
        }

        fn fires(&self, fault: &Fault) -> bool {
            let Some(log) = &self.log else { return false };
            // Many may come there at once.
            let _firing = self.firing.lock().unwrap_or_else(PoisonError::into_inner);
            let fired = fs::read_to_string(log).unwrap_or_default();
            if fired.lines().filter(|line| *line == fault.point).count() >= fault.times {
                return false;
            }
            let file = fs::OpenOptions::new().create(true).append(true).open(log);
            file.and_then(|mut file| writeln!(file, "{}", fault.point)).is_ok()
        }
    }

    fn parse_fault(text: &str) -> Result<Fault, String> {
        let (point, action) =
            text.split_once('=').ok_or_else(|| format!("{text:?} is not point=action"))?;
        if points().all(|known| known != point) {
            return Err(format!("no fault point {point:?}; see `postcall faults list`"));
        }
        let (action, times) = action.split_once('*').unwrap_or((action, "1"));
        let times = times.parse().map_err(|_| format!("{times:?} is not a number of times"))?;
        let action = match action {
            "kill" => Action::Kill,
            "fail" => Action::Fail,
            other => return Err(format!("no action {other:?}; kill or fail")),
        };
        Ok(Fault { point: point.to_owned(), action, times })
    }
}
