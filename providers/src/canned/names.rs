//! A name server that answers from a script.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::egress::Lookup;

/// One answer: addresses, or none at all.
pub(crate) type Answer = &'static [&'static str];

/// What is known of names, and what was asked.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: HashMap<&'static str, Vec<Answer>>,
    asked: Mutex<Vec<String>>,
    /// Answers wait for permits of it, where it is there.
    gate: Option<Arc<Semaphore>>,
}

impl Names {
    /// The n-th question for a name gets its n-th answer, later ones the last.
    pub(crate) fn new(known: impl IntoIterator<Item = (&'static str, Vec<Answer>)>) -> Self {
        Self { known: known.into_iter().collect(), ..Self::default() }
    }

    /// Each answer needs a permit.
    pub(crate) fn behind(self, gate: &Arc<Semaphore>) -> Self {
        Self { gate: Some(Arc::clone(gate)), ..self }
    }

    /// Every question so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Lookup for Names {
    fn addresses(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let turn = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.push(name.clone());
            asked.iter().filter(|before| **before == name).count() - 1
        };
        let answers = self.known.get(name.trim_end_matches('.'));
        let answer = answers.map(|answers| answers[turn.min(answers.len() - 1)]);
        let gate = self.gate.clone();
        Box::pin(async move {
            if let Some(gate) = gate {
                gate.acquire().await.expect("never closed").forget();
            }
            let answer = answer.ok_or_else(|| io::Error::other("no such name"))?;
            Ok(answer.iter().map(|text| text.parse().expect("an address")).collect())
        })
    }
}
