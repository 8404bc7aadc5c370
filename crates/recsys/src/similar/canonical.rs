//! One name for each group of near-duplicates.

use super::Pair;

/// Which item stands for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical {
    /// By item, the item that stands for it; itself for most.
    pub item: Vec<u32>,
    /// Items that stand for others.
    pub groups: usize,
    /// Items that another stands for.
    pub replaced: usize,
    /// Of these, items whose own pair with the one that stands for them is not among the
    /// pairs: they are linked through others.
    pub chained: usize,
    /// Items in the largest group, itself included.
    pub largest_group: usize,
}

/// Names the oldest of each group of linked items its canonical one.
///
/// `age` orders the items: less is older; equal ages are decided by index. `pinned` marks
/// those that stood for themselves on earlier nights: they stay, and where several fall into
/// one group the oldest pinned one wins.
///
/// A group is a connected component of the pairs. So a chain a–b–c is one group even where
/// a–c is below the threshold: otherwise either b–c, which are near-duplicates, would stay
/// apart, or b would change sides with the order of rows, and what an item's older
/// interactions were counted for would change from night to night. The price is that long
/// chains of small edits join unlike ends; `chained` and `largest_group` show it. Items that
/// differ in a number never join, since every pair of a chain has the same numbers.
///
/// # Panics
/// If a pair names an item at or above `age.len()`, or `pinned` is of another length.
pub fn canonical<K: Ord>(pairs: &[Pair], age: &[K], pinned: &[bool]) -> Canonical {
    assert_eq!(age.len(), pinned.len(), "one age and one mark per item");
    let mut links = Links::new(age.len());
    for pair in pairs {
        links.join(pair.a, pair.b);
    }
    let roots: Vec<u32> = (0..age.len() as u32).map(|item| links.root(item)).collect();
    let mut chosen: Vec<u32> = (0..age.len() as u32).collect();
    let rank = |item: u32| (!pinned[item as usize], &age[item as usize], item);
    for (item, &root) in roots.iter().enumerate() {
        let best = &mut chosen[root as usize];
        if rank(item as u32) < rank(*best) {
            *best = item as u32;
        }
    }
    let item: Vec<u32> = roots.iter().map(|&root| chosen[root as usize]).collect();
    summarise(item, pairs)
}

fn summarise(item: Vec<u32>, pairs: &[Pair]) -> Canonical {
    let mut members = vec![0usize; item.len()];
    for &standing in &item {
        members[standing as usize] += 1;
    }
    let mut direct = vec![false; item.len()];
    for pair in pairs {
        for (member, other) in [(pair.a, pair.b), (pair.b, pair.a)] {
            direct[member as usize] |= item[member as usize] == other;
        }
    }
    let replaced = |member: &usize| item[*member] != *member as u32;
    Canonical {
        groups: members.iter().filter(|count| **count > 1).count(),
        replaced: (0..item.len()).filter(replaced).count(),
        chained: (0..item.len()).filter(replaced).filter(|member| !direct[*member]).count(),
        largest_group: members.iter().copied().max().unwrap_or(0),
        item,
    }
}

/// Disjoint sets with path halving; the root is the lowest index.
struct Links(Vec<u32>);

impl Links {
    fn new(items: usize) -> Links {
        Links((0..items as u32).collect())
    }

    fn root(&mut self, mut item: u32) -> u32 {
        while self.0[item as usize] != item {
            let above = self.0[self.0[item as usize] as usize];
            self.0[item as usize] = above;
            item = above;
        }
        item
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b) as usize] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(u32, u32)]) -> Vec<Pair> {
        pairs.iter().map(|&(a, b)| Pair { a, b, jaccard: 0.8 }).collect()
    }

    #[test]
    fn the_oldest_stands_for_a_chain() {
        // 0-1-2 is a chain, 3-4 a pair, 5 alone; 2 is the oldest of the chain.
        let found = canonical(&pairs(&[(0, 1), (1, 2), (3, 4)]), &[30, 20, 10, 7, 7, 1], &[false; 6]);
        assert_eq!(found.item, [2, 2, 2, 3, 3, 5]);
        assert_eq!((found.groups, found.replaced, found.chained), (2, 3, 1));
        assert_eq!(found.largest_group, 3);
    }

    #[test]
    fn a_pinned_item_stays_and_of_two_the_oldest_wins() {
        let links = pairs(&[(0, 1), (1, 2), (2, 3)]);
        let age = [1, 2, 3, 4];
        let one = canonical(&links, &age, &[false, false, true, false]);
        assert_eq!(one.item, [2, 2, 2, 2]);
        let two = canonical(&links, &age, &[false, true, false, true]);
        assert_eq!(two.item, [1, 1, 1, 1]);
    }

    #[test]
    fn no_items_and_no_pairs_are_fine() {
        assert_eq!(canonical::<u64>(&[], &[], &[]).item, [0u32; 0]);
        let alone = canonical(&[], &["b", "a"], &[true, false]);
        assert_eq!(alone.item, [0, 1]);
        assert_eq!((alone.groups, alone.largest_group), (0, 1));
    }
}
