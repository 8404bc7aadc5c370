//! What an evaluation will cost, as far as that is known before it runs.
//!
//! How many users and items there will be is told by the newest artifact of the step, else by that of the steps it
//! reads, else by the settings of the synthetic product. `steps` says what follows from the sizes.

use noctule_artifacts::manifest::{FileEntry, Manifest};
use noctule_artifacts::{StepName, VersionNumber};
use noctule_controller::Controller;
use noctule_spec::kinds::evaluate::Settings;
use noctule_spec::kinds::train::Algorithm;
use noctule_spec::reference::{ModelReference, PublishedAt, Reference};
use noctule_spec::{Pipeline, Step, StepKind};
use serde_json::{Value, json};

use crate::report::Trouble;
use crate::terminal::amounts;

/// What an evaluation will cost.
#[derive(Debug, Clone, PartialEq)]
pub enum Estimate {
    About(Cost),
    /// What is not known yet.
    NotYet(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    users: u64,
    items: u64,
    /// Each model with its number of factors; none for the popularity baseline.
    models: Vec<(String, u64)>,
    multiply_adds: u128,
    memory: u64,
    /// Where the numbers of users and items are from.
    basis: String,
}

/// How much there is to evaluate on.
struct Sizes {
    users: u64,
    items: u64,
    pairs: u64,
    basis: String,
}

/// Estimates a step; `None` for one that is no evaluation.
pub async fn of_step(
    controller: &Controller,
    pipeline: &Pipeline,
    step: &Step,
) -> Result<Option<Estimate>, Trouble> {
    let StepKind::Evaluate(settings) = &step.kind else { return Ok(None) };
    let look = Look { controller, pipeline };
    let Some(sizes) = look.sizes(step, settings).await? else {
        let what = "how many users and items there are; the first run tells";
        return Ok(Some(Estimate::NotYet(what.to_owned())));
    };
    let mut models = Vec::new();
    for reference in std::iter::once(&settings.model).chain(&settings.compare) {
        match look.factors(reference, sizes.items).await? {
            Factors::Some(factors) => models.push((reference.to_string(), factors)),
            Factors::NoModel => {}
            Factors::NotYet => {
                let what = format!("how many factors `{reference}` has; the first run tells");
                return Ok(Some(Estimate::NotYet(what)));
            }
        }
    }
    let mut extent =
        noctule_steps::evaluate::extent_of(settings).map_err(|error| Trouble::own(error.to_string()))?;
    extent.users = sizes.users.min(settings.users.sample);
    extent.items = sizes.items;
    extent.pairs = sizes.pairs;
    extent.factors = models.iter().map(|(_, factors)| *factors).collect();
    let threads = step.resources.cpu.map_or(u32::MAX, |cpu| cpu.threads().max(1));
    extent.threads = u64::from(threads.min(controller.machine.threads));
    Ok(Some(Estimate::About(Cost {
        users: extent.users,
        items: extent.items,
        models,
        multiply_adds: extent.multiply_adds(),
        memory: extent.memory().total(),
        basis: sizes.basis,
    })))
}

/// What is known of a model's factors.
enum Factors {
    /// So many; none when it orders the items alike for everybody.
    Some(u64),
    /// There is no such model yet, and it is left out.
    NoModel,
    NotYet,
}

struct Look<'a> {
    controller: &'a Controller,
    pipeline: &'a Pipeline,
}

