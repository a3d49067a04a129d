//! From a configuration to a running server, and back down in order.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, sync::Notify, task::spawn_blocking};

use crate::{
    accounts::{AccountError, claim},
    appliance::{
        Appliance, DATA_FILE,
        administration::{Answer, Command, Refused},
        background::Background,
        data_file, deliverer, directory,
        execute::{Begun, Known, begin},
        local,
        metrics::{self, MetricsTokenError},
        notify,
        outbound::{EgressCaError, Ways},
        routes::ROUTES,
        safekeeping::Readers,
        socket::{self, Response},
        upstreams,
    },
    config::{
        Config,
        environment::Environment,
        serving::{Listen, PublicSource, Serving, TlsSource, Transport, Unavailable, Unservable},
        setting::{self, Setting},
    },
    crypto::entropy::Entropy,
    experiments::{Experiments, available_safe},
    http::{
        figures::Figures,
        limits::Limits,
        server::{self, PeerFilter},
        tls::{CertificateError, Certificates},
    },
    mcp::{Mcp, UnknownTool, upstreams::Upstreams},
    model::{
        credential::Credential,
        public_url::PublicUrl,
        timestamp::Timestamp,
        upstream::{Upstream, UpstreamName},
    },
    oauth2provider::Provider,
    runtime::{
        child::Launcher,
        clock::{Clock, SystemClock},
        entropy::OsEntropy,
        logs::{self, LogsError},
        outbound::OutboundError,
        signals::{self, Reload, Stop},
    },
    store::{Store, StoreError, meta, notifications, pushes, sweep::Kept},
    web::{
        self, Web, health::Probe, oauth2::metadata::RenderedDocuments, passwords::PasswordDesk,
        push::Vouchers, throttle::Throttle, watchers::Watchers,
    },
};

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings contradict each other.
    #[error(transparent)]
    Unservable(#[from] Unservable),
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] directory::DirectoryError),
    /// There is no data file, and the command does not make one.
    #[error(
        "no data file in {}: expected the directory of a box; `keystead serve` makes one",
        .0.display()
    )]
    NoBox(PathBuf),
    /// The data file cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configuration names an upstream at an address that is never called.
    #[error("upstream.url of {name}: {cause}")]
    Upstream {
        /// Which.
        name: UpstreamName,
        /// Why it is not.
        cause: OutboundError,
    },
    /// The administration socket cannot be made.
    #[error(transparent)]
    Socket(#[from] socket::BindError),
    /// A tool is to be off that there is not.
    #[error(transparent)]
    UnknownTool(#[from] UnknownTool),
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The token of who reads the metrics cannot be used.
    #[error(transparent)]
    MetricsToken(#[from] MetricsTokenError),
    /// Whom to trust beside the machine's own authorities cannot be read.
    #[error(transparent)]
    EgressCa(#[from] EgressCaError),
    /// The log cannot be started.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// Another program listens there, or the machine does not have the address.
    #[error("cannot listen on {address}: {cause}: {hint}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
        /// What to do.
        hint: String,
    },
    /// The operating system gives no threads or no signals.
    #[error("cannot start: {0}")]
    System(io::Error),
    /// What is announced cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

/// What a person is told once the server answers.
#[derive(Debug)]
pub struct Ready {
    /// Where.
    pub public_url: PublicUrl,
    /// The link by which the box gets its owner, while it has none, and for how long it works.
    pub claim: Option<(String, Duration)>,
    /// Where the certificate of the built-in CA is.
    pub ca_certificate: Option<PathBuf>,
}

/// Serves until it is told to stop. `announce` is called once, when it answers.
pub fn serve(
    config: &Config,
    environment: &Environment,
    announce: impl FnOnce(&Ready) -> io::Result<()>,
) -> Result<(), StartError> {
    let serving = config.network.plan()?;
    judge(&config.upstreams)?;
    logs::init(config.log)?;
    directory::prepare(&config.data_dir, DATA_FILE)?;
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    let store = Arc::new(Store::open(&data_file(&config.data_dir), &*entropy)?);
    let launcher = Launcher::of_this_binary().map_err(StartError::System)?;
    let ways = Ways::open(config, environment, launcher)?;
    let runtime = runtime().map_err(StartError::System)?;
    runtime.block_on(run(config, serving, store, entropy, ways, announce))
}

/// What could never be called is said before anything listens, and not to who calls.
fn judge(configured: &[Upstream]) -> Result<(), StartError> {
    for upstream in configured {
        upstreams::judge(upstream).map_err(|cause| StartError::Upstream {
            name: upstream.name.clone(),
            cause,
        })?;
    }
    Ok(())
}

/// As many threads as there are cores for this process. On one core there is nothing to share the
/// tasks with, and what a scheduler of several threads costs is a tenth of what a request does.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    use tokio::runtime::Builder;
    let mut builder = match std::thread::available_parallelism() {
        Ok(cores) if cores.get() > 1 => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    builder.enable_all().build()
}

async fn run(
    config: &Config,
    serving: Serving,
    store: Arc<Store>,
    entropy: Arc<dyn Entropy>,
    ways: Ways,
    announce: impl FnOnce(&Ready) -> io::Result<()>,
) -> Result<(), StartError> {
    answer_in_runtime(&store);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut stop = Stop::listen().map_err(StartError::System)?;
    let reload = Reload::listen().map_err(StartError::System)?;
    signals::outlive_file_limit().map_err(StartError::System)?;
    let listeners = listen(&serving.listen).await?;
    let for_metrics = listen_for_metrics(config.metrics.listen).await?;
    let public_url = public_url(&serving, &listeners);
    let certificates = certificates(config, &serving, &public_url, &*clock)?.map(Arc::new);
    let app = build(
        config,
        public_url,
        &store,
        &entropy,
        &clock,
        certificates
            .as_deref()
            .and_then(Certificates::ca_pem)
            .map(str::to_owned),
        ways,
    )?;
    let admin = socket::Listener::bind(&config.data_dir)?;

    let claim = open_claim(config, &store, &entropy, &*clock).await?;
    deliverer::prepare(&app.web).await?;
    warn_of_what_is_off(config);
    let url = &app.web.provider.public_url;
    tracing::info!(%url, data = %config.data_dir.display(), "serving");
    let background = Background::start(&app, kept(config), reload, certificates.clone());
    announce(&ready(config, &app.web, claim)).map_err(StartError::Output)?;

    let (stopping, stopped) = tokio::sync::watch::channel(());
    let handler = administer(Arc::clone(&app));
    let admin = tokio::spawn(socket::serve(
        admin,
        handler,
        until_dropped(stopped.clone()),
    ));
    let metrics = tokio::spawn(serve_metrics(for_metrics, Arc::clone(&app), stopped));
    let peers = match serving.transport {
        Transport::Tls(_) => PeerFilter::Everyone,
        Transport::Plain { proxies } => PeerFilter::LoopbackAnd(proxies),
    };
    server::serve(
        listeners,
        app,
        certificates,
        peers,
        Limits::default(),
        stop.requested(),
    )
    .await;
    tracing::info!("stopping");
    drop(stopping);
    for (what, task) in [
        ("the administration socket", admin),
        ("the listener for metrics", metrics),
    ] {
        if let Err(error) = task.await {
            tracing::error!(%error, "{what} did not end in order");
        }
    }
    background.stop().await;
    Ok(())
}

fn kept(config: &Config) -> Kept {
    Kept {
        audit: config.lifetimes.audit_kept,
        notifications: config.lifetimes.notifications_kept,
    }
}

fn ready(config: &Config, web: &Web, claim: Option<Credential>) -> Ready {
    let public_url = &web.provider.public_url;
    let has_ca = web.ca_pem.is_some();
    Ready {
        claim: claim.map(|credential| {
            let path = format!("/claim/{}", credential.reveal());
            (public_url.join(&path), config.lifetimes.claim_ttl)
        }),
        ca_certificate: has_ca.then(|| config.data_dir.join("ca.crt")),
        public_url: public_url.clone(),
    }
}

/// The callers of one commit are answered by one task.
fn answer_in_runtime(store: &Store) {
    let runtime = tokio::runtime::Handle::current();
    store.answer_by(move |answers| drop(runtime.spawn(async move { answers() })));
}

/// Done once nobody holds the other end.
async fn until_dropped(mut stopped: tokio::sync::watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

async fn listen(places: &[Listen]) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for place in places {
        // Where the system chose a port for the first, the others take the same.
        let mut address = place.address;
        if address.port() == 0
            && let Some(Ok(first)) = listeners.first().map(TcpListener::local_addr)
        {
            address.set_port(first.port());
        }
        match (server::bind(address).await, place.unavailable) {
            (Ok(listener), _) => listeners.push(listener),
            (Err(error), Unavailable::Skip) if is_missing(&error) => {
                tracing::debug!(%address, %error, "not listening there");
            }
            (Err(error), Unavailable::Instead(other)) if is_missing(&error) => {
                let bound = server::bind(other).await;
                listeners
                    .push(bound.map_err(|cause| cannot_listen(other, cause, &setting::LISTEN))?);
            }
            (Err(cause), _) => return Err(cannot_listen(address, cause, &setting::LISTEN)),
        }
    }
    Ok(listeners)
}

async fn listen_for_metrics(place: Option<SocketAddr>) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = place else {
        return Ok(None);
    };
    let bound = server::bind(address).await;
    bound
        .map(Some)
        .map_err(|cause| cannot_listen(address, cause, &setting::METRICS_LISTEN))
}

/// Serves the metrics on a listener of their own, if there is one, until the other end is dropped.
async fn serve_metrics(
    listener: Option<TcpListener>,
    app: Arc<Appliance>,
    stopped: tokio::sync::watch::Receiver<()>,
) {
    let Some(listener) = listener else { return };
    match listener.local_addr() {
        Ok(address) => tracing::info!(%address, "metrics at /metrics, for this machine"),
        Err(error) => tracing::warn!(%error, "metrics are served at an address that is not known"),
    }
    let own = Arc::new(metrics::Own::new(app));
    let peers = PeerFilter::LoopbackAnd(Vec::new());
    let stop = until_dropped(stopped);
    server::serve(vec![listener], own, None, peers, metrics::LIMITS, stop).await;
}

/// Whether the machine does not have such an address, as when IPv6 is turned off.
fn is_missing(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, Unsupported};
    matches!(error.kind(), AddrNotAvailable | Unsupported)
        || error.raw_os_error() == Some(EAFNOSUPPORT)
}

/// "Address family not supported by protocol", which has no kind of its own.
const EAFNOSUPPORT: i32 = 97;

fn cannot_listen(address: SocketAddr, cause: io::Error, setting: &Setting) -> StartError {
    let flag = setting.flag().unwrap_or_default();
    let hint = match cause.kind() {
        io::ErrorKind::AddrInUse => {
            format!("stop the program that has it, or choose another with --{flag}")
        }
        io::ErrorKind::PermissionDenied => format!(
            "ports below 1024 need a right; choose another with --{flag}, or see packaging/"
        ),
        _ => format!("choose another with --{flag}"),
    };
    StartError::Listen {
        address,
        cause,
        hint,
    }
}

fn public_url(serving: &Serving, listeners: &[TcpListener]) -> PublicUrl {
    match &serving.public_url {
        PublicSource::Given(url) => url.clone(),
        PublicSource::FirstListener => {
            let port = listeners
                .first()
                .and_then(|listener| listener.local_addr().ok());
            let port = port.map_or(0, |address| address.port());
            format!("http://localhost:{port}")
                .parse()
                .expect("localhost is a public URL")
        }
    }
}

fn certificates(
    config: &Config,
    serving: &Serving,
    public_url: &PublicUrl,
    clock: &dyn Clock,
) -> Result<Option<Certificates>, StartError> {
    let now = clock.now();
    Ok(match &serving.transport {
        Transport::Plain { .. } => None,
        Transport::Tls(TlsSource::Files { cert, key }) => {
            Some(Certificates::from_files(cert, key, now)?)
        }
        Transport::Tls(TlsSource::BuiltIn) => {
            let names = certificate_names(public_url, &serving.listen);
            let certificates = Certificates::from_built_in_ca(&config.data_dir, names, now)?;
            let ca = config.data_dir.join("ca.crt");
            tracing::info!(
                ca = %ca.display(),
                url = public_url.join("/ca.crt"),
                "the built-in CA signs the certificate; machines that connect have to trust it"
            );
            Some(certificates)
        }
    })
}

/// The public host, and the addresses that were named to listen on.
fn certificate_names(public_url: &PublicUrl, listen: &[Listen]) -> Vec<String> {
    let mut names = vec![public_url.host().trim_matches(['[', ']']).to_owned()];
    let is_named = |address: &IpAddr| !address.is_unspecified();
    for address in listen
        .iter()
        .map(|place| place.address.ip())
        .filter(is_named)
    {
        let name = address.to_string();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Puts the appliance together from what was opened; no socket and no task is begun here.
pub(super) fn build(
    config: &Config,
    public_url: PublicUrl,
    store: &Arc<Store>,
    entropy: &Arc<dyn Entropy>,
    clock: &Arc<dyn Clock>,
    ca_pem: Option<String>,
    ways: Ways,
) -> Result<Arc<Appliance>, StartError> {
    let (experiments, unknown) = Experiments::parse(&config.experiments);
    let there_are = available_safe().join(", ");
    for name in unknown {
        tracing::warn!(
            name,
            "there is no such experiment; it is ignored; there are: {there_are}"
        );
    }
    let provider = Arc::new(Provider::new(
        public_url,
        store.read(|tx| meta::key(tx))?,
        config.lifetimes,
        config.registration.is_on().into(),
        config.upstreams.clone(),
    ));
    let upstreams = Arc::new(Upstreams::new(
        Arc::clone(store),
        Arc::clone(&provider),
        ways.upstreams,
    ));
    let (watchers, queued) = (Watchers::default(), Arc::new(Notify::new()));
    let contact = config.webpush_contact.clone();
    let web = Arc::new(Web {
        store: Arc::clone(store),
        vouchers: Vouchers::new(contact, &provider.public_url),
        queued: Arc::clone(&queued),
        provider: Arc::clone(&provider),
        entropy: Arc::clone(entropy),
        throttle: if config.rate_limit.is_on() {
            Throttle::on(&**entropy)
        } else {
            Throttle::off()
        },
        passwords: PasswordDesk::new(),
        ca_pem,
        outbound: ways.outbound,
        probe: Probe::default(),
        rendered: RenderedDocuments::default(),
        experiments: experiments.clone(),
        watchers: watchers.clone(),
        clock: Arc::clone(clock),
        metrics_token: config
            .metrics
            .token_file
            .as_deref()
            .map(metrics::read_token)
            .transpose()?,
        figures: web::figures::Figures::default(),
    });
    notifications::listen(store, move |entries| watchers.tell(entries));
    pushes::listen(store, move || queued.notify_one());
    let mcp = Mcp::new(
        Arc::clone(store),
        provider,
        Arc::clone(entropy),
        notify::allowance(&web),
        experiments,
        config.mcp_off.clone(),
        Arc::clone(&upstreams),
    )?;
    Ok(Arc::new(Appliance {
        http: Arc::new(Figures::new(ROUTES.len())),
        started_at: clock.now(),
        web,
        mcp,
        upstreams,
        management_api: config.management_api,
        clock: Arc::clone(clock),
        trusted_proxies: config.network.trusted_proxies.clone(),
    }))
}

fn warn_of_what_is_off(config: &Config) {
    if !config.rate_limit.is_on() {
        tracing::warn!("rate limits are off: this is for tests and benchmarks only");
    }
}

async fn open_claim(
    config: &Config,
    store: &Store,
    entropy: &Arc<dyn Entropy>,
    clock: &dyn Clock,
) -> Result<Option<Credential>, StartError> {
    let (now, ttl, entropy) = (clock.now(), config.lifetimes.claim_ttl, Arc::clone(entropy));
    let opened = store.write(move |tx| claim::open(tx, now, &*entropy, ttl));
    opened.await.map_err(|error| match error {
        AccountError::Store(fault) => fault.into(),
        other => StartError::System(io::Error::other(other)),
    })
}

/// What the administration socket does with a command.
pub(super) fn administer(
    app: Arc<Appliance>,
) -> impl Fn(Command) -> std::pin::Pin<Box<dyn Future<Output = Response> + Send>> + Send + Sync {
    let readers = Readers::new();
    move |command| {
        let (app, readers) = (Arc::clone(&app), readers.clone());
        let now = app.clock.now();
        Box::pin(async move {
            let web = Arc::clone(&app.web);
            match command {
                Command::Backup => readers.back_up(&web.store, now),
                Command::Check => readers.check(&web.store),
                Command::Mcp {
                    user,
                    toolset,
                    upstream,
                } => {
                    let [user, toolset, upstream] =
                        [&user, &toolset, &upstream].map(Option::as_deref);
                    local::talk(app, user, toolset, upstream)
                }
                Command::UpstreamTools { name } => upstreams::tools(&app.mcp, &name).await.into(),
                quick => {
                    let answer = execute(web, now, quick).await;
                    let told = answer.and_then(|mut reply| {
                        upstreams::tell_standings(&mut reply, &app.upstreams, now)?;
                        Ok(reply)
                    });
                    told.into()
                }
            }
        })
    }
}

async fn execute(web: Arc<Web>, now: Timestamp, command: Command) -> Answer {
    let entropy = Arc::clone(&web.entropy);
    let known = Known {
        public_url: Some(web.provider.public_url.clone()),
        upstreams: web.provider.upstreams.clone(),
    };
    let begin = move || begin(&web.store, entropy, now, command, known);
    match spawn_blocking(begin).await.map_err(Refused::because)?? {
        Begun::Answered(reply) => Ok(*reply),
        Begun::Writing(answer) => answer.await,
    }
}
