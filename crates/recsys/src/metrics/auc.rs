//! Area under the ROC curve.

/// The share of pairs (truth item, other unseen candidate) in which the truth item scores higher,
/// equal scores counting one half: the area under one user's ROC curve over all unseen candidates,
/// the same as scikit-learn's `roc_auc_score`.
///
/// `mean_ranks` are those of [`TruthRanks`](super::TruthRanks). Items that the model does not know
/// stand in one tie below all that it knows, so an unknown truth item loses to every known
/// candidate and draws with the other unknown ones. implicit computes its `auc` from the top of the
/// list alone and is not comparable.
///
/// NaN for a user without truth, and when every candidate is truth.
#[must_use]
pub fn auc(mean_ranks: &[f64], candidates: usize) -> f64 {
    let truth = mean_ranks.len() as f64;
    let others = candidates as f64 - truth;
    if mean_ranks.is_empty() || others <= 0.0 {
        return f64::NAN;
    }
    // Mann-Whitney: what the ranks exceed those of a perfect ranking by are the pairs lost.
    let perfect = truth * (truth + 1.0) / 2.0;
    let lost = mean_ranks.iter().sum::<f64>() - perfect;
    1.0 - lost / (truth * others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        // Truth at 1 and 4 of 5: wins 3 + 1 of 2 * 3 pairs.
        assert!((auc(&[1.0, 4.0], 5) - 4.0 / 6.0).abs() < 1e-15);
        assert_eq!(auc(&[1.0, 2.0], 5), 1.0);
        assert_eq!(auc(&[5.0, 4.0], 5), 0.0);
        // All five in one tie.
        assert_eq!(auc(&[3.0, 3.0], 5), 0.5);
        assert!(auc(&[], 5).is_nan());
        assert!(auc(&[1.0, 2.0], 2).is_nan());
    }
}
