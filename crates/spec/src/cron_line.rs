//! A crontab line that has been checked.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Five fields as in crontab(5), checked. Each field is kept as the values it allows, rising.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CronLine {
    text: String,
    minutes: Vec<u8>,
    hours: Vec<u8>,
    days: Vec<u8>,
    months: Vec<u8>,
    weekdays: Vec<u8>,
    either_day: bool,
}

/// A line that was refused: the rule it breaks, worded to follow the text in question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CronError(pub String);

impl CronLine {
    /// Minutes of the hour, 0 to 59.
    pub fn minutes(&self) -> &[u8] {
        &self.minutes
    }

    /// Hours of the day, 0 to 23.
    pub fn hours(&self) -> &[u8] {
        &self.hours
    }

    /// Days of the month, 1 to 31.
    pub fn days(&self) -> &[u8] {
        &self.days
    }

    /// Months, 1 to 12.
    pub fn months(&self) -> &[u8] {
        &self.months
    }

    /// Days of the week, 0 (Sunday) to 6.
    pub fn weekdays(&self) -> &[u8] {
        &self.weekdays
    }

    /// Whether both day fields are restricted (neither begins with `*`): then a day that either field allows is
    /// meant. Otherwise both fields must allow it.
    pub fn either_day(&self) -> bool {
        self.either_day
    }

    /// Whether a date is meant. `weekday` is 0 for Sunday.
    pub fn allows_date(&self, month: u8, day: u8, weekday: u8) -> bool {
        let by_day = self.days.contains(&day);
        let by_weekday = self.weekdays.contains(&weekday);
        self.months.contains(&month)
            && if self.either_day { by_day || by_weekday } else { by_day && by_weekday }
    }
}

struct Field {
    what: &'static str,
    low: u8,
    high: u8,
    /// Names of the values from `low` up; empty for a field without names.
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 5] = [
    Field { what: "minute", low: 0, high: 59, names: &[] },
    Field { what: "hour", low: 0, high: 23, names: &[] },
    Field { what: "day of the month", low: 1, high: 31, names: &[] },
    Field { what: "month", low: 1, high: 12, names: &MONTHS },
    Field { what: "day of the week", low: 0, high: 7, names: &WEEKDAYS },
];

/// The longest each month gets.
const MONTH_DAYS: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl FromStr for CronLine {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        check_shape(text.trim(), &fields)?;
        let mut sets = Vec::with_capacity(5);
        for (field, text) in FIELDS.iter().zip(&fields) {
            sets.push(field.values(text)?);
        }
        let [minutes, hours, days, months, weekdays]: [Vec<u8>; 5] =
            sets.try_into().expect("there are five fields");
        let either_day = !fields[2].starts_with('*') && !fields[4].starts_with('*');
        let line = Self { text: fields.join(" "), minutes, hours, days, months, weekdays, either_day };
        line.check_it_comes()?;
        Ok(line)
    }
}

fn check_shape(text: &str, fields: &[&str]) -> Result<(), CronError> {
    if text.starts_with('@') {
        let remedy = match text {
            "@hourly" => "; write `0 * * * *`",
            "@daily" | "@midnight" => "; write `0 0 * * *`",
            "@weekly" => "; write `0 0 * * 0`",
            "@monthly" => "; write `0 0 1 * *`",
            "@yearly" | "@annually" => "; write `0 0 1 1 *`",
            _ => "",
        };
        return Err(CronError(format!("is a nickname, and five fields are needed{remedy}")));
    }
    match fields.len() {
        5 => Ok(()),
        6 => Err(CronError(
            "has six fields, and crontab has five: there are no seconds; leave the first field out"
                .to_owned(),
        )),
        count => Err(CronError(format!(
            "has {count} fields, and five are needed: minute, hour, day of the month, month, day of the week"
        ))),
    }
}

