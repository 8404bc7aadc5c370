//! The text that is read, and what is refused before any of it is.

use std::borrow::Cow;
use std::ops::Range;

use crate::diagnostic::{Code, Diagnostic};

/// The largest file that is read. A pipeline of a thousand steps has a fifth of it.
pub const LARGEST_FILE: usize = 1 << 20;

/// A file as it was read: the name that people know it by, and its bytes.
#[derive(Debug, Clone)]
pub struct SourceText {
    name: String,
    bytes: Vec<u8>,
}

const BYTE_ORDER_MARK: &str = "\u{feff}";

impl SourceText {
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text without a byte-order mark, or why it cannot be one.
    pub(crate) fn checked(&self) -> Result<&str, Diagnostic> {
        if self.bytes.len() > LARGEST_FILE {
            return Err(Diagnostic::error(
                Code::FileTooLarge,
                format!(
                    "`{}` has {} bytes, and a file of at most {} bytes (1 MiB) is read",
                    self.name,
                    self.bytes.len(),
                    LARGEST_FILE
                ),
            )
            .help(
                "is it the right file? Settings are written here, data lie in files that `extract` names",
            ));
        }
        let text = std::str::from_utf8(&self.bytes).map_err(|error| self.not_text(error.valid_up_to()))?;
        Ok(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))
    }

    fn not_text(&self, offset: usize) -> Diagnostic {
        let looks_wide = self.bytes.starts_with(&[0xff, 0xfe]) || self.bytes.starts_with(&[0xfe, 0xff]);
        let help = if looks_wide { "it looks like UTF-16; save it as UTF-8" } else { "save it as UTF-8" };
        let byte = self.bytes[offset];
        let offset = offset.saturating_sub(self.mark_length());
        Diagnostic::error(Code::NotUtf8, format!("the byte 0x{byte:02X} here is not UTF-8 text"))
            .at(offset..offset + 1, "")
            .help(help)
    }

    fn mark_length(&self) -> usize {
        if self.bytes.starts_with(BYTE_ORDER_MARK.as_bytes()) { BYTE_ORDER_MARK.len() } else { 0 }
    }

    /// The text for showing: what is no UTF-8 is replaced. Positions before the first replacement hold.
    pub(crate) fn shown(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes[self.mark_length()..])
    }

    /// Line and column of a position, from 1, columns in characters.
    pub fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let text = self.shown();
        let offset = floor_char_boundary(&text, offset);
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// The nearest position at or before `offset` that does not cut a character.
pub(crate) fn floor_char_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// A range of the text that may be shown: within it, on character boundaries, on one line, at least one byte long
/// unless at the end.
pub(crate) fn showable(text: &str, range: &Range<usize>) -> Range<usize> {
    let start = floor_char_boundary(text, range.start);
    let line_end = text[start..].find(['\n', '\r']).map_or(text.len(), |at| start + at);
    let end = floor_char_boundary(text, range.end.min(line_end)).max(start);
    if end > start {
        return start..end;
    }
    let next = text[start..line_end].chars().next().map_or(0, char::len_utf8);
    start..start + next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_from_one() {
        let source = SourceText::new("x", "a: ü\nß: b\r\nc".as_bytes());
        assert_eq!(source.line_and_column(0), (1, 1));
        assert_eq!(source.line_and_column(3), (1, 4));
        assert_eq!(source.line_and_column("a: ü\nß".len()), (2, 2));
        assert_eq!(source.line_and_column(usize::MAX), (3, 2));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        let source = SourceText::new("x", "\u{feff}a: 1".as_bytes());
        assert_eq!(source.checked().unwrap(), "a: 1");
        assert_eq!(source.line_and_column(0), (1, 1));
    }

    #[test]
    fn ranges_never_leave_their_line_or_cut_a_character() {
        let text = "aß\r\nb";
        assert_eq!(showable(text, &(0..5)), 0..3);
        assert_eq!(showable(text, &(2..2)), 1..3);
        assert_eq!(showable(text, &(5..99)), 5..6);
        assert_eq!(showable(text, &(99..99)), 6..6);
    }
}
