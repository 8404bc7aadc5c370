//! Whose turn it is.

use std::collections::BTreeMap;

use noctule_artifacts::PipelineName;
use noctule_engine::schedule::Claim;

use super::{Limit, SlotWaiter};

/// How many slots are taken of what.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    overall: u32,
    pipelines: BTreeMap<PipelineName, u32>,
    pools: BTreeMap<String, u32>,
}

impl Held {
    pub(super) fn add(&mut self, pipeline: &PipelineName, pool: Option<&str>, number: u32) {
        self.overall += number;
        *self.pipelines.entry(pipeline.clone()).or_default() += number;
        if let Some(pool) = pool {
            *self.pools.entry(pool.to_owned()).or_default() += number;
        }
    }

    /// The first limit of a waiter that is used up, and what it is.
    fn full(&self, waiter: &SlotWaiter) -> Option<(Limit, u32)> {
        let limits = &waiter.wish.limits;
        let used = |count: u32, slots: u32| count >= slots;
        if let Some(pool) = &limits.pool
            && used(self.pools.get(&pool.name).copied().unwrap_or(0), pool.slots)
        {
            return Some((Limit::Pool(pool.name.clone()), pool.slots));
        }
        if let Some(slots) = limits.pipeline
            && used(self.pipelines.get(&waiter.pipeline).copied().unwrap_or(0), slots)
        {
            return Some((Limit::Pipeline(waiter.pipeline.clone()), slots));
        }
        limits.overall.filter(|slots| used(self.overall, *slots)).map(|slots| (Limit::Overall, slots))
    }
}

/// Whether it is `me`'s turn among those who wait; if not, the limit that is in the way, and how many of those who
/// come first wait for the same.
///
/// Who comes first gets a slot in thought, if one is free for it; one that waits for something else that is used up
/// holds back nothing. So free slots do not lie idle for somebody who could not use them.
pub(super) fn turn(mut held: Held, waiting: &[SlotWaiter], me: &SlotWaiter) -> Option<(Limit, u32, u32)> {
    let mut first: Vec<&SlotWaiter> = waiting.iter().filter(|waiter| rank(waiter) < rank(me)).collect();
    first.sort_by_key(|waiter| rank(waiter));
    for waiter in &first {
        if held.full(waiter).is_none() {
            held.add(&waiter.pipeline, waiter.wish.limits.pool.as_ref().map(|pool| &*pool.name), 1);
        }
    }
    let (limit, slots) = held.full(me)?;
    let same = |waiter: &&&SlotWaiter| match &limit {
        Limit::Overall => true,
        Limit::Pipeline(pipeline) => waiter.pipeline == *pipeline,
        Limit::Pool(name) => waiter.wish.limits.pool.as_ref().is_some_and(|pool| pool.name == *name),
    };
    let ahead = u32::try_from(first.iter().filter(same).count()).unwrap_or(u32::MAX);
    Some((limit, slots, ahead))
}

/// Who comes first has the lower rank.
pub(super) fn rank(waiter: &SlotWaiter) -> impl Ord + '_ {
    let claim = Claim { priority: waiter.wish.priority, deadline: waiter.wish.deadline, since: waiter.since };
    (claim, &waiter.run, &waiter.wish.step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::{Pool, SlotLimits, SlotWish};
    use jiff::Timestamp;
    use noctule_artifacts::RunId;
    use proptest::prelude::*;

    const PIPELINES: [&str; 2] = ["nightly", "weekly"];
    /// What of each there is, the same for all.
    const OVERALL: u32 = 4;
    const PER_PIPELINE: [u32; 2] = [2, 3];
    const POOLS: [(&str, u32); 2] = [("gpu", 1), ("big", 2)];

    fn waiter() -> impl Strategy<Value = SlotWaiter> {
        let limits = (any::<bool>(), any::<bool>(), proptest::option::of(0..POOLS.len()));
        let urgency = (-1..=1i32, proptest::option::of(0..3i64), 0..3i64);
        (0..PIPELINES.len(), limits, urgency).prop_map(|(pipeline, (overall, own, pool), urgency)| {
            let (priority, deadline, since) = urgency;
            let second = |second| Timestamp::from_second(second).unwrap();
            SlotWaiter {
                run: RunId::from_random(0),
                pipeline: PIPELINES[pipeline].parse().unwrap(),
                wish: SlotWish {
                    step: "train".parse().unwrap(),
                    limits: SlotLimits {
                        overall: overall.then_some(OVERALL),
                        pipeline: own.then_some(PER_PIPELINE[pipeline]),
                        pool: pool.map(|pool| Pool { name: POOLS[pool].0.to_owned(), slots: POOLS[pool].1 }),
                    },
                    priority,
                    deadline: deadline.map(second),
                },
                since: second(since),
            }
        })
    }

    fn waiters() -> impl Strategy<Value = Vec<SlotWaiter>> {
        proptest::collection::vec(waiter(), 1..12).prop_map(|mut waiters| {
            for (number, waiter) in waiters.iter_mut().enumerate() {
                waiter.run = RunId::from_random(number as u128);
            }
            waiters
        })
    }

    fn others(all: &[SlotWaiter], me: &SlotWaiter) -> Vec<SlotWaiter> {
        all.iter().filter(|waiter| waiter.run != me.run).cloned().collect()
    }

    fn grant(held: &mut Held, waiter: &SlotWaiter) {
        held.add(&waiter.pipeline, waiter.wish.limits.pool.as_ref().map(|pool| &*pool.name), 1);
    }

    proptest! {
        /// Whoever asks in whatever order, nobody gets a slot that is not there; and when nobody gets one any more,
        /// there is none that anybody who waits could use.
        #[test]
        fn limits_are_kept_and_no_slot_lies_idle(all in waiters(), order in any::<u64>()) {
            let (mut held, mut waiting) = (Held::default(), all);
            let mut asked_in_vain = 0;
            let mut next = order;
            while asked_in_vain <= waiting.len() && !waiting.is_empty() {
                // Somebody; and when it is in vain, everybody in a row.
                next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let index = match asked_in_vain {
                    0 => (next >> 33) as usize % waiting.len(),
                    row => row - 1,
                };
                let me = waiting[index].clone();
                if turn(held.clone(), &others(&waiting, &me), &me).is_none() {
                    prop_assert!(held.full(&me).is_none(), "there was none for {me:?} in {held:?}");
                    grant(&mut held, &me);
                    waiting.remove(index);
                    asked_in_vain = 0;
                } else {
                    asked_in_vain += 1;
                }
            }
            for waiter in &waiting {
                prop_assert!(held.full(waiter).is_some(), "{waiter:?} could have one in {held:?}");
            }
        }

        /// Of two that want the same, the one that comes first is not refused where the other is not.
        #[test]
        fn nobody_is_overtaken_by_an_equal(all in waiters()) {
            for one in &all {
                for two in all.iter().filter(|two| two.wish.limits == one.wish.limits && two.pipeline == one.pipeline) {
                    if rank(one) < rank(two) && turn(Held::default(), &others(&all, two), two).is_none() {
                        prop_assert!(turn(Held::default(), &others(&all, one), one).is_none());
                    }
                }
            }
        }
    }
}
