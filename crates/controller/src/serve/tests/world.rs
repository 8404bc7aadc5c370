//! What the tests stand on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use noctule_artifacts::launch::{Interval, LaunchDocument, Listing};
use noctule_artifacts::manifest::{Output, OutputForm, Record};
use noctule_artifacts::version::VersionManifest;
use noctule_artifacts::{
    AttemptNumber, Digest, Outcome, OutputName, PipelineName, RegistryId, RunId, StepName, layout,
};
use noctule_depot::{Contents, Depot, Options};
use noctule_engine::{Evidence, Handle};
use noctule_launcher::local::Machine;
use noctule_launcher::{
    AttemptKey, Launch, LaunchError, Launcher, Observation, Observations, Observed, Seen, SeenState, Started,
};
use noctule_spec::kinds::extract;
use noctule_store::{
    Acquired, Lease, Location, OccurrenceFilter, OccurrenceRow, OccurrenceStage, RunFilter, RunRow, Store,
    Via,
};
use tokio::sync::{Notify, mpsc, watch};

use super::super::desk::Desk;
use super::super::fleet::Fleet;
use super::super::folder::Folder;
use super::super::seat::Reign;
use super::super::turn::{Parts, Server};
use super::super::{Catalogue, Prober, Reload, Retention, Settings, Status, Tally, Who, blank};
use crate::holder::Bearer;
use crate::{Controller, Limits, ListError, Slots, SourceLister};

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn name(text: &str) -> PipelineName {
    text.parse().unwrap()
}

pub fn who() -> Who {
    Who { name: "ann".into(), via: Via::Cli, why: Some("a test".into()) }
}

/// Everything that outlives a server.
pub struct World {
    pub folder: tempfile::TempDir,
    pub store: Store,
    pub depot: Depot,
    pub launcher: Arc<Pretender>,
    pub objects: Arc<Objects>,
    registry: RegistryId,
    pub limits: Limits,
}

/// A server whose turns the test makes.
pub struct Rig {
    pub server: Server,
    pub desk: Desk,
    pub fleet: Fleet,
    pub lease: Lease,
    pub status: watch::Receiver<Arc<Status>>,
    pub tally: Arc<Mutex<Tally>>,
    pub catalogue: watch::Receiver<Arc<Catalogue>>,
}

/// A place where a commit need not wait for a disk: what is tried here is no loss of power.
fn memory() -> PathBuf {
    let shared = PathBuf::from("/dev/shm");
    if shared.is_dir() { shared } else { std::env::temp_dir() }
}

