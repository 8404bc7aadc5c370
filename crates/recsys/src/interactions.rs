//! Who had what: the user-item pairs that trainers, metrics and rankings read.

use thiserror::Error;

/// A sparse matrix of user-item pairs, one row per user, in compressed sparse row form.
///
/// Users and items are indices, `0..n_users` and `0..n_items`; what they stand for is the caller's.
/// The items of a user ascend. A pair that was given twice stands twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Interactions {
    n_items: usize,
    /// Row `u` is `items[indptr[u]..indptr[u + 1]]`; one entry more than there are users.
    indptr: Vec<usize>,
    items: Vec<u32>,
    weights: Option<Vec<f32>>,
}

/// Why slices of users, items and weights are not interactions. `row` is a position in the slices.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum InteractionsError {
    #[error("{users} users stand beside {items} items; give one user and one item per interaction")]
    UnequalLengths { users: usize, items: usize },
    #[error("{weights} weights stand beside {pairs} pairs; give one weight per pair, or none")]
    UnequalWeights { weights: usize, pairs: usize },
    #[error("row {row}: user {user} is out of range; there are {n_users} users, counted from 0")]
    UserOutOfRange { row: usize, user: u32, n_users: usize },
    #[error("row {row}: item {item} is out of range; there are {n_items} items, counted from 0")]
    ItemOutOfRange { row: usize, item: u32, n_items: usize },
    #[error(
        "row {row}: the pair of user {user} and item {item} has weight {weight}; \
         a weight is a finite number, 0 or greater"
    )]
    BadWeight { row: usize, user: u32, item: u32, weight: f32 },
    #[error("{count} {what} are too many; an index has 32 bits")]
    TooMany { what: &'static str, count: usize },
}

impl Interactions {
    /// Builds the matrix from parallel slices; the order of the rows does not matter.
    ///
    /// # Errors
    /// Slices of unequal length, an index out of range, a weight that is NaN, infinite or negative.
    pub fn from_pairs(
        users: &[u32],
        items: &[u32],
        weights: Option<&[f32]>,
        n_users: usize,
        n_items: usize,
    ) -> Result<Self, InteractionsError> {
        check(users, items, weights, n_users, n_items)?;
        // Sorting by item and then, stably, by user leaves each user's items in order.
        let mut by_item = scatter(items, users, weights, n_items);
        by_item.n_items = n_users;
        let mut sorted = by_item.transpose();
        sorted.order_repeated_weights();
        Ok(sorted)
    }

    /// No pairs at all.
    #[must_use]
    pub fn empty(n_users: usize, n_items: usize) -> Self {
        Self { n_items, indptr: vec![0; n_users + 1], items: Vec::new(), weights: None }
    }

    #[must_use]
    pub fn n_users(&self) -> usize {
        self.indptr.len() - 1
    }

    #[must_use]
    pub fn n_items(&self) -> usize {
        self.n_items
    }

    /// The number of pairs, repeated ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items of one user, ascending.
    ///
    /// # Panics
    /// When `user` is not below [`n_users`](Self::n_users).
    #[must_use]
    pub fn items_of(&self, user: usize) -> &[u32] {
        &self.items[self.indptr[user]..self.indptr[user + 1]]
    }

    /// The weights beside [`items_of`](Self::items_of), when there are weights.
    ///
    /// # Panics
    /// When `user` is not below [`n_users`](Self::n_users).
    #[must_use]
    pub fn weights_of(&self, user: usize) -> Option<&[f32]> {
        let weights = self.weights.as_ref()?;
        Some(&weights[self.indptr[user]..self.indptr[user + 1]])
    }

    #[must_use]
    pub fn has_weights(&self) -> bool {
        self.weights.is_some()
    }

    /// The same pairs with users and items in each other's place.
    #[must_use]
    pub fn transpose(&self) -> Self {
        let mut users = Vec::with_capacity(self.items.len());
        for user in 0..self.n_users() {
            let index = u32::try_from(user).expect("checked when the pairs were built");
            users.resize(self.indptr[user + 1], index);
        }
        let mut turned = scatter(&self.items, &users, self.weights.as_deref(), self.n_items);
        turned.n_items = self.n_users();
        turned
    }

    /// Puts the weights of a repeated pair in ascending order, the one trace that the order of the
    /// rows could leave.
    fn order_repeated_weights(&mut self) {
        let Some(weights) = &mut self.weights else {
            return;
        };
        for row in self.indptr.windows(2) {
            let items = &self.items[row[0]..row[1]];
            let mut rest = &mut weights[row[0]..row[1]];
            for run in items.chunk_by(|left, right| left == right) {
                let (repeated, after) = rest.split_at_mut(run.len());
                repeated.sort_unstable_by(f32::total_cmp);
                rest = after;
            }
        }
    }
}

