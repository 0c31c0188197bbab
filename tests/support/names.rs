//! A name server with one name, `receiver.test`, whose addresses change.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use docker_remote_write::remote::Resolver;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::Instant;

#[derive(Default)]
pub(crate) struct NameServer(Mutex<State>);

#[derive(Default)]
struct State {
    /// None: there is no such name.
    addresses: Vec<SocketAddr>,
    asked: Vec<Instant>,
}

impl NameServer {
    pub(crate) fn with(addresses: &[SocketAddr]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { addresses: addresses.to_vec(), asked: Vec::new() })))
    }

    pub(crate) fn moved_to(&self, address: SocketAddr) {
        self.0.lock().unwrap().addresses = vec![address];
    }

    /// When it was asked.
    pub(crate) fn asked(&self) -> Vec<Instant> {
        self.0.lock().unwrap().asked.clone()
    }

    pub(crate) fn resolver(self: &Arc<Self>) -> Resolver {
        Resolver(Arc::clone(self) as Arc<dyn Resolve>)
    }
}

impl Resolve for NameServer {
    fn resolve(&self, name: Name) -> Resolving {
        assert_eq!(name.as_str(), "receiver.test");
        let mut state = self.0.lock().unwrap();
        state.asked.push(Instant::now());
        let addresses = state.addresses.clone();
        Box::pin(async move {
            if addresses.is_empty() {
                return Err(io::Error::other("no such name").into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
