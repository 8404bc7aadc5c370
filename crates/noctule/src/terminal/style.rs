//! Colours, which only ever underline what the words already say.
//!
//! They are written as escape codes and taken out again by `anstream` where the stream is no terminal or `NO_COLOR`
//! is set.

use anstyle::{AnsiColor, Style};

pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const HELD: Style = AnsiColor::Yellow.on_default();
pub const QUIET: Style = Style::new().dimmed();

/// A word in a style.
pub fn paint(style: Style, word: impl std::fmt::Display) -> String {
    format!("{style}{word}{style:#}")
}

/// The style that fits the word for a state of a run or a step.
pub fn of_state(word: &str) -> Style {
    match word {
        "done" | "succeeded" | "reused" | "pass" => GOOD,
        "failed" | "fail" => BAD,
        "stopped" | "data-stop" | "gate-rejected" | "held" | "cancelled" | "inconclusive" => HELD,
        "skipped" | "waiting" => QUIET,
        _ => Style::new(),
    }
}
