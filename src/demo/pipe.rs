//! The product itself, on a thread of its own as in its own process: settings, plugin API, collector, queue on disk, sender.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::{App, BuildError, Ended};
use crate::collector;
use crate::config::{Config, Mode, Problems};
use crate::plugin::{self, ApiThread, BindError, Fault};
use crate::queue::Queue;
use crate::telemetry::log::{self, LogError};

/// How often the ledger is looked at while the queue empties.
const LOOK: Duration = Duration::from_millis(20);

/// Why the product does not run (to its end).
#[derive(Debug, thiserror::Error)]
pub(super) enum PipeError {
    #[error("{0}")]
    Settings(#[from] Problems),
    #[error("{0}")]
    Api(#[from] BindError),
    #[error("{0}")]
    Build(#[from] BuildError),
    #[error("{0}")]
    Log(#[from] LogError),
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    #[error("a part of the program panicked")]
    Panicked,
}

type Ran = Result<Ended, PipeError>;

/// The running product.
#[derive(Debug)]
pub(super) struct Pipe {
    queue: Queue,
    shutdown: CancellationToken,
    api: ApiThread,
    main: JoinHandle<Ran>,
}

impl Pipe {
    /// Everything from the settings on. With `log` the program's log goes to standard error.
    pub(super) fn start(settings: &[(&str, String)], api: &Path, log: bool) -> Result<Self, PipeError> {
        let env: BTreeMap<String, String> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let config = Config::from_env(Mode::Plugin, &env)?.config;
        let log = if log { Some(log::init(config.log, io::stderr())?) } else { None };
        let (control, commands) = collector::control();
        let shutdown = CancellationToken::new();
        let api = plugin::serve(api, control, Fault::default(), shutdown.clone())?;
        let app = App::build(config, log)?;
        let queue = app.queue().clone();
        let stopped = shutdown.clone();
        let main = thread::Builder::new().name("demo-plugin".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(app.run(commands, stopped))?)
        })?;
        Ok(Self { queue, shutdown, api, main })
    }

    /// Samples in the queue that the receiver has not taken yet.
    pub(super) fn waiting(&self) -> u64 {
        self.queue.ledger(0).pending
    }

    /// Resolves when nothing waits.
    pub(super) fn empty(&self) -> impl Future<Output = ()> + use<> {
        let queue = self.queue.clone();
        async move {
            while queue.ledger(0).pending > 0 {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// As SIGTERM does; samples delivered in all, by the program's own ledger.
    pub(super) async fn stop(self) -> Result<u64, PipeError> {
        self.shutdown.cancel();
        let (main, api) = (self.main, self.api);
        let joined = tokio::task::spawn_blocking(move || {
            api.join();
            main.join()
        });
        let Ended { ledgers, crashed } =
            joined.await.map_err(|_| PipeError::Panicked)?.map_err(|_| PipeError::Panicked)??;
        if crashed.is_some() {
            return Err(PipeError::Panicked);
        }
        Ok(ledgers.iter().map(|(_, ledger)| ledger.delivered).sum())
    }
}
