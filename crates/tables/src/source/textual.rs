//! Batches of a source that is text: CSV and NDJSON, whose types are told by their first rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray, StringBuilder};
use serde_json::{Map, Value};

use crate::error::Result;
use crate::scan::BATCH_ROWS;
use crate::source::columns::{ColumnWish, Kind};
use crate::source::convert::{Failure, Setting, convert};
use crate::source::error::SourceError;
use crate::source::fetch::{Content, Fetched};
use crate::source::lines::Lines;
use crate::source::ndjson::{Objects, ReadObject, cell};
use crate::source::part::{PartRequest, View};
use crate::source::rejects::Reject;
use crate::source::separated::{Fields, Read, Separated};
use crate::source::{Format, Writing, text};

/// Rows that a column's type is told by.
const SAMPLE: usize = 1000;

/// An object of text, as batches of the columns that are wanted.
pub(crate) struct Textual {
    object: String,
    reader: Reader,
    names: Vec<String>,
    inside: Vec<String>,
    wanted: Vec<Wanted>,
    zone: jiff::tz::TimeZone,
}

enum Reader {
    Separated(Separated, Fields),
    Objects(Objects),
}

struct Wanted {
    name: String,
    /// Its place among the fields of a line.
    at: Option<usize>,
    /// The type, once it is known.
    kind: Option<Kind>,
    cells: StringBuilder,
    /// Whether JSON had a value of it as a string.
    strings: bool,
}

impl Textual {
    pub fn open(fetched: &Fetched, request: &PartRequest<'_>) -> Result<Self> {
        let writing = request.writing;
        let object = fetched.object().url.clone();
        let Content::File(path) = fetched.content() else { unreachable!("the synthetic product is no text") };
        let open = || -> Result<Lines> {
            Ok(Lines::new(text::open(path, &object, writing.compression_of(&object))?, &object))
        };
        let (reader, names, inside) = match writing.format_of(&object)? {
            Format::Ndjson => {
                let (names, inside) = keys(&mut Objects::new(open()?, writing.latin1))?;
                (Reader::Objects(Objects::new(open()?, writing.latin1)), names, inside)
            }
            _ => {
                let mut lines = open()?;
                let delimiter = writing.delimiter_of(&lines.peek()?);
                let separated = |lines| Separated::new(lines, &delimiter, writing.quote, writing.latin1);
                let mut reader = separated(lines);
                let names = column_names(&mut reader, writing, &object)?;
                // Without a header the first line is data: it is read again.
                let reader = if writing.header { reader } else { separated(open()?) };
                (Reader::Separated(reader, Fields::default()), names, Vec::new())
            }
        };
        Ok(Self { object, reader, names, inside, wanted: Vec::new(), zone: request.zone.clone() })
    }

    /// The names of the columns; none of an empty object.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// In JSON the columns within others, such as `user.id`.
    pub fn inside(&self) -> &[String] {
        &self.inside
    }

    /// Says which columns are wanted, and of what types where that is told.
    pub fn want(&mut self, wanted: &[String], wishes: &[ColumnWish]) {
        let names = &self.names;
        let separated = matches!(self.reader, Reader::Separated(..));
        self.wanted = wanted
            .iter()
            .map(|name| (name, names.iter().position(|other| other == name)))
            .filter(|(_, at)| !separated || at.is_some())
            .map(|(name, at)| Wanted {
                name: name.clone(),
                at,
                kind: told(name, wishes),
                cells: StringBuilder::new(),
                strings: false,
            })
            .collect();
    }

