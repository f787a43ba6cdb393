//! Which TCP ports the servers listen on.
//!
//! Ports are remembered beside the data, so that URLs stay the same from one start to the next.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::ServerError;

/// Below the range from which systems take ports for outgoing connections (32768 and up on
/// Linux, 49152 and up on macOS): a client's connection can then neither take a port before its
/// server binds it, nor connect to itself while the server is down.
const FROM: u16 = 20_000;
const TO: u16 = 31_999;

/// How many random ports are tried. With fewer than half of the range taken, 200 misses in a row
/// do not happen.
const ATTEMPTS: usize = 200;

/// A listener on this machine accepts at once, or its queue is full and it counts as one too.
const CONNECT_LIMIT: Duration = Duration::from_millis(200);

/// See [`becomes_free`].
const LOOKS: u32 = 3;
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The ports of one set of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ports {
    pub(super) postgres: u16,
    pub(super) redis: u16,
    pub(super) temporal: u16,
    pub(super) temporal_ui: u16,
    pub(super) temporal_http: u16,
    pub(super) temporal_metrics: u16,
}

/// Where the servers listen by default, which is where people look first.
const USUAL: Ports = Ports {
    postgres: 5432,
    redis: 6379,
    temporal: 7233,
    temporal_ui: 8233,
    temporal_http: 0,
    temporal_metrics: 0,
};

impl Ports {
    /// Takes each port from `remembered` when it is still free, else the usual one when
    /// `preferred`, else any free one. All are distinct.
    pub(super) fn choose(remembered: Option<Self>, preferred: bool) -> Result<Self, ServerError> {
        let before = remembered.unwrap_or(NONE);
        let usual = if preferred { USUAL } else { NONE };
        let mut taken = Vec::new();
        let mut pick = |field: fn(&Self) -> u16| pick(&mut taken, field(&before), field(&usual));
        Ok(Self {
            postgres: pick(|p| p.postgres)?,
            redis: pick(|p| p.redis)?,
            temporal: pick(|p| p.temporal)?,
            temporal_ui: pick(|p| p.temporal_ui)?,
            temporal_http: pick(|p| p.temporal_http)?,
            temporal_metrics: pick(|p| p.temporal_metrics)?,
        })
    }

    /// The ports of the last start, if there was one. A file that cannot be understood counts as
    /// none: it holds nothing that cannot be chosen anew.
    pub(super) fn load(file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    /// Remembers the ports for the next start.
    pub(super) fn save(&self, file: &Path) -> Result<(), ServerError> {
        let text = serde_json::json!(self).to_string();
        let new = file.with_extension("new");
        fs::write(&new, text).map_err(ServerError::file("write", &new))?;
        fs::rename(&new, file).map_err(ServerError::file("replace", file))
    }
}

/// Port 0 stands for "no wish".
const NONE: Ports = Ports {
    postgres: 0,
    redis: 0,
    temporal: 0,
    temporal_ui: 0,
    temporal_http: 0,
    temporal_metrics: 0,
};

fn pick(taken: &mut Vec<u16>, remembered: u16, usual: u16) -> Result<u16, ServerError> {
    for wish in [remembered, usual] {
        if wish != 0 && !taken.contains(&wish) && becomes_free(wish) {
            taken.push(wish);
            return Ok(wish);
        }
    }
    for _ in 0..ATTEMPTS {
        let random = getrandom::u32().map_err(ServerError::Random)?;
        let offset = u16::try_from(random % u32::from(TO - FROM + 1)).unwrap_or_default();
        let port = FROM + offset;
        if !taken.contains(&port) && is_free(port) {
            taken.push(port);
            return Ok(port);
        }
    }
    Err(ServerError::NoFreePort { from: FROM, to: TO })
}

/// Looks more than once: a child process that another thread has forked holds our own listeners
/// of a moment ago until it becomes its program, and a port that changes for that is a nuisance.
fn becomes_free(port: u16) -> bool {
    (0..LOOKS).any(|look| {
        if look > 0 {
            thread::sleep(LOOK_AGAIN);
        }
        is_free(port)
    })
}

/// Whether nothing listens there. Binding alone is not enough on macOS, where a listener on all
/// addresses does not prevent one on 127.0.0.1.
fn is_free(port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port);
    TcpListener::bind(address).is_ok()
        && TcpStream::connect_timeout(&address.into(), CONNECT_LIMIT).is_err()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn remembered_ports_are_used_again_unless_taken() {
        let first = Ports::choose(None, false).unwrap();
        assert_eq!(Ports::choose(Some(first), true).unwrap(), first);

        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, first.redis)).unwrap();
        let second = Ports::choose(Some(first), false).unwrap();
        assert_ne!(second.redis, first.redis);
        assert_eq!(Ports { redis: first.redis, ..second }, first);
    }

    #[test]
    fn a_listener_on_all_addresses_takes_the_port() {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()));
    }

    #[test]
    fn a_port_is_not_chosen_twice() {
        let mut taken = vec![];
        let first = pick(&mut taken, 0, 0).unwrap();
        assert_ne!(pick(&mut taken, first, first).unwrap(), first);
        assert!((FROM..=TO).contains(&first));
    }

    #[test]
    fn ports_are_remembered_and_garbage_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ports.json");
        assert_eq!(Ports::load(&file), None);
        USUAL.save(&file).unwrap();
        assert_eq!(Ports::load(&file), Some(USUAL));
        fs::write(&file, "{\"redis\": -1}").unwrap();
        assert_eq!(Ports::load(&file), None);
    }
}
