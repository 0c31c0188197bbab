//! What the settings ask of the system, for the sandbox: which paths, which ports.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::model::SecretSource;
use crate::plugin::{ApiThread, BindError, Bound, Pages};
use crate::queue::{self, Storage};
use crate::remote::{Auth, Pem};
use crate::sandbox::{self, Needs, Privileges, Report};
use crate::scrape;
use crate::telemetry::{Address, Serving};

/// How often the resolver's files are looked at. Nothing resolves in between but what was resolved before.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The pages' socket, where nobody names another.
const TELEMETRY_SOCKET: &str = "telemetry.sock";

/// What happened before there was a log.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) report: Report,
    /// Why the queue's directory is not there, or may be gone after a power loss.
    remark: Option<String>,
    /// Where our own pages are to be served; bound, or why not.
    telemetry: Option<(Address, Result<Bound, BindError>)>,
}

/// The thread of our own pages, if there is one.
#[derive(Debug, Default)]
pub(super) struct PagesThread {
    pub(super) pages: Pages,
    cancel: CancellationToken,
    thread: Option<ApiThread>,
}

/// Makes the queue's directory and confines the calling thread, and those that it starts, to what `config` needs; without a `config` (bad settings)
/// to nothing. The telemetry socket is bound before that; `api` is dockerd's, if there is one; where it is not `served` yet, it can still be bound. `privileges` are those that the process gave up, `None` with `SANDBOX=off`. Blocks while the disk does.
pub(super) fn confine(
    config: Option<&Config>,
    api: Option<&Path>,
    served: bool,
    privileges: Option<Privileges>,
) -> Prepared {
    // Afterwards a missing directory could not be made: its parent is not ours.
    let remark = match config.map(|config| &config.queue.storage) {
        Some(Storage::Disk(dir)) => {
            queue::make_directory(dir).unwrap_or_else(|error| Some(error.to_string()))
        }
        Some(Storage::Memory) | None => None,
    };
    let telemetry = config.and_then(|config| telemetry_address(config, api));
    let (report, telemetry) = match privileges {
        Some(privileges) => {
            let mut needs = config.map(needs).unwrap_or_default();
            if let Some(Address::Unix(path)) = &telemetry {
                needs.removable_in.push(directory_of(path));
            }
            if !served {
                needs.sockets_in.extend(api.map(directory_of));
            }
            let telemetry = telemetry.map(bind);
            (Report::On { privileges, confinement: sandbox::confine(&needs) }, telemetry)
        }
        None => (Report::Off, telemetry.map(bind)),
    };
    Prepared { report, remark, telemetry }
}

fn bind(address: Address) -> (Address, Result<Bound, BindError>) {
    let bound = Bound::bind(&address);
    (address, bound)
}

fn telemetry_address(config: &Config, api: Option<&Path>) -> Option<Address> {
    match (&config.telemetry, api) {
        (Serving::Off, _) | (Serving::BesideTheApi, None) => None,
        (Serving::BesideTheApi, Some(api)) => Some(Address::Unix(api.with_file_name(TELEMETRY_SOCKET))),
        (Serving::At(address), _) => Some(address.clone()),
    }
}

impl Prepared {
    /// Says what is in force.
    pub(super) fn log(&self) {
        self.report.log();
        if let Some(remark) = &self.remark {
            warn!("{remark}");
        }
    }

    /// Serves our own pages, if they are to be served. A reason against it costs the pages, not the samples.
    pub(super) fn serve_pages(&mut self) -> PagesThread {
        let mut served = PagesThread::default();
        let Some((address, bound)) = self.telemetry.take() else { return served };
        match bound.and_then(|bound| bound.serve_pages(served.pages.clone(), served.cancel.clone())) {
            Ok(thread) => {
                info!(%address, "serving /metrics, /status, /-/healthy and /-/ready");
                served.thread = Some(thread);
            }
            Err(error) => warn!(%error, "TELEMETRY_ADDRESS is not served; everything else goes on"),
        }
        served
    }
}

impl PagesThread {
    /// Waits for the thread to remove its socket, about a second at most.
    pub(super) fn end(self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread {
            thread.join();
        }
    }
}

/// Of the thread that answers dockerd: it opens nothing, and removes its socket at the end.
pub(super) fn api_needs(socket: &Path) -> Needs {
    Needs { removable_in: vec![directory_of(socket)], ..Needs::default() }
}

fn directory_of(socket: &Path) -> PathBuf {
    socket.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn needs(config: &Config) -> Needs {
    let mut needs = Needs { resolver: true, own_process: true, ..Needs::default() };
    if let Storage::Disk(dir) = &config.queue.storage {
        needs.writable.push(dir.clone());
    }
    needs.files.extend(config.scrape.rules_file.clone());
    if let scrape::Address::Http(url) = &config.scrape.address {
        needs.connect.extend(url.port_or_known_default());
    }
    for endpoint in &config.endpoints {
        needs.connect.extend(endpoint.url.port_or_known_default());
        needs.files.extend(files(endpoint));
    }
    needs
}

fn files(endpoint: &crate::remote::Config) -> Vec<PathBuf> {
    let secret = match &endpoint.auth {
        Auth::None => None,
        Auth::Basic { password, .. } => password.as_ref(),
        Auth::Bearer(source) => Some(source),
    };
    let secret = secret.and_then(|source| match source {
        SecretSource::File(path) => Some(path.clone()),
        SecretSource::Inline(_) => None,
    });
    let in_file = |pem: &Pem| match pem {
        Pem::File(path) => Some(path.clone()),
        Pem::Inline(_) => None,
    };
    let ca = endpoint.tls.ca.as_ref().and_then(in_file);
    let identity = endpoint.tls.identity.as_ref();
    let identity = identity.into_iter().flat_map(|(certificate, key)| [in_file(certificate), in_file(key)]);
    secret.into_iter().chain(ca).chain(identity.flatten()).collect()
}

/// Says when a file of the resolver was replaced that the sandbox knows by its inode alone: names may no longer resolve then, and nobody would
/// look here for the reason. Never ends; may be dropped at any time.
pub(super) async fn watch_resolver(sandboxed: bool) -> Infallible {
    if !sandboxed {
        return std::future::pending().await;
    }
    let mut said = Vec::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Ok(replaced) = tokio::task::spawn_blocking(sandbox::replaced_resolver_files).await else {
            continue;
        };
        if replaced == said {
            continue;
        }
        match replaced.is_empty() {
            false => error!(
                files = ?replaced,
                "files of the resolver were replaced, and the sandbox cannot read the new ones: names may not resolve until this process is started \
                 anew (or with SANDBOX=off)"
            ),
            true => info!("the files of the resolver can be read again"),
        }
        said = replaced;
    }
}
