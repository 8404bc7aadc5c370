//! Which version of which pipeline holds.
//!
//! A pure decision: from the versions that held until now and from the files as they are, the versions that hold. What
//! cannot be read, or would get in another pipeline's way, leaves the last good version in force, and says why.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::{AliasName, ModelName, PipelineName};
use noctule_spec::Pipeline;

/// The pipelines of a folder.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    pub entries: BTreeMap<PipelineName, Entry>,
    /// What is wrong with files that belong to none of the entries.
    pub problems: Vec<Problem>,
}

/// A pipeline, in the version that holds.
#[derive(Debug, Clone)]
pub struct Entry {
    pub version: Arc<Version>,
    /// Why the file as it is now is not what holds.
    pub problem: Option<Problem>,
    /// The file is no longer there: the schedule stands still until it is back.
    pub gone: bool,
}

/// A text that was read and accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    pub pipeline: Pipeline,
    /// The file's name in the folder.
    pub file: String,
    pub text: String,
    /// The digest of the text.
    pub digest: String,
    pub loaded: Timestamp,
}

/// What is wrong with a file, for people: rendered, with file, line and column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    pub text: String,
    pub since: Timestamp,
}

/// A file as it was read.
#[derive(Debug, Clone)]
pub struct Read {
    pub file: String,
    pub outcome: Result<Arc<Version>, Refused>,
}

/// A file that gives no pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The name that the file gives its pipeline, as far as it can be made out.
    pub pipeline: Option<PipelineName>,
    pub text: String,
}

/// A pipeline whose file has been gone for so long is no longer spoken of.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(7 * 24);

type Alias = (ModelName, AliasName);

impl Catalogue {
    /// The catalogue that follows from this one and the files as they are.
    pub fn follow(&self, files: Vec<Read>, now: Timestamp) -> Catalogue {
        let present = files.iter().map(|read| read.file.clone()).collect();
        let mut follow = Follow { before: self, now, present, problems: BTreeMap::new(), loose: Vec::new() };
        let mut candidates = follow.by_name(files);
        follow.settle_aliases(&mut candidates);
        follow.finish(candidates)
    }

    pub fn get(&self, name: &PipelineName) -> Option<&Entry> {
        self.entries.get(name)
    }
}

impl Version {
    fn is_same(&self, other: &Version) -> bool {
        self.digest == other.digest && self.file == other.file
    }

    fn claims(&self) -> impl Iterator<Item = Alias> + '_ {
        self.pipeline.publishes().map(|(model, alias)| (model.clone(), alias.clone()))
    }
}

struct Follow<'a> {
    before: &'a Catalogue,
    now: Timestamp,
    present: BTreeSet<String>,
    /// Why a pipeline's file is not taken over.
    problems: BTreeMap<PipelineName, (String, String)>,
    loose: Vec<(String, String)>,
}

