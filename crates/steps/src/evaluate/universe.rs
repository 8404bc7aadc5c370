//! Who is scored on what: tonight's history and test rows, the same for all models.

use noctule_recsys::interactions::Interactions;
use noctule_recsys::rank::UniverseError;
use noctule_recsys::sample::SaltedHash;
use noctule_spec::kinds::evaluate::Settings;

use super::EvaluateError;
use crate::attempt::Attempt;
use crate::error::StepError;
use crate::evaluation::{SplitFound, UniverseFacts};
use crate::interactions::InteractionTable;
use crate::model::Ids;

/// The users scored and the items ranked. Users are those with a test row, items those with a history row, both in the
/// order of their ids, which breaks ties.
pub(super) struct Scene {
    pub users: Ids,
    pub items: Ids,
    /// Rows of each item in the whole history: what the popularity baseline ranks by.
    pub counts: Vec<u64>,
    /// What each scored user has seen.
    pub history: Interactions,
    pub truth: Interactions,
    pub candidates: Vec<bool>,
    pub facts: UniverseFacts,
    pub split: SplitFound,
}

pub(crate) struct Counts {
    pub test_users: u64,
    pub scored_users: u64,
    pub candidate_items: u64,
    pub history_rows: u64,
    pub test_rows: u64,
    pub dropped_unknown_item: u64,
}

impl Scene {
    pub async fn read(attempt: &Attempt, settings: &Settings) -> Result<Self, StepError> {
        let budget = attempt.budget()?;
        let reference = settings.history.to_string();
        let table = attempt.table(&reference).await?;
        let test = attempt.table(&settings.test.to_string()).await?;
        let history = InteractionTable::read(&table, None, "rank by", &budget)?;
        let test = InteractionTable::read(&test, None, "predict", &budget)?;
        let split = super::split_found(super::identity(attempt, &reference)?, &history, &test);
        let scene = Self::new(history, &test, settings, split)?;
        for (name, count) in [
            ("test_users", scene.facts.test_users),
            ("scored_users", scene.facts.scored_users),
            ("candidate_items", scene.facts.candidate_items),
            ("history_rows", scene.facts.history_rows),
            ("test_rows", scene.facts.test_rows),
            ("dropped_unknown_item", scene.facts.dropped_unknown_item),
        ] {
            attempt.emit.count(name, count);
        }
        if scene.facts.scored_users < scene.facts.test_users {
            let UniverseFacts { scored_users, test_users, .. } = scene.facts;
            attempt.emit.note(&format!(
                "{scored_users} of {test_users} test users are scored, chosen by a stable hash"
            ));
        }
        Ok(scene)
    }

    fn new(
        history: InteractionTable,
        test: &InteractionTable,
        settings: &Settings,
        split: SplitFound,
    ) -> Result<Self, EvaluateError> {
        let item_at = history.items.index().find(&test.items);
        let pairs: Vec<(u32, u32)> = (test.user_of.iter().zip(&test.item_of))
            .filter_map(|(user, item)| Some((*user, item_at[*item as usize]?)))
            .collect();
        let mut with_truth = vec![false; test.users.len()];
        pairs.iter().for_each(|(user, _)| with_truth[*user as usize] = true);
        let all: Vec<usize> = (0..test.users.len()).filter(|user| with_truth[*user]).collect();
        if all.is_empty() {
            return Err(EvaluateError::NoUsers { rows: test.rows() });
        }
        let scored = sample(test, &all, settings);
        let users = test.users.select(&scored);
        // From a test user, and from a history user, to the place among the scored ones.
        let mut place = vec![None; test.users.len()];
        scored.iter().zip(0_u32..).for_each(|(user, at)| place[*user] = Some(at));
        let seen_by = users.index().find(&history.users);
        let items = history.items.len();
        let mut counts = vec![0; items];
        history.item_of.iter().for_each(|item| counts[*item as usize] += 1);
        let seen = history.user_of.iter().zip(&history.item_of);
        let seen = collect(seen.filter_map(|(user, item)| Some((seen_by[*user as usize]?, *item))));
        let truth = collect(pairs.iter().filter_map(|(user, item)| Some((place[*user as usize]?, *item))));
        let facts = super::facts(
            &Counts {
                test_users: all.len() as u64,
                scored_users: scored.len() as u64,
                candidate_items: items as u64,
                history_rows: history.rows() as u64,
                test_rows: test.rows() as u64,
                dropped_unknown_item: (test.rows() - pairs.len()) as u64,
            },
            &settings.users.salt,
        );
        Ok(Self {
            history: Interactions::from_pairs(&seen.0, &seen.1, None, users.len(), items)?,
            truth: Interactions::from_pairs(&truth.0, &truth.1, None, users.len(), items)?,
            candidates: vec![true; items],
            users,
            items: history.items,
            counts,
            facts,
            split,
        })
    }

    /// Names the ids behind the indices of an error.
    pub fn explain(&self, error: UniverseError) -> EvaluateError {
        match error {
            UniverseError::TruthInHistory { user, item } => {
                EvaluateError::Leak { user: self.users.text(user), item: self.items.text(item as usize) }
            }
            other => other.into(),
        }
    }
}

/// The users that are scored: all, or those with the smallest salted hashes.
fn sample(test: &InteractionTable, all: &[usize], settings: &Settings) -> Vec<usize> {
    let most = usize::try_from(settings.users.sample).unwrap_or(usize::MAX);
    if all.len() <= most {
        return all.to_vec();
    }
    let ids: Vec<String> = all.iter().map(|user| test.users.text(*user)).collect();
    SaltedHash::new(&settings.users.salt).smallest(&ids, most).into_iter().map(|at| all[at]).collect()
}

fn collect(pairs: impl Iterator<Item = (u32, u32)>) -> (Vec<u32>, Vec<u32>) {
    pairs.unzip()
}
