//! The planted faults: each kind, and the list that names every one of a day.

use std::fmt::Write;

use jiff::civil::Date;

/// One planted fault.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The event's row stands in the partition `times` times, the same in every column.
    Duplicate { event_id: i64, times: u32 },
    /// The row stands after rows that happened later, by five minutes to an hour.
    OutOfOrder { event_id: i64 },
    /// The row's time lies before the day of its partition: it arrived late.
    Late { event_id: i64 },
    /// The row's time lies after the day of its partition, by an hour to ten years.
    Future { event_id: i64 },
    /// The row has a value that cannot be.
    Malformed { event_id: i64, what: Malformed },
    /// A line of the log that is no row, where the log is written as text. `line` counts from 1, a header included.
    BrokenLine { day: Date, line: u64, what: BrokenLine },
    /// A user that watches faster than people can. `events` are its rows of the day,
    /// `peak_per_minute` the most watch rows in one clock minute.
    Bot { user_id: i64, events: u32, peak_per_minute: u32 },
    /// One item under two ids, the older first. `jaccard` is that of the sets of character
    /// 4-grams of title and description; pairs lie on both sides of 0.7.
    Twins { first: i64, second: i64, jaccard: f64 },
    /// Two different items whose texts are alike, and differ in a number.
    HardNegative { first: i64, second: i64, what: HardNegative, jaccard: f64 },
    /// An item with a harm score above 0.8; all others are at most 0.75.
    Harmful { item_id: i64, harm_score: f64 },
}

/// What is wrong with a malformed row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Malformed {
    /// `item_id` is null.
    NullItem,
    /// `ts` is null.
    NullTime,
    /// `watch_seconds` and `watch_share` are below 0.
    NegativeWatch,
    /// `watch_share` is NaN.
    NanShare,
}

/// What is wrong with a line that is no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BrokenLine {
    /// It ends behind its first value.
    Cut,
    /// Two rows without a line's end between them.
    Joined,
    /// Bytes that are not UTF-8.
    NoText,
}

/// Why two different items look alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HardNegative {
    Sequel,
    Episode,
    Remake,
}

impl Fault {
    /// The word for the kind in files: `duplicate`, `out-of-order`, `late`, `future`,
    /// `malformed`, `broken-line`, `bot`, `twins`, `hard-negative`, `harmful`.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Duplicate { .. } => "duplicate",
            Fault::OutOfOrder { .. } => "out-of-order",
            Fault::Late { .. } => "late",
            Fault::Future { .. } => "future",
            Fault::Malformed { .. } => "malformed",
            Fault::BrokenLine { .. } => "broken-line",
            Fault::Bot { .. } => "bot",
            Fault::Twins { .. } => "twins",
            Fault::HardNegative { .. } => "hard-negative",
            Fault::Harmful { .. } => "harmful",
        }
    }

    /// One JSON object on one line, without the line's end: `{"kind":"late","event_id":5}`.
    pub fn to_json(&self) -> String {
        let kind = self.kind();
        match self {
            Fault::Duplicate { event_id, times } => {
                format!(r#"{{"kind":"{kind}","event_id":{event_id},"times":{times}}}"#)
            }
            Fault::OutOfOrder { event_id } | Fault::Late { event_id } | Fault::Future { event_id } => {
                format!(r#"{{"kind":"{kind}","event_id":{event_id}}}"#)
            }
            Fault::Malformed { event_id, what } => {
                let what = what.word();
                format!(r#"{{"kind":"{kind}","event_id":{event_id},"what":"{what}"}}"#)
            }
            Fault::BrokenLine { day, line, what } => {
                let what = what.word();
                format!(r#"{{"kind":"{kind}","day":"{day}","line":{line},"what":"{what}"}}"#)
            }
            Fault::Bot { user_id, events, peak_per_minute } => format!(
                r#"{{"kind":"{kind}","user_id":{user_id},"events":{events},"peak_per_minute":{peak_per_minute}}}"#
            ),
            Fault::Twins { first, second, jaccard } => {
                format!(r#"{{"kind":"{kind}","first":{first},"second":{second},"jaccard":{jaccard}}}"#)
            }
            Fault::HardNegative { first, second, what, jaccard } => {
                let what = what.word();
                format!(
                    r#"{{"kind":"{kind}","first":{first},"second":{second},"what":"{what}","jaccard":{jaccard}}}"#
                )
            }
            Fault::Harmful { item_id, harm_score } => {
                format!(r#"{{"kind":"{kind}","item_id":{item_id},"harm_score":{harm_score}}}"#)
            }
        }
    }
}

/// The file that names each fault: one JSON object a line.
pub fn to_ndjson(faults: &[Fault]) -> String {
    faults.iter().fold(String::new(), |mut text, fault| {
        writeln!(text, "{}", fault.to_json()).expect("writing to a String cannot fail");
        text
    })
}

impl Malformed {
    pub(crate) const ALL: [Malformed; 4] =
        [Malformed::NullItem, Malformed::NullTime, Malformed::NegativeWatch, Malformed::NanShare];

    /// `null-item`, `null-time`, `negative-watch` or `nan-share`.
    pub fn word(self) -> &'static str {
        match self {
            Malformed::NullItem => "null-item",
            Malformed::NullTime => "null-time",
            Malformed::NegativeWatch => "negative-watch",
            Malformed::NanShare => "nan-share",
        }
    }
}

impl BrokenLine {
    pub(crate) const ALL: [BrokenLine; 3] = [BrokenLine::Cut, BrokenLine::Joined, BrokenLine::NoText];

    /// `cut`, `joined` or `no-text`.
    pub fn word(self) -> &'static str {
        match self {
            BrokenLine::Cut => "cut",
            BrokenLine::Joined => "joined",
            BrokenLine::NoText => "no-text",
        }
    }
}

impl HardNegative {
    /// `sequel`, `episode` or `remake`.
    pub fn word(self) -> &'static str {
        match self {
            HardNegative::Sequel => "sequel",
            HardNegative::Episode => "episode",
            HardNegative::Remake => "remake",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_per_fault() {
        let faults = [
            Fault::Late { event_id: 5 },
            Fault::Malformed { event_id: 6, what: Malformed::NanShare },
            Fault::Twins { first: 1, second: 9, jaccard: 0.75 },
        ];
        assert_eq!(
            to_ndjson(&faults),
            concat!(
                "{\"kind\":\"late\",\"event_id\":5}\n",
                "{\"kind\":\"malformed\",\"event_id\":6,\"what\":\"nan-share\"}\n",
                "{\"kind\":\"twins\",\"first\":1,\"second\":9,\"jaccard\":0.75}\n",
            )
        );
    }
}
