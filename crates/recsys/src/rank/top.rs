//! The best of a stream.

/// Keeps the best `depth` of scores that come in the order of their items.
///
/// A binary heap with the worst kept entry at its root. An entry that comes later loses against an
/// equal score, as its item has the higher index.
#[derive(Debug)]
pub(super) struct Top {
    depth: usize,
    heap: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    score: f32,
    place: u32,
}

impl Entry {
    fn is_worse_than(self, other: Self) -> bool {
        self.score < other.score || (self.score == other.score && self.place > other.place)
    }
}

impl Top {
    pub(super) fn new(depth: usize) -> Self {
        Self { depth, heap: Vec::new() }
    }

    /// What a score must exceed to be kept. Scores are finite.
    pub(super) fn bar(&self) -> f32 {
        if self.depth == 0 {
            f32::INFINITY
        } else if self.heap.len() < self.depth {
            f32::NEG_INFINITY
        } else {
            self.heap[0].score
        }
    }

    /// Takes a score above the bar.
    pub(super) fn push(&mut self, score: f32, place: u32) {
        let entry = Entry { score, place };
        if self.heap.len() < self.depth {
            self.heap.push(entry);
            self.sift_up();
        } else {
            self.heap[0] = entry;
            self.sift_down();
        }
    }

    fn sift_up(&mut self) {
        let mut child = self.heap.len() - 1;
        while child > 0 {
            let parent = (child - 1) / 2;
            if !self.heap[child].is_worse_than(self.heap[parent]) {
                break;
            }
            self.heap.swap(child, parent);
            child = parent;
        }
    }

    fn sift_down(&mut self) {
        let mut parent = 0;
        loop {
            let left = 2 * parent + 1;
            if left >= self.heap.len() {
                break;
            }
            let right = left + 1;
            let worse = if right < self.heap.len() && self.heap[right].is_worse_than(self.heap[left]) {
                right
            } else {
                left
            };
            if !self.heap[worse].is_worse_than(self.heap[parent]) {
                break;
            }
            self.heap.swap(worse, parent);
            parent = worse;
        }
    }

    /// The places that were kept, best first.
    pub(super) fn into_places(mut self) -> impl Iterator<Item = u32> {
        self.heap.sort_unstable_by(|left, right| {
            right.score.total_cmp(&(left.score)).then(left.place.cmp(&right.place))
        });
        self.heap.into_iter().map(|entry| entry.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keeps_what_a_stable_sort_keeps(
            scores in prop::collection::vec((-3i8..3).prop_map(f32::from), 0..60),
            depth in 0usize..70,
        ) {
            let mut top = Top::new(depth);
            for (place, score) in (0..).zip(&scores) {
                if *score > top.bar() {
                    top.push(*score, place);
                }
            }
            let mut order: Vec<u32> = (0..scores.len() as u32).collect();
            order.sort_by(|left, right| scores[*right as usize].total_cmp(&scores[*left as usize]));
            order.truncate(depth);
            prop_assert_eq!(top.into_places().collect::<Vec<_>>(), order);
        }
    }
}