    /// The next rows; lines that are no records go to `rejects`.
    pub fn next(&mut self, rejects: &mut Vec<Reject>) -> Result<Option<View>> {
        let mut places = Vec::with_capacity(BATCH_ROWS);
        let already = rejects.len();
        while places.len() < BATCH_ROWS && rejects.len() - already < BATCH_ROWS {
            match self.read_row(rejects)? {
                Some(place) => places.extend(place),
                None => break,
            }
        }
        if places.is_empty() && rejects.len() == already {
            return Ok(None);
        }
        let mut failures = Vec::new();
        let mut columns = Vec::with_capacity(self.wanted.len());
        for wanted in &mut self.wanted {
            let cells: ArrayRef = Arc::new(wanted.cells.finish());
            let kind = *wanted.kind.get_or_insert_with(|| inferred(cells.as_string(), wanted.strings));
            let wish = ColumnWish { kind: Some(kind), ..ColumnWish::same(&wanted.name) };
            let setting = Setting { object: &self.object, zone: &self.zone, first: false };
            columns.push((wanted.name.clone(), convert(&wish, &cells, &setting, &mut failures)?));
        }
        failures.sort_by_key(|failure: &Failure| failure.row);
        View::new(columns, places, failures).map(Some)
    }

    /// Reads a row into the columns: its line, nothing for a line that is no record, `None` at the end.
    fn read_row(&mut self, rejects: &mut Vec<Reject>) -> Result<Option<Option<u64>>> {
        match &mut self.reader {
            Reader::Separated(reader, fields) => {
                let malformed = match reader.next(fields)? {
                    Read::End => return Ok(None),
                    Read::Malformed(why) => Some(why.to_owned()),
                    Read::Record if fields.len() != self.names.len() => {
                        Some(format!("has {} fields where {} are expected", fields.len(), self.names.len()))
                    }
                    Read::Record => append(reader, fields, &mut self.wanted),
                };
                let place = reader.line_number();
                if let Some(reason) = malformed {
                    rejects.push(reject(&self.object, place, reason, &reader.line()));
                    return Ok(Some(None));
                }
                Ok(Some(Some(place)))
            }
            Reader::Objects(objects) => match objects.next()? {
                ReadObject::End => Ok(None),
                ReadObject::Malformed(reason) => {
                    let place = objects.line_number();
                    rejects.push(reject(&self.object, place, reason, &objects.line()));
                    Ok(Some(None))
                }
                ReadObject::Object(object) => {
                    for wanted in &mut self.wanted {
                        let cell = cell(&object, &wanted.name);
                        wanted.strings |= cell.as_ref().is_some_and(|cell| cell.string);
                        wanted.cells.append_option(cell.map(|cell| cell.text));
                    }
                    Ok(Some(Some(objects.line_number())))
                }
            },
        }
    }
}

/// The names of the columns: as set, of the header, or by their numbers. None of an empty file.
fn column_names(reader: &mut Separated, writing: &Writing, object: &str) -> Result<Vec<String>> {
    let mut fields = Fields::default();
    if matches!(reader.next(&mut fields)?, Read::End) {
        return Ok(Vec::new());
    }
    if let Some(names) = &writing.names {
        if names.len() != fields.len() {
            let (object, found, named) = (object.to_owned(), fields.len(), names.len());
            return Err(SourceError::Names { object, found, named }.into());
        }
        return Ok(names.clone());
    }
    let name = |at: usize| {
        let text = reader.text(fields.get(at).0).filter(|text| writing.header && !text.trim().is_empty());
        text.map_or_else(|| format!("column_{}", at + 1), |text| text.trim().to_owned())
    };
    Ok((0..fields.len()).map(name).collect())
}

/// The keys of the first objects, and the paths to keys of objects within, both in the order of their names: JSON
/// knows no other.
fn keys(objects: &mut Objects) -> Result<(Vec<String>, Vec<String>)> {
    let (mut names, mut inside) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLE {
        match objects.next()? {
            ReadObject::End => break,
            ReadObject::Malformed(_) => {}
            ReadObject::Object(object) => collect_keys(&object, "", &mut names, &mut inside),
        }
    }
    names.sort();
    inside.sort();
    Ok((names, inside))
}

