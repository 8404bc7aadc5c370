//! The line protocol: how a built-in step reports while it runs.
//!
//! A report is one line on standard output: the prefix `::noctule:1 ` and a JSON object. Everything else that the
//! process prints is its log. A foreign command never speaks this protocol: its output is not searched for reports,
//! so a log line cannot forge a metric.

use serde::{Deserialize, Serialize};

pub const PREFIX: &str = "::noctule:1 ";

/// A report longer than this is a log line.
pub const MAX_LENGTH: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// A number that belongs to the result, such as `rows` or `loss`; a series has its index in `at`.
    Metric {
        name: String,
        value: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<u64>,
    },
    /// How far the work is. Without `total` only a rate can be shown.
    Progress {
        done: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
        unit: String,
    },
    /// A sentence for people.
    Note { text: String },
    /// Why the attempt is about to end in failure, in one message for people.
    Failure { message: String },
}

impl Report {
    pub fn to_line(&self) -> String {
        format!("{PREFIX}{}", serde_json::to_string(self).expect("a report has only text keys"))
    }

    /// Reads one line; `None` when it is no report.
    pub fn from_line(line: &str) -> Option<Self> {
        if line.len() > MAX_LENGTH {
            return None;
        }
        serde_json::from_str(line.strip_prefix(PREFIX)?.trim_end()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_round_trip_and_other_lines_are_none() {
        let report = Report::Metric { name: "rows".into(), value: 3.0, at: None };
        assert_eq!(report.to_line(), r#"::noctule:1 {"metric":{"name":"rows","value":3.0}}"#);
        assert_eq!(Report::from_line(&report.to_line()), Some(report));
        for other in ["", "hello", "::noctule:1 nonsense", "::noctule:2 {}", " ::noctule:1 {}"] {
            assert_eq!(Report::from_line(other), None, "{other}");
        }
    }
}
