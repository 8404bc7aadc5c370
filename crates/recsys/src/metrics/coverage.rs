//! Item coverage.

use super::Cutoff;

/// Counts how many different items stand in the first `k` places of any user's list, as a share of
/// all candidate items. Belongs to a whole set of lists; a user has no value.
#[derive(Debug, Clone)]
pub struct Coverage {
    k: Cutoff,
    shown: Vec<bool>,
    candidates: usize,
}

impl Coverage {
    /// Items are indices below `n_items`, of which `candidates` can be recommended.
    #[must_use]
    pub fn new(k: Cutoff, n_items: usize, candidates: usize) -> Self {
        Self { k, shown: vec![false; n_items], candidates }
    }

    /// Adds one user's list, best item first; what stands beyond the cut-off does not count.
    ///
    /// # Panics
    /// When an item is not below `n_items`.
    pub fn add(&mut self, list: &[u32]) {
        for item in list.iter().take(self.k.get() as usize) {
            self.shown[*item as usize] = true;
        }
    }

    /// NaN when there are no candidates.
    #[must_use]
    pub fn value(&self) -> f64 {
        let shown = self.shown.iter().filter(|shown| **shown).count();
        shown as f64 / self.candidates as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        let mut coverage = Coverage::new(Cutoff::new(2).expect("not 0"), 10, 8);
        assert_eq!(coverage.value(), 0.0);
        coverage.add(&[3, 4, 5]);
        coverage.add(&[4]);
        coverage.add(&[]);
        assert_eq!(coverage.value(), 0.25);
        assert!(Coverage::new(Cutoff::new(2).expect("not 0"), 0, 0).value().is_nan());
    }
}
