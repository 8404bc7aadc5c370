//! What an attempt tells while it works.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use noctule_artifacts::line::Report;

/// Progress is shown to people: more often than this is noise.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// The attempt's voice: metrics, progress and notes, as report lines on standard output and in the manifest's record.
///
/// It is cheap to clone and may be used from any thread.
#[derive(Clone)]
pub struct Emit {
    state: Arc<Mutex<State>>,
}

struct State {
    out: Box<dyn Write + Send>,
    metrics: BTreeMap<String, f64>,
    notes: Vec<String>,
    last_progress: Option<Instant>,
}

impl Emit {
    pub fn to(out: Box<dyn Write + Send>) -> Self {
        let state = State { out, metrics: BTreeMap::new(), notes: Vec::new(), last_progress: None };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub fn to_stdout() -> Self {
        Self::to(Box::new(std::io::stdout()))
    }

    /// Reports a number that belongs to the result. A later one of the same name replaces it.
    ///
    /// JSON has no NaN or infinity: such a value becomes a note, and the metric stays missing.
    pub fn metric(&self, name: &str, value: f64) {
        if !value.is_finite() {
            return self.note(&format!("the metric `{name}` is {value}, which is no number to keep"));
        }
        let mut state = self.lock();
        state.metrics.insert(name.to_owned(), value);
        state.say(&Report::Metric { name: name.to_owned(), value, at: None });
    }

    /// Reports a count as a metric.
    pub fn count(&self, name: &str, count: u64) {
        self.metric(name, count as f64);
    }

    /// Reports one point of a series, such as the loss of epoch `at`. The record keeps the latest point.
    pub fn series(&self, name: &str, at: u64, value: f64) {
        if !value.is_finite() {
            return self.note(&format!("the metric `{name}` at {at} is {value}, which is no number to keep"));
        }
        let mut state = self.lock();
        state.metrics.insert(name.to_owned(), value);
        state.say(&Report::Metric { name: name.to_owned(), value, at: Some(at) });
    }

    /// Tells how far the work is; calls in quick succession are thinned out.
    pub fn progress(&self, done: u64, total: Option<u64>, unit: &str) {
        let mut state = self.lock();
        let now = Instant::now();
        let finished = total == Some(done);
        if !finished && state.last_progress.is_some_and(|last| now - last < PROGRESS_EVERY) {
            return;
        }
        state.last_progress = Some(now);
        state.say(&Report::Progress { done, total, unit: unit.to_owned() });
    }

    /// Says a sentence to people: what was dropped, clipped or assumed. It stays in the record.
    pub fn note(&self, text: &str) {
        let mut state = self.lock();
        state.notes.push(text.to_owned());
        state.say(&Report::Note { text: text.to_owned() });
    }

    /// Says why the attempt is about to end in failure.
    pub fn failure(&self, message: &str) {
        self.lock().say(&Report::Failure { message: message.to_owned() });
    }

    /// The metrics and notes reported so far.
    pub fn reported(&self) -> (BTreeMap<String, f64>, Vec<String>) {
        let state = self.lock();
        (state.metrics.clone(), state.notes.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the maps whole: each is changed by one call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn say(&mut self, report: &Report) {
        // Nobody listening is no reason to stop working: the record in the manifest has it too.
        let _ = writeln!(self.out, "{}", report.to_line());
        let _ = self.out.flush();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A place for report lines that a test can look at afterwards.
    #[derive(Clone, Default)]
    pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn metrics_and_notes_are_said_and_kept() {
        let lines = Lines::default();
        let emit = Emit::to(Box::new(lines.clone()));
        emit.count("rows", 3);
        emit.series("loss", 2, 0.5);
        emit.note("two rows were dropped");
        emit.metric("broken", f64::NAN);
        let (metrics, notes) = emit.reported();
        assert_eq!(metrics, BTreeMap::from([("loss".into(), 0.5), ("rows".into(), 3.0)]));
        assert_eq!(notes.len(), 2);
        assert!(lines.text().contains(r#"::noctule:1 {"metric":{"name":"loss","value":0.5,"at":2}}"#));
    }

    #[test]
    fn progress_is_thinned_but_its_end_is_told() {
        let lines = Lines::default();
        let emit = Emit::to(Box::new(lines.clone()));
        for done in 0..=100 {
            emit.progress(done, Some(100), "rows");
        }
        let text = lines.text();
        assert!(text.contains(r#""done":0,"#) && text.contains(r#""done":100,"#));
        assert!(text.lines().count() < 20);
    }
}
