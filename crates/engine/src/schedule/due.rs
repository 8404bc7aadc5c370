//! What becomes of each occurrence of a schedule: the one decision, made from what is known when it is looked at.
//!
//! Everything between the watermark and now is decided, once and in order; then the watermark is now. Who keeps the
//! decisions keeps each under its occurrence's id, so that one that is made twice counts once.

use jiff::{SignedDuration, Timestamp};
use noctule_spec::{Misfire, Overlap, Schedule};

use super::latest::Latest;
use super::occurrence::civil_id;
use super::{Occurrence, ScheduleError};

/// An occurrence is missed when it is looked at later than this.
pub const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// A clock that shows a time this much before the watermark has been set back.
pub const CLOCK_BACK: SignedDuration = SignedDuration::from_secs(60);
/// How many occurrences are decided one by one at a look. Of more than these the older ones are told of together.
pub const MOST: usize = 1_000;

/// How things stand with a pipeline when its occurrences are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Its runs of occurrences that have not ended.
    pub live: usize,
    /// Its occurrences that are queued and have not begun.
    pub queued: usize,
    /// Somebody paused the schedule.
    pub paused: bool,
}

/// What becomes of an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It begins.
    Start,
    /// It begins when the runs and the queue before it are through.
    Queue,
    /// The runs that are going are cancelled, those that are queued are skipped as [`NotRun::Replaced`], and it begins
    /// once they have ended.
    Replace,
    /// The data that it waits for are looked for, at least once and until `give_up`; then [`landed`] decides, or it is
    /// skipped as [`NotRun::GaveUp`].
    Wait {
        give_up: Timestamp,
    },
    Skip(NotRun),
}

/// Why an occurrence did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotRun {
    /// Nothing was running when it was due, and `misfire` says to leave such occurrences out; or it was one of more
    /// than can be caught up with.
    Missed,
    /// The last run was still going.
    Overlap,
    /// The schedule was paused.
    Paused,
    /// A later one ran instead.
    Superseded,
    /// The data that it waited for did not land in time.
    GaveUp,
    /// The clock was set back, and what had been decided for later than now was dropped.
    Clock,
    /// A later one took its place in the queue.
    Replaced,
    /// The backfill that it was part of was cancelled.
    BackfillCancelled,
}

/// What is due of a schedule, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Rising.
    pub decided: Vec<Decided<Occurrence>>,
    /// The occurrences before those, when there were more than [`MOST`].
    pub older: Option<Older>,
    /// The clock has been set back since the watermark was set.
    pub clock: Option<ClockBack>,
    /// Everything up to here is decided. It need not be kept while nothing was decided.
    pub watermark: Timestamp,
}

/// Something that was due, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided<T> {
    pub what: T,
    pub decision: Decision,
}

/// Occurrences that are told of together: none of them runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Older {
    pub count: u64,
    pub first: Occurrence,
    pub last: Occurrence,
    pub reason: NotRun,
}

/// A clock that was set back. What had been decided for occurrences after `to`, and has not begun to run, is to be
/// dropped: these occurrences are due again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockBack {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// A promotion that makes a pipeline due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promotion {
    /// Its number in the registry's history.
    pub sequence: u64,
    pub at: Timestamp,
}

impl NotRun {
    pub const ALL: [NotRun; 8] = [
        NotRun::Missed,
        NotRun::Overlap,
        NotRun::Paused,
        NotRun::Superseded,
        NotRun::GaveUp,
        NotRun::Clock,
        NotRun::Replaced,
        NotRun::BackfillCancelled,
    ];

    /// The word under which it is kept and shown.
    pub fn word(self) -> &'static str {
        match self {
            NotRun::Missed => "missed",
            NotRun::Overlap => "overlap",
            NotRun::Paused => "paused",
            NotRun::Superseded => "superseded",
            NotRun::GaveUp => "gave-up",
            NotRun::Clock => "clock",
            NotRun::Replaced => "replaced",
            NotRun::BackfillCancelled => "backfill-cancelled",
        }
    }

    /// The reason of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }

    /// What it means, as a sentence's end: `did not run: ...`.
    pub fn sentence(self) -> &'static str {
        match self {
            NotRun::Missed => "nothing was running when it was due",
            NotRun::Overlap => "the last run was still going",
            NotRun::Paused => "the schedule was paused",
            NotRun::Superseded => "a later one ran instead",
            NotRun::GaveUp => "the data that it waited for did not land in time",
            NotRun::Clock => "the clock was set back",
            NotRun::Replaced => "a later one took its place",
            NotRun::BackfillCancelled => "its backfill was cancelled",
        }
    }
}

impl std::fmt::Display for NotRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

impl Due {
    /// Whether anything was decided that has to be kept.
    pub fn has_news(&self) -> bool {
        !self.decided.is_empty() || self.older.is_some() || self.clock.is_some()
    }
}

