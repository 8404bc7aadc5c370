//! What an evaluation costs, and whether it fits into `resources.memory`.

use noctule_recsys::rank::{Extent, Tally};
use noctule_spec::kinds::evaluate::Settings;

use super::contender::Found;
use super::universe::Scene;
use super::{EvaluateError, computed};
use crate::attempt::Attempt;
use crate::error::StepError;
use crate::interactions::InteractionTable;
use crate::memory::{Need, grouped};
use crate::model::FactorSizes;

/// What is known of the users and items before models are read.
pub(super) struct Heard {
    users: u64,
    items: u64,
    pairs: u64,
    /// Rows that are read as indices before the users that are scored are chosen.
    rows: u64,
    id_bytes: u64,
}

impl Heard {
    pub async fn of_inputs(attempt: &Attempt, settings: &Settings) -> Result<Self, StepError> {
        let (history, test) = (settings.history.to_string(), settings.test.to_string());
        let (_, items) = attempt.told_counts(&history).await?;
        let (users, _) = attempt.told_counts(&test).await?;
        let (users, items) = (users.unwrap_or(0).min(settings.users.sample), items.unwrap_or(0));
        let rows = attempt.table(&history).await?.rows() + attempt.table(&test).await?.rows();
        Ok(Self { users, items, pairs: 0, rows, id_bytes: 8 * (users + items) })
    }

    pub fn of_scene(scene: &Scene) -> Self {
        Self {
            users: scene.users.len() as u64,
            items: scene.items.len() as u64,
            pairs: (scene.history.len() + scene.truth.len()) as u64,
            rows: 0,
            id_bytes: scene.users.bytes() + scene.items.bytes(),
        }
    }
}

/// Refuses before the work what could not end.
pub(super) fn check_memory(
    attempt: &Attempt,
    settings: &Settings,
    heard: &Heard,
    found: &[Found],
) -> Result<(), StepError> {
    let sizes = found.iter().map(Found::sizes).collect::<Result<Vec<_>, _>>()?;
    let resources = attempt.launch.resources;
    let extent = Extent {
        users: heard.users,
        items: heard.items,
        pairs: heard.pairs,
        factors: sizes.iter().map(|sizes| sizes.map_or(0, |sizes| sizes.factors)).collect(),
        threads: u64::from(resources.threads),
        ..extent_of(settings)?
    };
    let reading = Need::new(format!("evaluating on {} rows", grouped(heard.rows)), "keep a shorter history");
    reading.and("the rows", InteractionTable::bytes(heard.rows, false)).check(resources.memory_bytes)?;
    need(&extent, &sizes, heard.id_bytes).check(resources.memory_bytes)?;
    Ok(())
}

/// The sizes of an evaluation that follow from its settings alone. What it costs follows from all of them, once its
/// users, items, pairs and models are known.
///
/// # Errors
/// A metric that cannot be computed.
pub fn extent_of(settings: &Settings) -> Result<Extent, EvaluateError> {
    let metrics = settings.metrics.iter().map(|metric| computed(*metric)).collect::<Result<Vec<_>, _>>()?;
    let depth = u64::from(Tally::list_length(&metrics));
    Ok(Extent { metrics: metrics.len() as u64, depth, threads: 1, ..Extent::default() })
}

/// What an evaluation holds: the ranking, and, while a model is read, its ids and its items as they stand in the model.
fn need(extent: &Extent, sizes: &[Option<FactorSizes>], id_bytes: u64) -> Need {
    let memory = extent.memory();
    let beside =
        |FactorSizes { users, items, factors }: &FactorSizes| 4 * factors * items + 8 * (users + items);
    let reading = sizes.iter().flatten().map(beside).max().unwrap_or(0);
    let models = extent.factors.len();
    let doing = match extent.users + extent.items {
        0 => format!("evaluating {models} models"),
        _ => format!(
            "evaluating {models} models for {} users among {} items",
            grouped(extent.users),
            grouped(extent.items)
        ),
    };
    Need::new(doing, "score fewer users (`users: {sample: …}`), or compare with fewer or smaller models")
        .and("factor tables", memory.tables)
        .and("reading the largest model", reading)
        .and("results per user", memory.results)
        .and("rows", memory.pairs + id_bytes)
        .and("blocks of scores", memory.blocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Classed;

    #[test]
    fn too_little_memory_is_said_before_the_work() {
        let extent = Extent {
            users: 100_000,
            items: 400_000,
            pairs: 20_000_000,
            factors: vec![128, 128, 0],
            metrics: 2,
            depth: 20,
            threads: 4,
        };
        let sizes = [
            Some(FactorSizes { users: 8_000_000, items: 400_000, factors: 128 }),
            Some(FactorSizes { users: 7_000_000, items: 390_000, factors: 128 }),
            None,
        ];
        assert!(need(&extent, &sizes, 4_000_000).check(2 << 30).is_ok());
        let error = need(&extent, &sizes, 4_000_000).check(1 << 30).unwrap_err();
        insta::assert_snapshot!(error, @"evaluating 3 models for 100,000 users among 400,000 items needs about 1,319 MiB (factor tables 917 MiB, reading the largest model 260 MiB, rows 82 MiB, the program itself 48 MiB, results per user 10 MiB, blocks of scores 4 MiB), and `resources.memory` gives it 1,024 MiB: raise it to 1536Mi, or score fewer users (`users: {sample: …}`), or compare with fewer or smaller models");
        assert_eq!(error.class().exit_code(), 78);
    }
}