/// How many rounds a test of random moments makes: a few, or as many as `NOCTULE_ROUNDS` says.
pub fn rounds(few: u64) -> u64 {
    std::env::var("NOCTULE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir_in(memory()).unwrap();
        std::fs::create_dir(folder.path().join("dags")).unwrap();
        let store = Store::open(&Location::file(folder.path().join("noctule.db"))).await.unwrap();
        let place = folder.path().join("store");
        let mut options = Options::from_environment();
        options.create = true;
        options.cache = folder.path().join("cache");
        let depot = Depot::open(&place.display().to_string(), &options).unwrap();
        let registry = store.registry_id().await.unwrap();
        depot.claim(&registry).await.unwrap();
        let launcher = Arc::new(Pretender::new(depot.clone()));
        let objects = Arc::new(Objects::default());
        Self { folder, store, depot, launcher, objects, registry, limits: Limits::default() }
    }

    pub fn dags(&self) -> PathBuf {
        self.folder.path().join("dags")
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.dags().join(file), text).unwrap();
    }

    pub fn remove(&self, file: &str) {
        std::fs::remove_file(self.dags().join(file)).unwrap();
    }

    pub fn controller(&self) -> Controller {
        Controller {
            store: self.store.clone(),
            depot: self.depot.clone(),
            launcher: self.launcher.clone(),
            lister: Arc::new(NoSources),
            machine: Machine { threads: 2, memory_bytes: 1 << 30 },
            slots: Slots::new(self.limits.clone()),
            registry: self.registry.clone(),
        }
    }

    pub fn settings(&self) -> Settings {
        Settings {
            folder: self.dags(),
            reload: Duration::ZERO,
            parallel: 4,
            retention: Retention::default(),
            shared_database: false,
        }
    }

    /// A server that leads from now on, whoever led before.
    pub async fn server(&self, text: &str) -> Rig {
        let bearer = Bearer::server(text);
        let lease = loop {
            match self.store.acquire("leader", &bearer.text, Duration::from_secs(600)).await.unwrap() {
                Acquired::Held(lease) => break lease,
                Acquired::Taken { by, .. } => self.store.release(&by).await.unwrap(),
            }
        };
        let controller = self.controller();
        let (nudge, tally) = (Arc::new(Notify::new()), Arc::new(Mutex::new(Tally::default())));
        let fleet = Fleet::new(controller.clone(), bearer, tally.clone(), nudge.clone());
        tokio::spawn(fleet.clone().route(self.launcher.observe()));
        let desk = Desk {
            controller: controller.clone(),
            parallel: 4,
            fleet: Some(fleet.clone()),
            nudge: nudge.clone(),
        };
        let since = at("2026-01-01T00:00:00Z");
        let (status_tell, status) = watch::channel(Arc::new(blank(since)));
        let (catalogue_tell, catalogue) = watch::channel(Arc::new(Catalogue::default()));
        let server = Server::new(Parts {
            controller: controller.clone(),
            settings: self.settings(),
            folder: Folder::new(self.dags(), self.limits.pools.keys().cloned().collect()),
            fleet: fleet.clone(),
            desk: desk.clone(),
            prober: self.objects.clone(),
            nudge,
            tally: tally.clone(),
            status: status_tell,
            catalogue: catalogue_tell,
            reload: Arc::new(Reload::default()),
            since,
        });
        Rig { server, desk, fleet, lease, status, tally, catalogue }
    }

    pub async fn runs(&self, pipeline: &str) -> Vec<RunRow> {
        let filter = RunFilter { pipeline: Some(name(pipeline)), ..RunFilter::default() };
        let mut rows = self.store.runs(&filter).await.unwrap();
        rows.reverse();
        rows
    }

    pub async fn occurrences(&self, pipeline: &str) -> Vec<OccurrenceRow> {
        let filter = OccurrenceFilter {
            pipeline: Some(name(pipeline)),
            oldest_first: true,
            ..OccurrenceFilter::default()
        };
        self.store.occurrences(&filter).await.unwrap()
    }

    /// Every occurrence with how it stands: `started`, `queued`, or the reason why it was skipped.
    pub async fn stands(&self, pipeline: &str) -> Vec<(String, String)> {
        use noctule_store::OccurrenceState::{Queued, Skipped, Started, Waiting};
        let rows = self.occurrences(pipeline).await.into_iter();
        rows.map(|row| {
            let stands = match row.state {
                Waiting => "waiting".to_owned(),
                Queued => "queued".to_owned(),
                Started { .. } => "started".to_owned(),
                Skipped(skip) => skip.reason.word().to_owned(),
            };
            (row.id, stands)
        })
        .collect()
    }
}

impl Rig {
    pub async fn turn(&mut self, now: Timestamp) {
        self.server.hurry();
        self.server.turn(&Reign::Ours(self.lease.clone()), now).await;
    }