impl Older {
    /// What tells the row from others of its pipeline: `2025-11-24T02:15..2026-11-23T02:15`.
    pub fn id(&self) -> String {
        format!("{}..{}", civil_id(self.first.civil), civil_id(self.last.civil))
    }
}

impl ClockBack {
    /// What tells the row from others of its pipeline.
    pub fn id(&self) -> String {
        format!("clock/{}..{}", self.from, self.to)
    }
}

impl Promotion {
    /// What tells the occurrence from the others of its pipeline: `promotion/17`.
    pub fn id(&self) -> String {
        format!("promotion/{}", self.sequence)
    }
}

/// Decides about every occurrence after the watermark and up to now.
///
/// A schedule without a timetable has none. A clock that is up to a minute behind the watermark is waited for.
pub fn due(
    schedule: &Schedule,
    watermark: Timestamp,
    now: Timestamp,
    standing: Standing,
) -> Result<Due, ScheduleError> {
    let nothing = Due { decided: Vec::new(), older: None, clock: None, watermark: watermark.max(now) };
    if now <= watermark {
        let back = watermark.duration_since(now) > CLOCK_BACK;
        let clock = back.then_some(ClockBack { from: watermark, to: now });
        return Ok(Due { clock, watermark: if back { now } else { watermark }, ..nothing });
    }
    let Some(timetable) = schedule.timetable() else {
        return Ok(nothing);
    };
    let latest = Latest::between(timetable, watermark, now, MOST)?;
    let ats: Vec<Timestamp> = latest.occurrences.iter().map(|occurrence| occurrence.at).collect();
    let decisions = decide(schedule, &ats, now, standing);
    let decided = latest.occurrences.into_iter().zip(decisions);
    let older = latest.older.map(|older| Older {
        count: older.count,
        first: older.first,
        last: older.last,
        reason: left_behind(schedule, standing),
    });
    Ok(Due {
        decided: decided.map(|(what, decision)| Decided { what, decision }).collect(),
        older,
        ..nothing
    })
}

/// Decides about promotions that nothing was decided about yet, rising.
pub fn due_promotions(
    schedule: &Schedule,
    undecided: &[Promotion],
    now: Timestamp,
    standing: Standing,
) -> Vec<Decided<Promotion>> {
    let ats: Vec<Timestamp> = undecided.iter().map(|promotion| promotion.at).collect();
    let decisions = decide(schedule, &ats, now, standing);
    undecided.iter().zip(decisions).map(|(what, decision)| Decided { what: *what, decision }).collect()
}

/// Decides about an occurrence whose data have landed.
pub fn landed(schedule: &Schedule, standing: Standing) -> Decision {
    if standing.paused { Decision::Skip(NotRun::Paused) } else { begin(schedule, standing.is_busy()) }
}

impl Standing {
    fn is_busy(self) -> bool {
        self.live > 0 || self.queued > 0
    }
}

fn decide(schedule: &Schedule, ats: &[Timestamp], now: Timestamp, standing: Standing) -> Vec<Decision> {
    let mut busy = standing.is_busy();
    let last = ats.len().saturating_sub(1);
    let one = |(i, at): (usize, &Timestamp)| {
        if standing.paused {
            return Decision::Skip(NotRun::Paused);
        }
        let missed = now.duration_since(*at) > GRACE;
        match schedule.misfire {
            Misfire::Skip if missed => return Decision::Skip(NotRun::Missed),
            Misfire::RunLatest if missed && i < last => return Decision::Skip(NotRun::Superseded),
            // Two that are due at one look: the second would replace the first before it began.
            Misfire::RunLatest | Misfire::Skip if i < last && schedule.overlap == Overlap::Replace => {
                return Decision::Skip(NotRun::Superseded);
            }
            _ => {}
        }
        if let Some(wait) = schedule.wait() {
            return Decision::Wait { give_up: later(*at, wait.give_up) };
        }
        let decision = begin(schedule, busy);
        busy = true;
        decision
    };
    ats.iter().enumerate().map(one).collect()
}

/// What becomes of an occurrence that is to run. Of `run-all` none is left out, whatever `overlap` says.
fn begin(schedule: &Schedule, busy: bool) -> Decision {
    match (busy, schedule.misfire, schedule.overlap) {
        (false, _, _) => Decision::Start,
        (true, Misfire::RunAll, _) | (true, _, Overlap::Queue) => Decision::Queue,
        (true, _, Overlap::Skip) => Decision::Skip(NotRun::Overlap),
        (true, _, Overlap::Replace) => Decision::Replace,
    }
}

/// Why the occurrences do not run that are too many to be decided one by one.
fn left_behind(schedule: &Schedule, standing: Standing) -> NotRun {
    match schedule.misfire {
        _ if standing.paused => NotRun::Paused,
        Misfire::RunLatest => NotRun::Superseded,
        Misfire::RunAll | Misfire::Skip => NotRun::Missed,
    }
}

fn later(at: Timestamp, span: noctule_spec::Span) -> Timestamp {
    let seconds = i64::try_from(span.seconds()).unwrap_or(i64::MAX);
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}