impl CronLine {
    /// A day that no year has, such as 30 February, would never come. A weekday beside it always does.
    fn check_it_comes(&self) -> Result<(), CronError> {
        let comes = self.either_day
            || self.months.iter().any(|&month| self.days[0] <= MONTH_DAYS[usize::from(month) - 1]);
        if comes {
            return Ok(());
        }
        let months: Vec<&str> = self.months.iter().map(|&month| MONTHS[usize::from(month) - 1]).collect();
        Err(CronError(format!("never comes: day {} does not exist in {}", self.days[0], months.join(", "))))
    }
}

impl Field {
    fn refuse(&self, part: &str, why: &str) -> CronError {
        let part: String = part.chars().take(40).collect();
        CronError(format!("has `{part}` as {}: {why}", self.what))
    }

    /// The values that a field allows, rising, each once.
    fn values(&self, text: &str) -> Result<Vec<u8>, CronError> {
        let mut values = Vec::new();
        for part in text.split(',') {
            values.extend(self.part(part)?);
        }
        if self.high == 7 {
            for value in &mut values {
                *value %= 7;
            }
        }
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    fn part(&self, part: &str) -> Result<Vec<u8>, CronError> {
        self.check_dialect(part)?;
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.low, if self.high == 7 { 6 } else { self.high }),
            Some((first, last)) => (self.value(first, part)?, self.range_end(last, part)?),
            None if step.is_some() => {
                let remedy =
                    format!("a step needs a range; write `{range}-{}/{}`", self.high, step.unwrap_or("1"));
                return Err(self.refuse(part, &remedy));
            }
            None => {
                let value = self.value(range, part)?;
                (value, value)
            }
        };
        if first > last {
            let remedy = format!(
                "the range runs backwards; write `{first}-{},{}-{last}`",
                if self.high == 7 { 6 } else { self.high },
                self.low
            );
            return Err(self.refuse(part, &remedy));
        }
        let step = match step.map(str::parse::<u8>) {
            None => 1,
            Some(Ok(step @ 1..=59)) => step,
            Some(_) => return Err(self.refuse(part, "a step is a whole number from 1 up")),
        };
        Ok((first..=last).step_by(usize::from(step)).collect())
    }

    /// Other schedulers' extensions, each with what to write instead.
    fn check_dialect(&self, part: &str) -> Result<(), CronError> {
        let upper = part.to_ascii_uppercase();
        let is_last =
            upper == "L" || (upper.ends_with('L') && upper.starts_with(|c: char| c.is_ascii_digit()));
        let why = if part == "?" {
            "`?` is not in crontab; write `*`"
        } else if is_last || upper.starts_with("L-") {
            "`L` (last) is not in crontab; write the days, such as `28-31`, and let the pipeline's `when` choose"
        } else if upper.ends_with('W') && upper.starts_with(|c: char| c.is_ascii_digit() || c == 'L') {
            "`W` (nearest workday) is not in crontab; name weekdays, such as `MON-FRI`"
        } else if part.contains('#') {
            "`#` (nth weekday) is not in crontab; name days, such as `8-14` for the second week, and let `when` choose"
        } else {
            return Ok(());
        };
        Err(self.refuse(part, why))
    }

    fn value(&self, text: &str, part: &str) -> Result<u8, CronError> {
        let lower = text.to_ascii_lowercase();
        if let Some(index) = self.names.iter().position(|name| *name == lower) {
            return Ok(self.low + index as u8);
        }
        let number = Some(text).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        match number.and_then(|text| text.parse::<u8>().ok()) {
            Some(value) if (self.low..=self.high).contains(&value) => Ok(value),
            _ => {
                let names = match self.names {
                    [first, .., last] => format!(", or a name from {first} to {last}"),
                    _ => String::new(),
                };
                Err(self.refuse(part, &format!("it is a number from {} to {}{names}", self.low, self.high)))
            }
        }
    }

    /// At the end of a range Sunday is 7: `FRI-SUN`.
    fn range_end(&self, text: &str, part: &str) -> Result<u8, CronError> {
        let value = self.value(text, part)?;
        let named = !text.starts_with(|c: char| c.is_ascii_digit());
        Ok(if self.high == 7 && value == 0 && named { 7 } else { value })
    }
}