    /// Turns until nothing is going on any more.
    pub async fn rest(&mut self, now: Timestamp) {
        for _ in 0..2000 {
            self.turn(now).await;
            if self.fleet.live().is_empty() && self.is_quiet().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it does not come to rest: {:?} {:?}", self.fleet.live(), self.status.borrow().troubled);
    }

    async fn is_quiet(&self) -> bool {
        let store = &self.desk.controller.store;
        let live = RunFilter { live: true, ..RunFilter::default() };
        let queued =
            OccurrenceFilter { stages: vec![OccurrenceStage::Queued], ..OccurrenceFilter::default() };
        store.runs(&live).await.unwrap().is_empty() && store.occurrences(&queued).await.unwrap().is_empty()
    }

    /// Turns until a condition holds.
    pub async fn until(&mut self, now: Timestamp, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        for _ in 0..2000 {
            self.turn(now).await;
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it never came to be that {what}");
    }

    /// Ends as by `kill -9`: nothing is said to anybody.
    pub async fn kill(self) {
        self.fleet.drop_all().await;
    }
}

/// A pipeline of one command, with these keys before its steps.
pub fn plain(name: &str, keys: &str) -> String {
    format!(
        "noctule: 1\npipeline: {name}\n{keys}steps:\n  work:\n    uses: shell\n    with: {{command: [x]}}\n"
    )
}

/// A pipeline that publishes `model@champion`.
pub fn publishing(name: &str, model: &str, keys: &str) -> String {
    format!(
        "noctule: 1
pipeline: {name}
{keys}steps:
  data: {{uses: shell, with: {{command: [x], output: table}}}}
  held: {{uses: shell, with: {{command: [x, x], output: table}}}}
  model: {{uses: shell, with: {{command: [x, '{{{{ interval.start }}}}'], inputs: {{D: data}}, output: model}}}}
  quality:
    uses: evaluate
    with: {{model: model, history: data, test: held, compare: [popularity], metrics: [ndcg@20]}}
  gate:
    uses: gate
    with: {{evaluation: quality, require: [{{metric: ndcg@20, min: 0.1}}]}}
  publish:
    uses: publish
    with: {{model: model, gate: gate, name: {model}, alias: champion}}
"
    )
}

struct NoSources;

#[async_trait]
impl SourceLister for NoSources {
    async fn list(
        &self,
        _: &extract::Settings,
        _: Interval,
        _: &str,
    ) -> Result<BTreeMap<String, Listing>, ListError> {
        Ok(BTreeMap::new())
    }
}

/// An object store that has what the test says.
#[derive(Default)]
pub struct Objects {
    pub there: Mutex<BTreeSet<String>>,
    pub looks: Mutex<Vec<String>>,
    pub fails: Mutex<bool>,
}

#[async_trait]
impl Prober for Objects {
    async fn exists(&self, url: &str) -> Result<bool, ListError> {
        self.looks.lock().unwrap().push(url.to_owned());
        match *self.fails.lock().unwrap() {
            true => Err(ListError { message: "no route".into(), temporary: true }),
            false => Ok(self.there.lock().unwrap().contains(url)),
        }
    }
}

/// What becomes of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Succeed,
    Fail(i32),
    /// It runs until it is stopped.
    Hang,
}

/// A launcher whose attempts outlive every server: each commits its artifact and is gone.
pub struct Pretender {
    depot: Depot,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    attempts: Mutex<BTreeMap<AttemptKey, (Digest, SeenState)>>,
    listeners: Mutex<Vec<mpsc::UnboundedSender<Observed>>>,
    deeds: Mutex<BTreeMap<StepName, Deed>>,
    takes: Mutex<Duration>,
    /// Every attempt that was ever begun.
    begun: Mutex<Vec<AttemptKey>>,
    /// The most of a step that were ever live at once.
    most: Mutex<BTreeMap<StepName, usize>>,
    released: Notify,
    shared: Mutex<bool>,
}

impl Pretender {
    fn new(depot: Depot) -> Self {
        Self { depot, inner: Arc::default() }
    }

    pub fn deed(&self, step: &str, deed: Deed) {
        self.inner.deeds.lock().unwrap().insert(step.parse().unwrap(), deed);
        self.inner.released.notify_waiters();
    }

    /// From now on any server may look after its attempts.
    pub fn share(&self) {
        *self.inner.shared.lock().unwrap() = true;
    }

    pub fn takes(&self, takes: Duration) {
        *self.inner.takes.lock().unwrap() = takes;
    }

    pub fn observe(&self) -> Observations {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.inner.listeners.lock().unwrap().push(sender);
        receiver
    }

    pub fn begun(&self) -> Vec<AttemptKey> {
        self.inner.begun.lock().unwrap().clone()
    }

    pub fn most(&self, step: &str) -> usize {
        self.inner.most.lock().unwrap().get(&step.parse::<StepName>().unwrap()).copied().unwrap_or(0)
    }

