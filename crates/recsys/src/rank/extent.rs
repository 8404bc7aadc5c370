//! What a ranking costs, told by its sizes alone.

use super::factors::{BLOCK, PANEL};
use super::{CHUNKS_PER_THREAD, USERS_PER_CHUNK};

/// The sizes of a ranking.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extent {
    /// Users that are ranked for.
    pub users: u64,
    /// Items that are ranked.
    pub items: u64,
    /// Pairs of the users' history and truth together.
    pub pairs: u64,
    /// Of each model its number of factors; 0 for one that orders the items alike for everybody.
    pub factors: Vec<u64>,
    pub metrics: u64,
    /// The length of the lists.
    pub depth: u64,
    pub threads: u64,
}

/// Bytes of memory that a ranking holds at its height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RankMemory {
    /// The factors of users and items, these twice, in rows and in panels; and the order that a model without factors,
    /// or a user that it does not know, falls back to.
    pub tables: u64,
    /// Scores of a block of items for the users of a chunk, and lists that wait to be handed on, on all threads.
    pub blocks: u64,
    /// A value for each user, model and metric, twice: as it is found, and as a column.
    pub results: u64,
    pub pairs: u64,
}

impl RankMemory {
    #[must_use]
    pub fn total(self) -> u64 {
        self.tables + self.blocks + self.results + self.pairs
    }
}

impl Extent {
    /// Multiply-adds of all inner products: users x items x factors, summed over the models. Every user is counted as
    /// known to every model, and seen items are scored like others, so this is what the work is at most; taking the
    /// best and the ranks of the truth adds a few comparisons for each score.
    #[must_use]
    pub fn multiply_adds(&self) -> u128 {
        let products: u128 = self.factors.iter().map(|factors| u128::from(*factors)).sum();
        u128::from(self.users) * u128::from(self.items) * products
    }

    /// What is held while the users pass by.
    #[must_use]
    pub fn memory(&self) -> RankMemory {
        // Of each item a score, two flags and its place in the order; of factor models its place among the known.
        const ORDER: u64 = 8 + 2 + 16;
        const PLACE: u64 = 8;
        let (users, items) = (self.users, self.items);
        let in_panels = items.next_multiple_of(PANEL as u64);
        let table = |factors: &u64| match factors {
            0 => ORDER * items,
            factors => 4 * factors * (users + items + in_panels) + (ORDER + PLACE) * items + 8 * users,
        };
        let models = self.factors.len() as u64;
        let chunk = USERS_PER_CHUNK as u64;
        let widest = self.factors.iter().copied().max().unwrap_or(0);
        let scores = chunk * 4 * (BLOCK as u64 + widest);
        // Of a ranked user the list, and the ends of what there is of him.
        let waiting = CHUNKS_PER_THREAD as u64 * chunk * models * (4 * self.depth + 24);
        RankMemory {
            tables: self.factors.iter().map(table).sum(),
            blocks: self.threads.max(1) * (scores + waiting),
            results: 2 * 8 * users * models * self.metrics,
            pairs: 4 * self.pairs + 2 * 8 * users,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        let extent = Extent {
            users: 1000,
            items: 480,
            pairs: 50_000,
            factors: vec![64, 128, 0],
            metrics: 2,
            depth: 20,
            threads: 2,
        };
        assert_eq!(extent.multiply_adds(), 1000 * 480 * (64 + 128));
        let memory = extent.memory();
        let factors = 4 * (64 + 128) * (1000 + 480 + 480);
        assert_eq!(memory.tables, factors + 3 * 26 * 480 + 2 * (8 * 480 + 8 * 1000));
        assert_eq!(memory.blocks, 2 * (128 * 4 * (480 + 128) + 16 * 128 * 3 * 104));
        assert_eq!(memory.results, 2 * 8 * 1000 * 3 * 2);
        assert_eq!(memory.pairs, 200_000 + 16_000);
        assert_eq!(memory.total(), memory.tables + memory.blocks + memory.results + memory.pairs);
        assert_eq!(Extent::default().multiply_adds(), 0);
    }

    #[test]
    fn the_largest_sizes_do_not_overflow() {
        let factors = vec![2048; 20];
        let extent = Extent { users: 1 << 32, items: 1 << 32, factors, ..Extent::default() };
        assert_eq!(extent.multiply_adds(), 20 << 75);
    }
}