impl fmt::Display for CronLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl TryFrom<String> for CronLine {
    type Error = CronError;

    fn try_from(text: String) -> Result<Self, CronError> {
        text.parse().map_err(|CronError(why)| CronError(format!("`{text}` {why}")))
    }
}

impl From<CronLine> for String {
    fn from(line: CronLine) -> Self {
        line.text
    }
}

impl JsonSchema for CronLine {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CronLine".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "x-noctule": "cron"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> CronLine {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn fields_are_sets() {
        let nightly = line("15 2 * * *");
        assert_eq!((nightly.minutes(), nightly.hours()), (&[15][..], &[2][..]));
        assert_eq!(nightly.days().len(), 31);
        assert_eq!(nightly.weekdays(), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(line("*/15 0-6/3,22 * * *").minutes(), [0, 15, 30, 45]);
        assert_eq!(line("*/15 0-6/3,22 * * *").hours(), [0, 3, 6, 22]);
        assert_eq!(line("0 0 * JAN,jul-SEP *").months(), [1, 7, 8, 9]);
    }

    #[test]
    fn sunday_is_zero_and_seven_and_a_name() {
        for text in ["0 0 * * 0", "0 0 * * 7", "0 0 * * sun", "0 0 * * 0,7"] {
            assert_eq!(line(text).weekdays(), [0], "{text}");
        }
        assert_eq!(line("0 0 * * FRI-SUN").weekdays(), [0, 5, 6]);
        assert_eq!(line("0 0 * * 5-7").weekdays(), [0, 5, 6]);
        assert_eq!(line("0 0 * * SUN-TUE").weekdays(), [0, 1, 2]);
    }

    #[test]
    fn two_day_fields_are_a_union_and_a_star_is_none() {
        assert!(line("0 0 13 * 5").either_day());
        assert!(line("0 0 13 * 5").allows_date(3, 1, 5));
        assert!(!line("0 0 * * 5").either_day());
        assert!(!line("0 0 */2 * 5").allows_date(3, 1, 4));
        assert!(line("0 0 */2 * 5").allows_date(3, 1, 5));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_a_remedy() {
        for (text, reason) in [
            ("", "has 0 fields"),
            ("15 2 * *", "has 4 fields"),
            ("0 15 2 * * *", "no seconds"),
            ("@daily", "write `0 0 * * *`"),
            ("60 2 * * *", "has `60` as minute: it is a number from 0 to 59"),
            ("15 24 * * *", "has `24` as hour"),
            ("0 0 0 * *", "has `0` as day of the month"),
            ("0 0 * 13 *", "or a name from jan to dec"),
            ("0 0 * * 8", "has `8` as day of the week"),
            ("0 0 L * *", "`L` (last)"),
            ("0 0 15W * *", "`W` (nearest workday)"),
            ("0 0 * * 5#2", "`#` (nth weekday)"),
            ("0 0 * * 5L", "`L` (last)"),
            ("0 0 ? * *", "write `*`"),
            ("0 22-2 * * *", "write `22-23,0-2`"),
            ("5/15 * * * *", "write `5-59/15`"),
            ("*/0 * * * *", "a step is"),
            ("+5 * * * *", "it is a number"),
            ("1, * * * *", "has `` as minute"),
            ("0 0 30 2 *", "never comes: day 30 does not exist in feb"),
            ("0 0 31 4,6,9,11 *", "never comes"),
        ] {
            let error = text.parse::<CronLine>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert!("0 0 29 2 *".parse::<CronLine>().is_ok());
        assert!("0 0 30 2 1".parse::<CronLine>().is_ok(), "Mondays in February come");
    }
}
