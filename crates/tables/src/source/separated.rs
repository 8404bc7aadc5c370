//! Records of separated values: any delimiter, quoted fields that may hold delimiters and line ends (RFC 4180).

use std::borrow::Cow;

use crate::source::error::SourceError;
use crate::source::lines::Lines;
use crate::source::text::decode;

/// A quoted field that goes on for more lines than this was never closed.
const LINES_OF_RECORD: usize = 1000;

/// Splits lines into records.
pub(crate) struct Separated {
    lines: Lines,
    delimiter: Vec<u8>,
    quote: Option<u8>,
    latin1: bool,
    line: Vec<u8>,
}

/// The fields of one record, in one piece of memory.
#[derive(Default)]
pub(crate) struct Fields {
    bytes: Vec<u8>,
    /// End of each field in `bytes`, and whether it was quoted.
    ends: Vec<(usize, bool)>,
}

/// What came of reading one record.
pub(crate) enum Read {
    Record,
    /// It cannot be read; the reason follows the word "line 7 ".
    Malformed(&'static str),
    End,
}

impl Fields {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of a field, and whether it was quoted.
    pub fn get(&self, at: usize) -> (&[u8], bool) {
        let start = if at == 0 { 0 } else { self.ends[at - 1].0 };
        let (end, quoted) = self.ends[at];
        (&self.bytes[start..end], quoted)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn close(&mut self, quoted: bool) {
        self.ends.push((self.bytes.len(), quoted));
    }
}

impl Separated {
    pub fn new(lines: Lines, delimiter: &str, quote: Option<u8>, latin1: bool) -> Self {
        Self { lines, delimiter: delimiter.as_bytes().to_vec(), quote, latin1, line: Vec::new() }
    }

    /// The line that the record read last began on.
    pub fn line_number(&self) -> u64 {
        self.lines.number()
    }

    /// The line read last, as it stands in the file.
    pub fn line(&self) -> Cow<'_, str> {
        decode(&self.line, self.latin1).unwrap_or_else(|| String::from_utf8_lossy(&self.line))
    }

    pub fn text<'a>(&self, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
        decode(bytes, self.latin1)
    }

    /// Reads the next record that is no empty line.
    pub fn next(&mut self, fields: &mut Fields) -> Result<Read, SourceError> {
        loop {
            let mut line = std::mem::take(&mut self.line);
            let more = self.lines.next(&mut line)?;
            self.line = line;
            if !more {
                return Ok(Read::End);
            }
            if !self.line.is_empty() {
                break;
            }
        }
        fields.clear();
        if split(&self.line, &self.delimiter, self.quote, fields) {
            return Ok(Read::Record);
        }
        self.join_lines(fields)
    }

    /// The last field is quoted and goes on: takes in lines until it is closed, or gives them all back.
    fn join_lines(&mut self, fields: &mut Fields) -> Result<Read, SourceError> {
        let mut joined = self.line.clone();
        let mut taken = Vec::new();
        let mut next = Vec::new();
        while taken.len() < LINES_OF_RECORD && self.lines.next(&mut next)? {
            taken.push(next.clone());
            joined.push(b'\n');
            joined.extend_from_slice(&next);
            // Only a line with a quote in it can close the field.
            if !next.contains(&self.quote.unwrap_or(b'"')) {
                continue;
            }
            fields.clear();
            if split(&joined, &self.delimiter, self.quote, fields) {
                return Ok(Read::Record);
            }
        }
        self.lines.take_back(taken.into_iter());
        Ok(Read::Malformed("has a quoted field that is never closed"))
    }
}

/// Splits one record; `false` when its last field is quoted and not closed.
fn split(mut line: &[u8], delimiter: &[u8], quote: Option<u8>, fields: &mut Fields) -> bool {
    loop {
        let quoted = quote.is_some_and(|quote| line.first() == Some(&quote));
        if quoted {
            let Some(rest) = take_quoted(&line[1..], quote.unwrap_or(b'"'), fields) else { return false };
            line = rest;
        }
        // Behind a closing quote there should be a delimiter; what stands there instead belongs to the field.
        match find(line, delimiter) {
            Some(at) => {
                fields.bytes.extend_from_slice(&line[..at]);
                fields.close(quoted);
                line = &line[at + delimiter.len()..];
            }
            None => {
                fields.bytes.extend_from_slice(line);
                fields.close(quoted);
                return true;
            }
        }
    }
}

/// Takes a field up to its closing quote, two quotes for one; gives what follows, or `None` when it is not closed.
fn take_quoted<'a>(mut line: &'a [u8], quote: u8, fields: &mut Fields) -> Option<&'a [u8]> {
    loop {
        let at = line.iter().position(|byte| *byte == quote)?;
        fields.bytes.extend_from_slice(&line[..at]);
        line = &line[at + 1..];
        if line.first() != Some(&quote) {
            return Some(line);
        }
        fields.bytes.push(quote);
        line = &line[1..];
    }
}

fn find(line: &[u8], delimiter: &[u8]) -> Option<usize> {
    match delimiter {
        [byte] => line.iter().position(|other| other == byte),
        _ => line.windows(delimiter.len()).position(|window| window == delimiter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn records(text: &str, delimiter: &str, quote: Option<u8>) -> Vec<String> {
        let lines = Lines::new(Box::new(Cursor::new(text.as_bytes().to_vec())), "t.csv");
        let mut reader = Separated::new(lines, delimiter, quote, false);
        let (mut fields, mut out) = (Fields::default(), Vec::new());
        loop {
            match reader.next(&mut fields).unwrap() {
                Read::End => return out,
                Read::Malformed(why) => out.push(format!("{}: {why}", reader.line_number())),
                Read::Record => {
                    let shown: Vec<_> = (0..fields.len())
                        .map(|i| String::from_utf8_lossy(fields.get(i).0).into_owned())
                        .collect();
                    out.push(shown.join("|"));
                }
            }
        }
    }

    #[test]
    fn fields_are_split_as_written() {
        let quote = Some(b'"');
        assert_eq!(records("a,b\r\n1,\n\n,2", ",", quote), ["a|b", "1|", "|2"]);
        assert_eq!(records("1::Toy Story (1995)::A|B\n", "::", None), ["1|Toy Story (1995)|A|B"]);
        assert_eq!(records("1:::x::y", "::", None), ["1|:x|y"]);
        assert_eq!(records("\"a,\"\"b\"\"\",c", ",", quote), ["a,\"b\"|c"]);
        assert_eq!(records("\"two\nlines\",c\nd,e", ",", quote), ["two\nlines|c", "d|e"]);
        assert_eq!(records("say \"hi\",c", ",", quote), ["say \"hi\"|c"]);
        assert_eq!(records("\"a\",c", ",", None), ["\"a\"|c"]);
    }

    #[test]
    fn an_open_quote_costs_one_line() {
        let text = "\"open,1\nb,2\nc,3\n";
        assert_eq!(
            records(text, ",", Some(b'"')),
            ["1: has a quoted field that is never closed", "b|2", "c|3"]
        );
    }
}
