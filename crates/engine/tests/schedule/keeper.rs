//! Whoever keeps the decisions, through any sequence of looks, restarts and clock jumps: none is made twice, and none
//! is lost.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use noctule_engine::schedule::due::{ClockBack, GRACE, MOST, Older};
use noctule_engine::schedule::{Decided, Decision, NotRun, Occurrence, Occurrences, Standing, due};
use noctule_spec::{Misfire, Overlap, Schedule};
use proptest::prelude::*;

use crate::{at, schedule};

#[derive(Debug, Clone)]
enum Deed {
    /// Time passes, and the schedule is looked at.
    Look {
        seconds: i64,
    },
    /// The server is killed, and comes up later with what it had kept.
    Restart {
        seconds: i64,
    },
    /// The clock is set, forward or back.
    Set {
        seconds: i64,
    },
    RunEnds,
    Pause(bool),
}

fn any_deed() -> impl Strategy<Value = Deed> {
    let pass = prop_oneof![4 => 1i64..90, 3 => 60i64..7_200, 1 => 7_200i64..300_000];
    let set = prop_oneof![
        3 => -7_200i64..7_200,
        1 => -3_000_000i64..3_000_000,
        1 => prop::sample::select(vec![-31_536_000i64, 31_536_000]),
    ];
    prop_oneof![
        8 => pass.clone().prop_map(|seconds| Deed::Look { seconds }),
        2 => pass.prop_map(|seconds| Deed::Restart { seconds }),
        1 => set.prop_map(|seconds| Deed::Set { seconds }),
        4 => Just(Deed::RunEnds),
        1 => any::<bool>().prop_map(Deed::Pause),
    ]
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let line =
        prop::sample::select(vec!["* * * * *", "*/7 * * * *", "15 * * * *", "15 2 * * *", "30 2,3 * * 0,3"]);
    let misfire = prop::sample::select(vec![Misfire::RunLatest, Misfire::RunAll, Misfire::Skip]);
    let overlap = prop::sample::select(vec![Overlap::Skip, Overlap::Queue, Overlap::Replace]);
    (line, misfire, overlap).prop_map(|(line, misfire, overlap)| schedule(line, misfire, overlap))
}

#[derive(Debug, Clone, PartialEq)]
enum Row {
    Queued,
    Started,
    Skipped(NotRun),
}

/// What a server keeps, and what it does with it.
struct Keeper {
    schedule: Schedule,
    now: Timestamp,
    /// As it is kept.
    kept: Timestamp,
    /// As the server that is running knows it; ahead of what is kept while there is no news.
    watermark: Timestamp,
    rows: BTreeMap<String, (Occurrence, Row)>,
    older: Vec<Older>,
    live: usize,
    queue: VecDeque<String>,
    paused: bool,
    /// In the order in which they began.
    started: Vec<Occurrence>,
    turns: Vec<ClockBack>,
}

impl Keeper {
    fn new(schedule: Schedule, now: Timestamp) -> Self {
        Self {
            schedule,
            now,
            kept: now,
            watermark: now,
            rows: BTreeMap::new(),
            older: Vec::new(),
            live: 0,
            queue: VecDeque::new(),
            paused: false,
            started: Vec::new(),
            turns: Vec::new(),
        }
    }

    fn act(&mut self, deed: &Deed) {
        match deed {
            Deed::Look { seconds } => {
                self.now += SignedDuration::from_secs(*seconds);
                self.look();
            }
            Deed::Restart { seconds } => {
                self.now += SignedDuration::from_secs(*seconds);
                self.watermark = self.kept;
                self.look();
            }
            Deed::Set { seconds } => {
                self.now += SignedDuration::from_secs(*seconds);
                self.look();
            }
            Deed::RunEnds => {
                self.live = self.live.saturating_sub(1);
                self.serve_queue();
            }
            Deed::Pause(paused) => self.paused = *paused,
        }
    }

    fn look(&mut self) {
        let standing = Standing { live: self.live, queued: self.queue.len(), paused: self.paused };
        let due = due(&self.schedule, self.watermark, self.now, standing).unwrap();
        self.check_rules(&due.decided, standing);
        if let Some(turn) = due.clock {
            self.turn_back(turn);
        }
        if due.has_news() {
            self.kept = due.watermark;
        }
        self.watermark = due.watermark;
        self.older.extend(due.older);
        for decided in due.decided {
            self.keep(decided);
        }
    }

    /// What was decided for later than now is dropped, unless it has begun.
    fn turn_back(&mut self, turn: ClockBack) {
        assert!(turn.from > turn.to && turn.to == self.now);
        self.rows.retain(|_, (occurrence, row)| occurrence.at <= turn.to || *row == Row::Started);
        self.queue.retain(|id| self.rows.contains_key(id));
        self.older.retain(|older| older.first.at <= turn.to);
        self.turns.push(turn);
    }

