//! Lines of a text file, numbered, with room to take one back.

use std::collections::VecDeque;
use std::io::BufRead;

use crate::source::error::SourceError;
use crate::source::text::unreadable;

/// No table has a longer line: what has is no text.
const LONGEST: usize = 64 << 20;

pub(crate) struct Lines {
    reader: Box<dyn BufRead>,
    object: String,
    number: u64,
    taken_back: VecDeque<Vec<u8>>,
}

impl Lines {
    pub fn new(reader: Box<dyn BufRead>, object: &str) -> Self {
        Self { reader, object: object.to_owned(), number: 0, taken_back: VecDeque::new() }
    }

    /// The number of the line read last, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Reads the next line, without its end, into `line`; `false` at the end of the file.
    pub fn next(&mut self, line: &mut Vec<u8>) -> Result<bool, SourceError> {
        line.clear();
        if let Some(earlier) = self.taken_back.pop_front() {
            line.extend_from_slice(&earlier);
            self.number += 1;
            return Ok(true);
        }
        let count = self.read_line(line)?;
        if count == 0 {
            return Ok(false);
        }
        self.number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        Ok(true)
    }

    fn read_line(&mut self, line: &mut Vec<u8>) -> Result<usize, SourceError> {
        loop {
            let piece = self.reader.fill_buf().map_err(|error| unreadable(&self.object, &error))?;
            if piece.is_empty() {
                return Ok(line.len());
            }
            let (used, done) = match piece.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (piece.len(), false),
            };
            line.extend_from_slice(&piece[..used]);
            self.reader.consume(used);
            if done {
                return Ok(line.len());
            }
            if line.len() > LONGEST {
                let cause =
                    format!("line {} is longer than {} MiB: is it text?", self.number + 1, LONGEST >> 20);
                return Err(SourceError::Unreadable { object: self.object.clone(), cause });
            }
        }
    }

    /// The next line, which comes again; empty at the end of the file.
    pub fn peek(&mut self) -> Result<Vec<u8>, SourceError> {
        let mut line = Vec::new();
        if self.next(&mut line)? {
            self.take_back(std::iter::once(line.clone()));
        }
        Ok(line)
    }

    /// Gives lines back that were read one too many; they come again.
    pub fn take_back(&mut self, lines: impl DoubleEndedIterator<Item = Vec<u8>>) {
        for line in lines.rev() {
            self.taken_back.push_front(line);
            self.number -= 1;
        }
    }
}