    pub fn live(&self) -> usize {
        let attempts = self.inner.attempts.lock().unwrap();
        attempts.values().filter(|(_, state)| matches!(state, SeenState::Running { .. })).count()
    }
}

impl Inner {
    fn tell(&self, key: &AttemptKey, what: Observation) {
        self.listeners
            .lock()
            .unwrap()
            .retain(|to| to.send(Observed { key: key.clone(), what: what.clone() }).is_ok());
    }

    fn deed(&self, step: &StepName) -> Deed {
        self.deeds.lock().unwrap().get(step).copied().unwrap_or(Deed::Succeed)
    }

    fn end(&self, key: &AttemptKey, evidence: Evidence) {
        let mut attempts = self.attempts.lock().unwrap();
        let Some((_, state)) = attempts.get_mut(key) else { return };
        if matches!(state, SeenState::Running { .. }) {
            *state = SeenState::Ended { evidence: evidence.clone() };
            drop(attempts);
            self.tell(key, Observation::Ended { evidence, message: None, peak_bytes: None });
        }
    }

    fn runs(&self, key: &AttemptKey) -> bool {
        matches!(self.attempts.lock().unwrap().get(key), Some((_, SeenState::Running { .. })))
    }

    async fn live(self: Arc<Self>, depot: Depot, key: AttemptKey, document: String) {
        let takes = *self.takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        loop {
            if !self.runs(&key) {
                return;
            }
            match self.deed(&key.step) {
                Deed::Hang => {
                    let _ = tokio::time::timeout(Duration::from_millis(10), self.released.notified()).await;
                }
                Deed::Fail(code) => return self.end(&key, Evidence::Exited { code }),
                Deed::Succeed => {
                    let bytes = depot.read(&document).await.unwrap();
                    let launch = LaunchDocument::from_json(&bytes, Digest::of(&bytes)).unwrap();
                    commit(&depot, &launch).await;
                    return self.end(&key, Evidence::Exited { code: 0 });
                }
            }
        }
    }
}

#[async_trait]
impl Launcher for Pretender {
    async fn start(&self, key: &AttemptKey, launch: &Launch) -> Result<Started, LaunchError> {
        let handle = Handle::Process { pid: 1, start_time: 1, boot_id: "pretended".into() };
        {
            let mut attempts = self.inner.attempts.lock().unwrap();
            if let Some((digest, state)) = attempts.get(key) {
                if *digest != launch.digest {
                    return Err(LaunchError::Taken {
                        key: key.clone(),
                        found: *digest,
                        wanted: launch.digest,
                    });
                }
                let handle = matches!(state, SeenState::Running { .. }).then_some(handle);
                return Ok(Started::AlreadyThere { handle });
            }
            let state = SeenState::Running { handle: handle.clone() };
            attempts.insert(key.clone(), (launch.digest, state));
            self.inner.begun.lock().unwrap().push(key.clone());
            let is_live = |(other, (_, state)): &(&AttemptKey, &(Digest, SeenState))| {
                other.step == key.step && matches!(state, SeenState::Running { .. })
            };
            let live = attempts.iter().filter(is_live).count();
            let mut most = self.inner.most.lock().unwrap();
            let entry = most.entry(key.step.clone()).or_default();
            *entry = (*entry).max(live);
        }
        tokio::spawn(self.inner.clone().live(self.depot.clone(), key.clone(), launch.document.clone()));
        Ok(Started::Begun { handle })
    }

    async fn adopt(&self, key: &AttemptKey) -> Result<bool, LaunchError> {
        let state = self.inner.attempts.lock().unwrap().get(key).map(|(_, state)| state.clone());
        match state {
            None => Ok(false),
            Some(SeenState::Ended { evidence }) => {
                self.inner.tell(key, Observation::Ended { evidence, message: None, peak_bytes: None });
                Ok(true)
            }
            Some(_) => Ok(true),
        }
    }

    async fn stop(&self, key: &AttemptKey, _: Duration) -> Result<(), LaunchError> {
        match self.inner.attempts.lock().unwrap().contains_key(key) {
            true => {}
            false => {
                self.inner.tell(key, Observation::Gone);
                return Ok(());
            }
        }
        self.inner.end(key, Evidence::StopRequested);
        Ok(())
    }