impl Follow<'_> {
    fn holds(&self, name: &PipelineName) -> Option<&Version> {
        self.before.entries.get(name).map(|entry| &*entry.version)
    }

    /// The pipeline whose last good version came from this file.
    fn of_file(&self, file: &str) -> Option<PipelineName> {
        let entries = self.before.entries.values();
        entries
            .map(|entry| &entry.version)
            .find(|held| held.file == file)
            .map(|held| held.pipeline.name.clone())
    }

    fn refuse(&mut self, name: PipelineName, file: &str, text: String) {
        self.problems.entry(name).or_insert_with(|| (file.to_owned(), text));
    }

    /// One candidate for each name; of several the one whose file held before, and none if none did.
    fn by_name(&mut self, files: Vec<Read>) -> BTreeMap<PipelineName, Arc<Version>> {
        let mut candidates: BTreeMap<PipelineName, Vec<Arc<Version>>> = BTreeMap::new();
        for Read { file, outcome } in files {
            match outcome {
                Ok(version) => {
                    candidates.entry(version.pipeline.name.clone()).or_default().push(version);
                }
                Err(Refused { pipeline, text }) => match self.of_file(&file).or(pipeline) {
                    Some(name) if self.holds(&name).is_some() => self.refuse(name, &file, text),
                    _ => self.loose.push((file, text)),
                },
            }
        }
        let mut chosen = BTreeMap::new();
        for (name, mut versions) in candidates {
            let held = self.holds(&name).map(|held| held.file.clone());
            let stays = versions.iter().position(|version| Some(&version.file) == held.as_ref());
            // The file that held before may be there and be broken: that makes it no prey.
            let broken = self.problems.get(&name).filter(|(file, _)| Some(file) == held.as_ref());
            if let (None, Some((file, _))) = (stays, broken) {
                let file = file.clone();
                self.refuse_newcomers(&name, &file, &versions);
                continue;
            }
            if versions.len() > 1 {
                let stays = stays.map(|at| versions.remove(at));
                match &stays {
                    Some(stays) => self.refuse_newcomers(&name, &stays.file, &versions),
                    None => self.refuse_namesakes(&name, &versions),
                }
                versions = stays.into_iter().collect();
            }
            if let Some(version) = versions.pop() {
                chosen.insert(name, version);
            }
        }
        chosen
    }

    fn refuse_newcomers(&mut self, name: &PipelineName, stays: &str, newcomers: &[Arc<Version>]) {
        for Version { file, .. } in newcomers.iter().map(|newcomer| &**newcomer) {
            let text = format!(
                "{file}: the pipeline is named `{name}`, and so is that of {stays}, which ran before and goes on: give \
                 this one another name, or remove one of the files"
            );
            self.loose.push((file.clone(), text));
        }
    }

    fn refuse_namesakes(&mut self, name: &PipelineName, namesakes: &[Arc<Version>]) {
        let files: Vec<&str> = namesakes.iter().map(|other| other.file.as_str()).collect();
        let text = format!(
            "{}: the pipelines of these files are all named `{name}`, and none of them is taken: give each a name of its \
             own",
            files.join(", ")
        );
        match self.holds(name).is_some() {
            true => self.refuse(name.clone(), files[0], text),
            false => self.loose.extend(files.iter().map(|file| ((*file).to_owned(), text.clone()))),
        }
    }

    /// No two pipelines may move one alias. Who held it before keeps it; of two newcomers neither gets it. A version
    /// that is refused leaves its predecessor in force, which has claims of its own, until nothing changes any more.
    fn settle_aliases(&mut self, candidates: &mut BTreeMap<PipelineName, Arc<Version>>) {
        loop {
            let refused = self.conflicts(candidates);
            if refused.is_empty() {
                return;
            }
            for (name, text) in refused {
                let Some(version) = candidates.remove(&name) else { continue };
                match self.holds(&name).is_some() {
                    true => self.refuse(name, &version.file, text),
                    false => self.loose.push((version.file.clone(), text)),
                }
            }
        }
    }

    fn conflicts(&self, candidates: &BTreeMap<PipelineName, Arc<Version>>) -> Vec<(PipelineName, String)> {
        let mut claims: BTreeMap<Alias, Vec<(&PipelineName, &Version)>> = BTreeMap::new();
        let names: BTreeSet<&PipelineName> = candidates.keys().chain(self.before.entries.keys()).collect();
        for name in names {
            let Some(version) = candidates.get(name).map(|v| &**v).or_else(|| self.kept(name)) else {
                continue;
            };
            for alias in version.claims() {
                claims.entry(alias).or_default().push((name, version));
            }
        }
        let mut refused = Vec::new();
        for ((model, alias), claimants) in claims.iter().filter(|(_, claimants)| claimants.len() > 1) {
            let key = (model.clone(), alias.clone());
            let held_it = |name: &PipelineName| {
                self.held(name).is_some_and(|held| held.claims().any(|claim| claim == key))
            };
            for (name, version) in claimants.iter().filter(|(name, _)| !held_it(name)) {
                let others: Vec<String> = claimants
                    .iter()
                    .filter(|(other, _)| other != name)
                    .map(|(other, held)| format!("`{other}` ({})", held.file))
                    .collect();
                let text = format!(
                    "{}: `{name}` publishes {model}@{alias}, and so does {}: only one pipeline may move an alias; \
                     publish another model or alias, or remove one of the files",
                    version.file,
                    others.join(" and ")
                );
                refused.push(((*name).clone(), text));
            }
        }
        refused
    }

    /// The version before, where it goes on: its file is there, and is refused.
    fn kept(&self, name: &PipelineName) -> Option<&Version> {
        self.held(name).filter(|_| self.problems.contains_key(name))
    }

    /// The version before, unless its schedule had stopped.
    fn held(&self, name: &PipelineName) -> Option<&Version> {
        self.before.entries.get(name).filter(|entry| !entry.gone).map(|entry| &*entry.version)
    }

    fn finish(mut self, candidates: BTreeMap<PipelineName, Arc<Version>>) -> Catalogue {
        let mut entries = BTreeMap::new();
        for (name, entry) in &self.before.entries {
            if candidates.contains_key(name) {
                continue;
            }
            let refused = self.problems.remove(name);
            let gone = refused.is_none();
            let (file, text) = refused.unwrap_or_else(|| {
                let file = entry.version.file.clone();
                let what = match self.present.contains(&file) {
                    true => format!("the file no longer holds the pipeline `{name}`"),
                    false => "the file is gone".to_owned(),
                };
                let text = format!("{file}: {what}: the schedule of `{name}` stands still");
                (file, text)
            });
            let problem = self.problem(file, text, entry.problem.as_ref());
            if gone && self.now.duration_since(problem.since) > FORGOTTEN {
                continue;
            }
            let (version, problem) = (entry.version.clone(), Some(problem));
            entries.insert(name.clone(), Entry { version, problem, gone });
        }
        for (name, version) in candidates {
            // The same text stays loaded since when it was.
            let version = match self.before.entries.get(&name) {
                Some(entry) if entry.version.is_same(&version) => entry.version.clone(),
                _ => version,
            };
            entries.insert(name, Entry { version, problem: None, gone: false });
        }
        // What is left is wrong with a file of a pipeline that another file gives.
        let loose = self.loose.iter().chain(self.problems.values());
        let problems = loose
            .map(|(file, text)| {
                let earlier = self.before.problems.iter().find(|problem| problem.file == *file);
                self.problem(file.clone(), text.clone(), earlier)
            })
            .collect();
        Catalogue { entries, problems }
    }

    /// A problem that is still the same began when it began.
    fn problem(&self, file: String, text: String, earlier: Option<&Problem>) -> Problem {
        let since = earlier.filter(|earlier| earlier.text == text).map_or(self.now, |earlier| earlier.since);
        Problem { file, text, since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_artifacts::launch::Interval;

    /// A file that holds a pipeline which moves these aliases.
    fn good(file: &str, name: &str, models: &[&str]) -> Read {
        let publish: String = models
            .iter()
            .map(|model| {
                format!("  to-{model}: {{uses: publish, with: {{model: model, gate: gate, name: {model}, alias: champion}}}}\n")
            })
            .collect();
        let text = format!(
            "noctule: 1\npipeline: {name}\nsteps:\n  data: {{uses: shell, with: {{command: [x], output: table}}}}\n  \
             held: {{uses: shell, with: {{command: [x], output: table}}}}\n  \
             model: {{uses: shell, with: {{command: [x], output: model}}}}\n  \
             quality: {{uses: evaluate, with: {{model: model, history: data, test: held, metrics: [ndcg@20]}}}}\n  \
             gate: {{uses: gate, with: {{evaluation: quality, require: [{{metric: ndcg@20, min: 0.1}}]}}}}\n{publish}"
        );
        let now = Timestamp::UNIX_EPOCH;
        let context = noctule_spec::Context {
            params: BTreeMap::new(),
            interval: Interval { start: now, end: now },
            run: None,
            now,
            pools: None,
        };
        let source = noctule_spec::SourceText::new(file.to_owned(), text.clone().into_bytes());
        let pipeline = match noctule_spec::load(&source, &context) {
            Ok(loaded) => loaded.pipeline,
            Err(found) => panic!("{}", found.render(&source, noctule_spec::Style::Plain)),
        };
        let digest = noctule_artifacts::Digest::of(text.as_bytes()).to_string();
        let version = Version { pipeline, file: file.to_owned(), text, digest, loaded: now };
        Read { file: file.to_owned(), outcome: Ok(Arc::new(version)) }
    }

    fn broken(file: &str) -> Read {
        let outcome = Err(Refused { pipeline: None, text: format!("{file}:1:1: broken") });
        Read { file: file.to_owned(), outcome }
    }

    fn after(looks: Vec<Vec<Read>>) -> Catalogue {
        looks.into_iter().fold(Catalogue::default(), |held, files| held.follow(files, Timestamp::UNIX_EPOCH))
    }

    /// Every pipeline with its file, the aliases that it moves, and what is wrong.
    fn shown(catalogue: &Catalogue) -> Vec<String> {
        let entries = catalogue.entries.iter().map(|(name, entry)| {
            let models: Vec<String> =
                entry.version.pipeline.publishes().map(|(model, _)| model.to_string()).collect();
            let word = match (&entry.problem, entry.gone) {
                (None, _) => "",
                (Some(_), true) => " gone",
                (Some(_), false) => " refused",
            };
            format!("{name} {} {}{word}", entry.version.file, models.join("+"))
        });
        entries.chain(catalogue.problems.iter().map(|problem| format!("! {}", problem.file))).collect()
    }

    #[test]
    fn two_pipelines_may_exchange_their_aliases_in_one_look() {
        let swapped = after(vec![
            vec![good("a", "a", &["x"]), good("b", "b", &["y"])],
            vec![good("a", "a", &["y"]), good("b", "b", &["x"])],
        ]);
        assert_eq!(shown(&swapped), ["a a y", "b b x"]);
        // When one of the two is broken, the other cannot have what that one still holds.
        let half = after(vec![
            vec![good("a", "a", &["x"]), good("b", "b", &["y"])],
            vec![good("a", "a", &["y"]), broken("b")],
        ]);
        assert_eq!(shown(&half), ["a a x refused", "b b y refused"]);
    }

    #[test]
    fn a_refusal_that_leaves_an_older_claim_in_force_may_refuse_another() {
        // c wants x, which b gives up for y, which a keeps: b stays with x, and c gets nothing.
        let chain = after(vec![
            vec![good("a", "a", &["y"]), good("b", "b", &["x"])],
            vec![good("a", "a", &["y"]), good("b", "b", &["y"]), good("c", "c", &["x"])],
        ]);
        assert_eq!(shown(&chain), ["a a y", "b b x refused", "! c"]);
    }

    #[test]
    fn of_newcomers_with_one_alias_none_is_taken() {
        let both = after(vec![vec![good("a", "a", &["x"]), good("b", "b", &["x"]), good("c", "c", &[])]]);
        assert_eq!(shown(&both), ["c c ", "! a", "! b"]);
    }

    #[test]
    fn a_broken_file_is_no_prey_for_a_namesake() {
        let held = after(vec![vec![good("a", "n", &["x"])], vec![broken("a"), good("b", "n", &[])]]);
        assert_eq!(shown(&held), ["n a x refused", "! b"]);
        // Once it is gone, its name is free.
        let moved = after(vec![vec![good("a", "n", &["x"])], vec![good("b", "n", &["x"])]]);
        assert_eq!(shown(&moved), ["n b x"]);
        let twice = after(vec![vec![good("a", "n", &[])], vec![good("b", "n", &[]), good("c", "n", &[])]]);
        assert_eq!(shown(&twice), ["n a  refused"]);
    }

    #[test]
    fn what_has_been_gone_for_a_week_is_forgotten() {
        let day = |days: i64| Timestamp::from_second(days * 24 * 3600).unwrap();
        let held = Catalogue::default().follow(vec![good("a", "a", &[])], day(0)).follow(Vec::new(), day(1));
        assert_eq!(shown(&held.follow(Vec::new(), day(7))), ["a a  gone"]);
        assert!(shown(&held.follow(Vec::new(), day(9))).is_empty());
    }
}
