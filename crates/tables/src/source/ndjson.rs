//! Records of newline-delimited JSON.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::source::error::SourceError;
use crate::source::lines::Lines;
use crate::source::text::decode;

/// Objects of a file, one a line.
pub(crate) struct Objects {
    lines: Lines,
    latin1: bool,
    line: Vec<u8>,
}

pub(crate) enum ReadObject {
    Object(Map<String, Value>),
    Malformed(String),
    End,
}

/// A JSON value as a cell: its text, and whether JSON has it as a string.
pub(crate) struct Cell {
    pub text: String,
    pub string: bool,
}

impl Objects {
    pub fn new(lines: Lines, latin1: bool) -> Self {
        Self { lines, latin1, line: Vec::new() }
    }

    pub fn line_number(&self) -> u64 {
        self.lines.number()
    }

    pub fn line(&self) -> Cow<'_, str> {
        decode(&self.line, self.latin1).unwrap_or_else(|| String::from_utf8_lossy(&self.line))
    }

    pub fn next(&mut self) -> Result<ReadObject, SourceError> {
        loop {
            let mut line = std::mem::take(&mut self.line);
            let more = self.lines.next(&mut line)?;
            self.line = line;
            if !more {
                return Ok(ReadObject::End);
            }
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                break;
            }
        }
        let Some(text) = decode(&self.line, self.latin1) else {
            return Ok(ReadObject::Malformed(
                "is not UTF-8; set `encoding: latin1` if that is what it is".to_owned(),
            ));
        };
        Ok(match serde_json::from_str::<Value>(&text) {
            Ok(Value::Object(map)) => ReadObject::Object(map),
            Ok(_) => ReadObject::Malformed("is JSON, but no object".to_owned()),
            Err(error) => ReadObject::Malformed(format!("is no JSON object ({error})")),
        })
    }
}

/// The value of a column: of the key of that name, or, where none has it, of the path that its dots describe.
pub(crate) fn cell(object: &Map<String, Value>, column: &str) -> Option<Cell> {
    let value = match object.get(column) {
        Some(value) => value,
        None => {
            let mut parts = column.split('.');
            let first = object.get(parts.next()?)?;
            parts.try_fold(first, |value, key| value.get(key))?
        }
    };
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cell { text: text.clone(), string: true }),
        other => Some(Cell { text: other.to_string(), string: false }),
    }
}