impl Look<'_> {
    async fn newest(&self, step: &StepName) -> Result<Option<Manifest>, Trouble> {
        let earlier = self.controller.store.earlier(&self.pipeline.name, step, 1).await?;
        match earlier.first() {
            Some(artifact) => Ok(self.controller.depot.committed(&artifact.manifest).await?),
            None => Ok(None),
        }
    }

    async fn sizes(&self, step: &Step, settings: &Settings) -> Result<Option<Sizes>, Trouble> {
        if let Some(manifest) = self.newest(&step.name).await? {
            let sizes = sizes_of(&manifest, "test_users", "candidate_items", ["history_rows", "test_rows"]);
            if sizes.is_some() {
                return Ok(sizes);
            }
        }
        if let Some(sizes) = self.sizes_of_split(settings).await? {
            return Ok(Some(sizes));
        }
        Ok(self.sizes_of_demo())
    }

    /// When history and test are two outputs of one step, its counts of both.
    async fn sizes_of_split(&self, settings: &Settings) -> Result<Option<Sizes>, Trouble> {
        let Settings { history, test, .. } = settings;
        if history.step() != test.step() {
            return Ok(None);
        }
        let Some(manifest) = self.newest(history.step()).await? else { return Ok(None) };
        let count = |reference: &Reference, what: &str| format!("{}_{what}", reference.output());
        let (users, items) = (count(test, "users"), count(history, "items"));
        Ok(sizes_of(&manifest, &users, &items, [&count(history, "rows"), &count(test, "rows")]))
    }

    /// As many as the synthetic product has at all, when the pipeline reads it.
    fn sizes_of_demo(&self) -> Option<Sizes> {
        let addresses = self.pipeline.steps.iter().flat_map(|step| match &step.kind {
            StepKind::Extract(settings) => settings.sources.values().map(|source| &source.source).collect(),
            _ => Vec::new(),
        });
        let address = addresses.into_iter().find_map(|address| noctule_demo::Address::parse(address).ok())?;
        let basis = "at most: all of the synthetic product's, since nothing has run yet".to_owned();
        let (users, items) = (address.settings.users, address.settings.items);
        Some(Sizes { users: users.into(), items: items.into(), pairs: 0, basis })
    }

    async fn factors(&self, reference: &ModelReference, items: u64) -> Result<Factors, Trouble> {
        match reference {
            ModelReference::Popularity => Ok(Factors::Some(0)),
            ModelReference::Trained(trained) => {
                match self.pipeline.step(trained.step()).map(|step| &step.kind) {
                    Some(StepKind::Train(settings)) => Ok(Factors::Some(match settings.algorithm {
                        Algorithm::Ials => settings.factors.into(),
                        Algorithm::Popularity => 0,
                    })),
                    _ => {
                        let manifest = self.newest(trained.step()).await?;
                        let files = manifest.map(|manifest| manifest.identity.files);
                        Ok(files.map_or(Factors::NotYet, |files| factors_of(&files, items)))
                    }
                }
            }
            ModelReference::Published { model, at } => {
                let number: Option<VersionNumber> = match at {
                    PublishedAt::Version(number) => Some(*number),
                    PublishedAt::Alias(alias) => {
                        self.controller.store.alias(model, alias).await?.map(|(_, version)| version.number)
                    }
                };
                let Some(number) = number else { return Ok(Factors::NoModel) };
                let version = self.controller.depot.version(model, number).await?;
                Ok(factors_of(&version.files, items))
            }
        }
    }
}

/// The counts that a step has emitted.
fn sizes_of(manifest: &Manifest, users: &str, items: &str, rows: [&str; 2]) -> Option<Sizes> {
    let record = &manifest.record;
    let count = |name: &str| record.metrics.get(name).map(|value| *value as u64);
    let pairs = rows.into_iter().filter_map(count).sum();
    let basis = format!("users and items as in run {}", record.run);
    Some(Sizes { users: count(users)?, items: count(items)?, pairs, basis })
}

/// How many factors a model has, by the size of its item table; `items` where the files do not say how many rows.
fn factors_of(files: &[FileEntry], items: u64) -> Factors {
    let find = |name: &str| files.iter().find(|file| file.name.rsplit('/').next() == Some(name));
    let Some(table) = find("items.safetensors") else { return Factors::Some(0) };
    let rows = find("items.parquet").and_then(|ids| ids.rows).unwrap_or(items);
    Factors::Some(table.size / (4 * rows.max(1)))
}

