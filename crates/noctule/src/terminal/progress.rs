//! A run as it goes on: one line per running step on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use noctule_artifacts::StepName;
use noctule_artifacts::line::Report;

use super::amounts;
use super::style::{self, paint};

/// What the terminal is told about a step.
pub enum Sight<'a> {
    /// The step's state changed; the sentence says more, such as why it was reused or skipped.
    State { step: &'a StepName, word: &'a str, sentence: Option<String> },
    /// The running attempt reports.
    Report { step: &'a StepName, report: &'a Report },
    /// A sentence about the whole run.
    Note { text: &'a str },
}

/// Shows a run on standard error.
pub struct Progress {
    screen: Screen,
    running: BTreeMap<StepName, Line>,
    width: usize,
}

enum Screen {
    Live(MultiProgress),
    Plain,
    Silent,
}

struct Line {
    bar: Option<ProgressBar>,
    since: Instant,
    rows: Option<u64>,
}

impl Progress {
    /// `quiet` shows nothing; the names are those of the run's steps.
    pub fn new<'a>(quiet: bool, steps: impl Iterator<Item = &'a StepName>) -> Self {
        let screen = if quiet {
            Screen::Silent
        } else if std::io::stderr().is_terminal() {
            Screen::Live(MultiProgress::new())
        } else {
            Screen::Plain
        };
        let width = steps.map(|name| name.as_str().len()).max().unwrap_or(0);
        Self { screen, running: BTreeMap::new(), width }
    }

    pub fn show(&mut self, sight: Sight<'_>) {
        match sight {
            Sight::State { step, word: word @ ("running" | "stopping"), sentence } => {
                self.begin(step);
                if word == "stopping" {
                    self.print(step, word, sentence.as_deref(), None);
                }
            }
            Sight::State { step, word, sentence } => {
                let line = self.running.remove(step);
                if let Some(bar) = line.as_ref().and_then(|line| line.bar.as_ref()) {
                    bar.finish_and_clear();
                }
                self.print(step, word, sentence.as_deref(), line.as_ref());
            }
            Sight::Report { step, report } => self.report(step, report),
            Sight::Note { text } => self.line(&format!("{} {text}", paint(style::QUIET, "note:"))),
        }
    }

    fn begin(&mut self, step: &StepName) {
        if self.running.contains_key(step) {
            return;
        }
        let bar = match &self.screen {
            Screen::Live(screen) => {
                let bar = screen.add(ProgressBar::new_spinner());
                bar.set_style(spinner());
                bar.set_prefix(format!("{step:<width$}", width = self.width));
                bar.set_message("running");
                bar.enable_steady_tick(Duration::from_millis(120));
                Some(bar)
            }
            _ => None,
        };
        self.running.insert(step.clone(), Line { bar, since: Instant::now(), rows: None });
    }

    fn report(&mut self, step: &StepName, report: &Report) {
        self.begin(step);
        let note = match (report, self.running.get_mut(step)) {
            (Report::Progress { done, total, unit }, Some(line)) => {
                line.advance(*done, *total, unit);
                None
            }
            (Report::Metric { name, value, at: None }, Some(line)) if name == "rows" => {
                line.rows = Some(*value as u64);
                None
            }
            (Report::Note { text }, _) => Some(text),
            _ => None,
        };
        if let Some(text) = note {
            let head = format!("{step:<width$}", width = self.width);
            self.line(&format!("{head}  {} {text}", paint(style::QUIET, "note:")));
        }
    }

    fn print(&self, step: &StepName, word: &str, sentence: Option<&str>, line: Option<&Line>) {
        let mut text = format!("{step:<width$}  ", width = self.width);
        text += &paint(style::of_state(word), format!("{word:<9}"));
        if let Some(line) = line {
            let span = jiff::SignedDuration::try_from(line.since.elapsed()).unwrap_or_default();
            text += &format!("  {:>8}", amounts::duration(span));
            if let Some(rows) = line.rows {
                text += &format!("  {} rows", amounts::count(rows));
            }
        }
        if let Some(sentence) = sentence {
            text += &format!("  {}", paint(style::QUIET, sentence));
        }
        self.line(text.trim_end());
    }

    fn line(&self, text: &str) {
        match &self.screen {
            Screen::Silent => {}
            // A closed pipe is the reader's choice.
            Screen::Plain => drop(writeln!(anstream::stderr(), "{text}")),
            Screen::Live(screen) => screen.suspend(|| drop(writeln!(anstream::stderr(), "{text}"))),
        }
    }
}

impl Line {
    fn advance(&self, done: u64, total: Option<u64>, unit: &str) {
        let Some(bar) = &self.bar else { return };
        let seconds = self.since.elapsed().as_secs_f64().max(0.001);
        let rate = done as f64 / seconds;
        let text = match total.filter(|total| *total > 0) {
            Some(total) => {
                let left = total.saturating_sub(done) as f64 / rate.max(1e-9);
                let left = amounts::duration(jiff::SignedDuration::from_secs_f64(left.min(1e9)));
                format!(
                    "{} of {} {unit}  {:.0}/s  about {left} left",
                    amounts::count(done),
                    amounts::count(total),
                    rate
                )
            }
            None => format!("{} {unit}  {:.0}/s", amounts::count(done), rate),
        };
        bar.set_message(text);
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{prefix}  {spinner} {elapsed:>4}  {msg}")
        .expect("the template is a constant")
}