fn check(
    users: &[u32],
    items: &[u32],
    weights: Option<&[f32]>,
    n_users: usize,
    n_items: usize,
) -> Result<(), InteractionsError> {
    for (what, count) in [("users", n_users), ("items", n_items)] {
        if u32::try_from(count).is_err() {
            return Err(InteractionsError::TooMany { what, count });
        }
    }
    if users.len() != items.len() {
        return Err(InteractionsError::UnequalLengths { users: users.len(), items: items.len() });
    }
    if let Some(row) = users.iter().position(|&user| user as usize >= n_users) {
        let user = users[row];
        return Err(InteractionsError::UserOutOfRange { row, user, n_users });
    }
    if let Some(row) = items.iter().position(|&item| item as usize >= n_items) {
        let item = items[row];
        return Err(InteractionsError::ItemOutOfRange { row, item, n_items });
    }
    let Some(weights) = weights else {
        return Ok(());
    };
    if weights.len() != users.len() {
        return Err(InteractionsError::UnequalWeights { weights: weights.len(), pairs: users.len() });
    }
    match weights.iter().position(|w| !w.is_finite() || *w < 0.0) {
        None => Ok(()),
        Some(row) => Err(InteractionsError::BadWeight {
            row,
            user: users[row],
            item: items[row],
            weight: weights[row],
        }),
    }
}

/// A stable counting sort of `values` by `keys`; the caller sets the width of the result.
fn scatter(keys: &[u32], values: &[u32], weights: Option<&[f32]>, n_keys: usize) -> Interactions {
    let mut indptr = vec![0usize; n_keys + 1];
    for &key in keys {
        indptr[key as usize + 1] += 1;
    }
    for key in 0..n_keys {
        indptr[key + 1] += indptr[key];
    }
    let mut next = indptr[..n_keys].to_vec();
    let mut items = vec![0u32; values.len()];
    let mut moved = weights.map(|weights| vec![0f32; weights.len()]);
    for (row, (&key, &value)) in keys.iter().zip(values).enumerate() {
        let place = next[key as usize];
        next[key as usize] += 1;
        items[place] = value;
        if let (Some(moved), Some(weights)) = (&mut moved, weights) {
            moved[place] = weights[row];
        }
    }
    Interactions { n_items: 0, indptr, items, weights: moved }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn items_of_a_user_ascend_and_repeats_stay() {
        let built = Interactions::from_pairs(&[1, 0, 1, 1], &[2, 1, 0, 2], None, 3, 3).expect("valid");
        assert_eq!(built.n_users(), 3);
        assert_eq!(built.items_of(0), [1]);
        assert_eq!(built.items_of(1), [0, 2, 2]);
        assert_eq!(built.items_of(2), [0u32; 0]);
        assert_eq!(built.len(), 4);
    }

    #[test]
    fn transposing_lists_the_users_of_an_item() {
        let built =
            Interactions::from_pairs(&[0, 1, 1], &[1, 1, 0], Some(&[3.0, 2.0, 1.0]), 2, 4).expect("valid");
        let turned = built.transpose();
        assert_eq!((turned.n_users(), turned.n_items()), (4, 2));
        assert_eq!(turned.items_of(1), [0, 1]);
        assert_eq!(turned.weights_of(1), Some(&[3.0, 2.0][..]));
    }

    #[test]
    fn nothing_is_a_matrix_too() {
        let none = Interactions::from_pairs(&[], &[], None, 0, 0).expect("valid");
        assert!(none.is_empty());
        assert_eq!(none, Interactions::empty(0, 0));
        assert_eq!(none.transpose(), none);
    }

    #[test]
    fn errors_name_row_value_and_bound() {
        let user = Interactions::from_pairs(&[0, 9], &[0, 0], None, 2, 1).unwrap_err();
        assert_eq!(user.to_string(), "row 1: user 9 is out of range; there are 2 users, counted from 0");
        let item = Interactions::from_pairs(&[0], &[1], None, 1, 1).unwrap_err();
        assert_eq!(item.to_string(), "row 0: item 1 is out of range; there are 1 items, counted from 0");
        for weight in [f32::NAN, f32::INFINITY, -1.0] {
            let bad = Interactions::from_pairs(&[0], &[0], Some(&[weight]), 1, 1).unwrap_err();
            assert!(matches!(bad, InteractionsError::BadWeight { row: 0, .. }));
        }
        let lengths = Interactions::from_pairs(&[0], &[], None, 1, 1).unwrap_err();
        assert_eq!(lengths, InteractionsError::UnequalLengths { users: 1, items: 0 });
        let weights = Interactions::from_pairs(&[0], &[0], Some(&[]), 1, 1).unwrap_err();
        assert_eq!(weights, InteractionsError::UnequalWeights { weights: 0, pairs: 1 });
    }

    proptest! {
        #[test]
        fn the_order_of_rows_leaves_no_trace(
            rows in prop::collection::vec((0u32..5, 0u32..4, 0u8..4), 0..40)
                .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle()))
        ) {
            let build = |rows: &[(u32, u32, u8)]| {
                let users: Vec<u32> = rows.iter().map(|row| row.0).collect();
                let items: Vec<u32> = rows.iter().map(|row| row.1).collect();
                let weights: Vec<f32> = rows.iter().map(|row| f32::from(row.2)).collect();
                Interactions::from_pairs(&users, &items, Some(&weights), 5, 4).expect("valid")
            };
            let (first, second) = (build(&rows.0), build(&rows.1));
            prop_assert_eq!(&first, &second);
            prop_assert!((0..5).all(|user| first.items_of(user).is_sorted()));
            prop_assert_eq!(first.transpose().len(), first.len());
        }
    }
}
