//! How fast the bots of a day were.

use std::collections::BTreeMap;

use crate::fault::Fault;

#[derive(Default)]
pub(crate) struct BotTally {
    /// Rows by user and minute of the day.
    rows: BTreeMap<i64, BTreeMap<u64, u32>>,
}

impl BotTally {
    pub fn count(&mut self, user_id: i64, at_micros: u64) {
        let minutes = self.rows.entry(user_id).or_default();
        *minutes.entry(at_micros / 60_000_000).or_default() += 1;
    }

    /// One fault a bot, in order of user.
    pub fn faults(&self) -> impl Iterator<Item = Fault> {
        self.rows.iter().map(|(user_id, minutes)| Fault::Bot {
            user_id: *user_id,
            events: minutes.values().sum(),
            peak_per_minute: minutes.values().copied().max().unwrap_or(0),
        })
    }
}