fn collect_keys(object: &Map<String, Value>, above: &str, names: &mut Vec<String>, inside: &mut Vec<String>) {
    for (key, value) in object {
        let path = format!("{above}{key}");
        let known = if above.is_empty() { &mut *names } else { &mut *inside };
        if !known.contains(&path) {
            known.push(path.clone());
        }
        // Deeper is no table any more.
        if let (Value::Object(deeper), true) = (value, path.matches('.').count() < 3) {
            collect_keys(deeper, &format!("{path}."), names, inside);
        }
    }
}

/// Appends the wanted fields of a record, or says why it cannot be read.
fn append(reader: &Separated, fields: &Fields, columns: &mut [Wanted]) -> Option<String> {
    // All texts first: a column must not have a cell more than its neighbours.
    let mut texts = Vec::with_capacity(columns.len());
    for wanted in columns.iter() {
        let (bytes, quoted) = fields.get(wanted.at.expect("a column of a line has a place"));
        let Some(text) = reader.text(bytes) else {
            return Some("is not UTF-8; set `encoding: latin1` if that is what it is".to_owned());
        };
        texts.push(Some(text).filter(|text| quoted || !text.is_empty()));
    }
    for (wanted, text) in columns.iter_mut().zip(texts) {
        wanted.cells.append_option(text);
    }
    None
}

fn reject(object: &str, place: u64, reason: String, line: &str) -> Reject {
    Reject { object: object.to_owned(), place, column: None, reason, found: Some(Reject::shorten(line)) }
}

/// The type of a column that all wishes for it agree on. A time is read from what the column is by itself.
fn told(name: &str, wishes: &[ColumnWish]) -> Option<Kind> {
    let mut kinds = wishes.iter().filter(|wish| wish.from == name).map(|wish| wish.kind);
    let first = kinds.next()??;
    (first != Kind::Time && kinds.all(|kind| kind == Some(first))).then_some(first)
}

/// The narrowest type that the first rows fit: whole numbers, numbers, true or false, text.
///
/// Whole numbers are those that are written as such: `007` and `+1` are names, and so is a number past 64 bits.
fn inferred(cells: &StringArray, strings: bool) -> Kind {
    let sample: Vec<&str> = cells.iter().flatten().take(SAMPLE).collect();
    if strings || sample.is_empty() {
        return Kind::Text;
    }
    let all = |fits: fn(&str) -> bool| sample.iter().all(|cell| fits(cell.trim()));
    if all(|cell| cell.parse::<i64>().is_ok_and(|number| number.to_string() == cell)) {
        Kind::Integer
    } else if all(is_fraction) {
        Kind::Float
    } else if all(|cell| matches!(cell, "true" | "false" | "True" | "False" | "TRUE" | "FALSE")) {
        Kind::Boolean
    } else {
        Kind::Text
    }
}

fn is_fraction(cell: &str) -> bool {
    let digits = cell.trim_start_matches('-');
    let named = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    let whole_past_64_bits = digits.len() > 18 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = cell.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    number && !named && !whole_past_64_bits && !cell.starts_with('+') && cell.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_by_the_first_rows() {
        let kind = |cells: &[&str]| inferred(&StringArray::from(cells.to_vec()), false);
        assert_eq!(kind(&["1", "-9223372036854775808"]), Kind::Integer);
        assert_eq!(kind(&["1", "2.5", "1e3"]), Kind::Float);
        assert_eq!(kind(&["true", "False"]), Kind::Boolean);
        assert_eq!(kind(&["01234", "1"]), Kind::Text);
        assert_eq!(kind(&["9223372036854775808", "1"]), Kind::Text);
        assert_eq!(kind(&["V3N4P", "1"]), Kind::Text);
        assert_eq!(kind(&["nan", "1"]), Kind::Text);
        assert_eq!(kind(&[]), Kind::Text);
        assert_eq!(inferred(&StringArray::from(vec!["1"]), true), Kind::Text);
    }
}
