//! Tells a step's reports from its log, in what it writes to its standard output.

use std::fs::File;
use std::io::{self, Read, Write};

use noctule_artifacts::line::{MAX_LENGTH, PREFIX, Report};

/// Where the two kinds of lines go.
pub(crate) trait Sink {
    fn report(&mut self, report: &Report);
    fn log(&mut self, bytes: &[u8]);
}

/// Splits a stream into reports and log, a line at a time, holding no more of a line than may be a report.
#[derive(Default)]
pub(crate) struct Split {
    held: Vec<u8>,
    is_log_line: bool,
}

impl Split {
    pub fn feed(&mut self, bytes: &[u8], sink: &mut impl Sink) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            if self.is_log_line {
                sink.log(piece);
                self.is_log_line = !piece.ends_with(b"\n");
                continue;
            }
            self.held.extend_from_slice(piece);
            if self.held.ends_with(b"\n") {
                self.end_line(sink);
            } else if !may_be_report(&self.held) {
                sink.log(&self.held);
                self.held.clear();
                self.is_log_line = true;
            }
        }
    }

    /// The stream is at its end: an unfinished line is a line.
    pub fn finish(&mut self, sink: &mut impl Sink) {
        if !self.held.is_empty() {
            self.end_line(sink);
        }
    }

    fn end_line(&mut self, sink: &mut impl Sink) {
        match std::str::from_utf8(&self.held).ok().and_then(Report::from_line) {
            Some(report) => sink.report(&report),
            None => sink.log(&self.held),
        }
        self.held.clear();
    }
}

fn may_be_report(line: &[u8]) -> bool {
    let common = line.len().min(PREFIX.len());
    line[..common] == PREFIX.as_bytes()[..common] && line.len() <= MAX_LENGTH
}

/// The files of an attempt. A full disk must not block or kill the step: what cannot be written is counted.
pub(crate) struct Files {
    pub reports: File,
    pub log: File,
    pub lost_bytes: u64,
}

impl Sink for Files {
    fn report(&mut self, report: &Report) {
        let mut line = report.to_line();
        line.push('\n');
        if self.reports.write_all(line.as_bytes()).is_err() {
            self.lost_bytes += line.len() as u64;
        }
        // What is said to people belongs in the log too.
        match report {
            Report::Note { text } => self.log(format!("note: {text}\n").as_bytes()),
            Report::Failure { message } => self.log(format!("failed: {message}\n").as_bytes()),
            Report::Metric { .. } | Report::Progress { .. } => {}
        }
    }

    fn log(&mut self, bytes: &[u8]) {
        if self.log.write_all(bytes).is_err() {
            self.lost_bytes += bytes.len() as u64;
        }
    }
}

/// Reads the stream to its end. Returns how many bytes could not be kept.
pub(crate) fn pump(mut from: impl Read, mut files: Files) -> u64 {
    let mut split = Split::default();
    let mut piece = vec![0; 64 << 10];
    loop {
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => split.feed(&piece[..count], &mut files),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    split.finish(&mut files);
    files.lost_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kept {
        reports: Vec<Report>,
        log: Vec<u8>,
    }

    impl Sink for Kept {
        fn report(&mut self, report: &Report) {
            self.reports.push(report.clone());
        }

        fn log(&mut self, bytes: &[u8]) {
            self.log.extend_from_slice(bytes);
        }
    }

    fn split(input: &[u8], chunk: usize) -> Kept {
        let (mut split, mut kept) = (Split::default(), Kept::default());
        for piece in input.chunks(chunk) {
            split.feed(piece, &mut kept);
        }
        split.finish(&mut kept);
        kept
    }

    #[test]
    fn reports_and_log_lines_are_told_apart_in_any_chunks() {
        let report = Report::Metric { name: "rows".into(), value: 3.0, at: None };
        let long = "x".repeat(3 * MAX_LENGTH);
        let forged = format!("{PREFIX}{long}");
        let input = format!(
            "hello\n{}\n::noctule:1 nonsense\n::noc\n{long}\n{forged}\n say {}\n\n{}",
            report.to_line(),
            report.to_line(),
            report.to_line(),
        );
        let log =
            format!("hello\n::noctule:1 nonsense\n::noc\n{long}\n{forged}\n say {}\n\n", report.to_line());
        for chunk in [1, 7, 4096, 1 << 20] {
            let kept = split(input.as_bytes(), chunk);
            assert_eq!(kept.reports, [report.clone(), report.clone()]);
            assert!(kept.log == log.as_bytes(), "chunk {chunk}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_pass_unchanged() {
        let input = b"::noctule:1 \xff\xfe\n\x00\xff\n";
        assert_eq!(split(input, 3).log, input);
    }
}