    async fn kill(&self, key: &AttemptKey) -> Result<(), LaunchError> {
        self.stop(key, Duration::ZERO).await
    }

    async fn list(&self) -> Result<Vec<Seen>, LaunchError> {
        let attempts = self.inner.attempts.lock().unwrap();
        let seen = attempts.iter().map(|(key, (launch, state))| Seen {
            key: key.clone(),
            launch: *launch,
            state: state.clone(),
        });
        Ok(seen.collect())
    }

    async fn forget(&self, key: &AttemptKey) -> Result<(), LaunchError> {
        self.inner.attempts.lock().unwrap().remove(key);
        Ok(())
    }

    fn is_shared(&self) -> bool {
        *self.inner.shared.lock().unwrap()
    }

    fn log_file(&self, _: &AttemptKey) -> Option<PathBuf> {
        None
    }
}

/// Does what the step's kind would: an artifact of one small file, and the facts that a publication rests on.
async fn commit(depot: &Depot, launch: &LaunchDocument) {
    let main = if launch.kind == "evaluate" || launch.kind == "gate" { "report" } else { "main" };
    let main: OutputName = main.parse().unwrap();
    let mut draft = depot.draft(&layout::attempt_prefix(&launch.run, &launch.step, launch.attempt)).unwrap();
    let file = draft.create(&main, "file.json").unwrap();
    std::fs::write(file, launch.with.to_string()).unwrap();
    let mut facts = BTreeMap::new();
    let read = |reference: &str| launch.inputs.get(reference).cloned();
    match launch.kind.as_str() {
        "evaluate" => {
            facts.insert("judged".to_owned(), read("model").unwrap().digest.to_string().into());
        }
        "gate" => {
            let evaluation = depot.manifest(&read("quality").unwrap().manifest).await.unwrap();
            facts.insert("judged".to_owned(), evaluation.identity.facts["judged"].clone());
        }
        "publish" => publish(depot, launch).await,
        _ => {}
    }
    let form = match launch.with.get("output").and_then(serde_json::Value::as_str) {
        Some("model") => OutputForm::Model,
        Some("table") => OutputForm::Table,
        _ => OutputForm::Files,
    };
    let output = Output { form, columns: Vec::new(), rows: None };
    let contents = Contents {
        kind: launch.kind.clone(),
        outcome: Outcome::Ok,
        outputs: BTreeMap::from([(main, output)]),
        facts,
    };
    let now = Timestamp::now();
    let record = Record {
        pipeline: launch.pipeline.clone(),
        run: launch.run.clone(),
        step: launch.step.clone(),
        attempt: launch.attempt,
        started: now,
        finished: now,
        inputs: BTreeMap::new(),
        fingerprint: launch.fingerprint.clone(),
        program: "test".into(),
        cpu: "test".into(),
        metrics: BTreeMap::new(),
        notes: Vec::new(),
        parts: Vec::new(),
        elsewhere: BTreeMap::new(),
        facts: BTreeMap::new(),
    };
    draft.commit(contents, record).await.unwrap();
}

async fn publish(depot: &Depot, launch: &LaunchDocument) {
    let model = &launch.inputs["model"];
    let manifest = depot.manifest(&model.manifest).await.unwrap();
    let reserved = launch.version.as_ref().unwrap();
    let version = VersionManifest {
        format: noctule_artifacts::version::FORMAT,
        registry: launch.registry.clone(),
        model: reserved.model.clone(),
        version: reserved.version,
        digest: model.digest,
        files: manifest.identity.files.clone(),
        pipeline: launch.pipeline.clone(),
        run: launch.run.clone(),
        step: model.step.clone(),
        gate: Some(launch.inputs["gate"].digest),
        created: Timestamp::now(),
    };
    depot.publish(&manifest, &model.manifest, version).await.unwrap();
}

/// The number of attempts that a run made of a step.
pub fn attempts(world: &World, run: &RunId, step: &str) -> Vec<AttemptNumber> {
    let begun = world.launcher.begun().into_iter();
    begun.filter(|key| key.run == *run && key.step.as_str() == step).map(|key| key.attempt).collect()
}