    fn keep(&mut self, decided: Decided<Occurrence>) {
        let (id, occurrence) = (decided.what.id(), decided.what);
        // The key is unique: what is there stays as it is.
        if self.rows.contains_key(&id) {
            return;
        }
        let row = match decided.decision {
            Decision::Start => {
                self.begin(occurrence);
                Row::Started
            }
            Decision::Queue => {
                self.queue.push_back(id.clone());
                Row::Queued
            }
            Decision::Replace => {
                for replaced in self.queue.drain(..) {
                    self.rows.get_mut(&replaced).unwrap().1 = Row::Skipped(NotRun::Replaced);
                }
                self.queue.push_back(id.clone());
                Row::Queued
            }
            Decision::Skip(reason) => Row::Skipped(reason),
            Decision::Wait { .. } => unreachable!("no schedule here waits for data"),
        };
        self.rows.insert(id, (occurrence, row));
    }

    fn begin(&mut self, occurrence: Occurrence) {
        self.live += 1;
        self.started.push(occurrence);
    }

    fn serve_queue(&mut self) {
        if self.live == 0
            && let Some(id) = self.queue.pop_front()
        {
            let row = self.rows.get_mut(&id).unwrap();
            row.1 = Row::Started;
            let occurrence = row.0;
            self.begin(occurrence);
        }
    }

    /// What must hold of the decisions of one look.
    fn check_rules(&self, decided: &[Decided<Occurrence>], standing: Standing) {
        assert!(decided.len() <= MOST);
        assert!(decided.windows(2).all(|pair| pair[0].what.at < pair[1].what.at));
        let skipped = |one: &&Decided<Occurrence>| matches!(one.decision, Decision::Skip(_));
        if standing.paused {
            assert!(decided.iter().all(|one| one.decision == Decision::Skip(NotRun::Paused)));
            return;
        }
        let missed = |one: &&Decided<Occurrence>| self.now.duration_since(one.what.at) > GRACE;
        let missed_run: Vec<_> = decided.iter().filter(missed).filter(|one| !skipped(one)).collect();
        match self.schedule.misfire {
            Misfire::RunLatest => {
                assert!(missed_run.len() <= 1);
                assert!(missed_run.iter().all(|one| Some(*one) == decided.last()));
            }
            Misfire::RunAll => assert_eq!(decided.iter().filter(skipped).count(), 0),
            Misfire::Skip => assert!(missed_run.is_empty()),
        }
        let starts = decided.iter().filter(|one| one.decision == Decision::Start).count();
        let busy = standing.live + standing.queued > 0;
        assert!(starts <= usize::from(!busy), "{starts} begin beside others");
        let never = match self.schedule.overlap {
            _ if self.schedule.misfire == Misfire::RunAll => Decision::Replace,
            Overlap::Skip => Decision::Queue,
            Overlap::Queue => Decision::Skip(NotRun::Overlap),
            Overlap::Replace => Decision::Queue,
        };
        assert!(decided.iter().all(|one| one.decision != never));
    }

    /// What must hold of everything that was kept.
    fn check_all(&self, begin: Timestamp) {
        let mut ids: Vec<String> = self.started.iter().map(Occurrence::id).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "an occurrence began twice");
        let dropped = |at: Timestamp| self.turns.iter().any(|turn| at > turn.to);
        if self.schedule.misfire == Misfire::RunAll && self.turns.is_empty() {
            assert!(self.started.windows(2).all(|pair| pair[0].at < pair[1].at), "out of order");
        }
        // What lies before the watermark is decided: each by itself, or with the older ones.
        let timetable = self.schedule.timetable().unwrap();
        let first = self.turns.iter().map(|turn| turn.to).fold(begin, Timestamp::min);
        let all = Occurrences::after(timetable, begin.max(first)).unwrap();
        for occurrence in all.take_while(|occurrence| occurrence.at <= self.watermark).take(20_000) {
            let told =
                self.older.iter().filter(|o| (o.first.at..=o.last.at).contains(&occurrence.at)).count();
            let one = usize::from(self.rows.contains_key(&occurrence.id()));
            assert!(told + one >= 1, "{} is lost", occurrence.id());
            assert!(told + one == 1 || dropped(occurrence.at), "{} is told twice", occurrence.id());
        }
        let later = |row: &(Occurrence, Row)| row.0.at > self.watermark && row.1 != Row::Started;
        assert!(!self.rows.values().any(later), "decided before its time");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn none_is_lost_and_none_is_doubled(
        schedule in any_schedule(),
        begin in prop::sample::select(vec![
            "2026-03-28T20:00:00Z",
            "2026-10-24T22:30:00Z",
            "2026-11-24T12:00:00Z",
        ]),
        deeds in prop::collection::vec(any_deed(), 1..60),
    ) {
        let begin = at(begin);
        let mut keeper = Keeper::new(schedule, begin);
        for deed in &deeds {
            keeper.act(deed);
        }
        keeper.check_all(begin);
        // Whatever was queued begins when those before it have ended.
        for _ in 0..=keeper.queue.len() {
            keeper.live = 0;
            keeper.serve_queue();
        }
        prop_assert!(keeper.queue.is_empty());
        keeper.check_all(begin);
    }
}