impl Estimate {
    pub fn to_json(&self) -> Value {
        match self {
            Estimate::NotYet(what) => json!({"not_known_yet": what}),
            Estimate::About(cost) => json!({
                "users": cost.users,
                "items": cost.items,
                "models": cost.models.iter().map(|(model, factors)| json!({"model": model, "factors": factors})).collect::<Vec<_>>(),
                "multiply_adds": u64::try_from(cost.multiply_adds).unwrap_or(u64::MAX),
                "memory_bytes": cost.memory,
                "basis": cost.basis,
            }),
        }
    }

    /// The sentence behind the step's name.
    pub fn sentence(&self) -> String {
        let cost = match self {
            Estimate::NotYet(what) => return format!("not known yet: {what}"),
            Estimate::About(cost) => cost,
        };
        let of = format!("about {} users × {} items", amounts::count(cost.users), amounts::count(cost.items));
        let memory = amounts::bytes(cost.memory);
        let factors: Vec<u64> =
            cost.models.iter().map(|(_, factors)| *factors).filter(|factors| *factors > 0).collect();
        let work = match &factors[..] {
            [] => format!("{of}, ranked by counts alone"),
            [first, rest @ ..] => {
                let factors = match rest {
                    [] => format!("{first} factors"),
                    rest if rest.iter().all(|other| other == first) => {
                        format!("{first} factors × {} models", factors.len())
                    }
                    _ => {
                        let each: Vec<String> = factors.iter().map(ToString::to_string).collect();
                        format!("({}) factors", each.join(" + "))
                    }
                };
                format!("{of} × {factors} = {} multiply-adds", amounts::operations(cost.multiply_adds))
            }
        };
        format!("{work}, about {memory} of memory ({})", cost.basis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(factors: &[u64]) -> Estimate {
        let models = factors.iter().map(|factors| ("m".to_owned(), *factors)).collect();
        let products: u64 = factors.iter().sum();
        Estimate::About(Cost {
            users: 120_000,
            items: 40_000,
            models,
            multiply_adds: u128::from(120_000 * 40_000 * products),
            memory: 61 << 20,
            basis: "users and items as in run r1".to_owned(),
        })
    }

    #[test]
    fn the_work_is_shown_as_a_product() {
        insta::assert_snapshot!(cost(&[64, 64, 0, 64]).sentence(), @"about 120,000 users × 40,000 items × 64 factors × 3 models = 921.6 G multiply-adds, about 61.0 MiB of memory (users and items as in run r1)");
        insta::assert_snapshot!(cost(&[64, 128]).sentence(), @"about 120,000 users × 40,000 items × (64 + 128) factors = 921.6 G multiply-adds, about 61.0 MiB of memory (users and items as in run r1)");
        insta::assert_snapshot!(cost(&[64]).sentence(), @"about 120,000 users × 40,000 items × 64 factors = 307.2 G multiply-adds, about 61.0 MiB of memory (users and items as in run r1)");
        insta::assert_snapshot!(cost(&[0]).sentence(), @"about 120,000 users × 40,000 items, ranked by counts alone, about 61.0 MiB of memory (users and items as in run r1)");
        let unknown = Estimate::NotYet("how many users there are".to_owned());
        insta::assert_snapshot!(unknown.sentence(), @"not known yet: how many users there are");
    }

    #[test]
    fn factors_are_told_by_the_size_of_the_table() {
        let entry = |name: &str, size, rows| FileEntry {
            name: format!("main/{name}"),
            output: "main".parse().unwrap(),
            size,
            sha256: noctule_artifacts::Digest::of(b""),
            rows,
        };
        let told = |files: &[FileEntry]| match factors_of(files, 500) {
            Factors::Some(factors) => factors,
            _ => panic!("not told"),
        };
        let ids = entry("items.parquet", 10, Some(1000));
        assert_eq!(told(&[ids, entry("items.safetensors", 4 * 64 * 1000 + 150, None)]), 64);
        assert_eq!(
            told(&[entry("items.csv", 10, None), entry("items.safetensors", 4 * 32 * 500 + 150, None)]),
            32
        );
        assert_eq!(told(&[entry("items.parquet", 10, Some(1000))]), 0);
    }
}
