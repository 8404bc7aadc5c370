//! Logs of attempts, read while they grow. A log may hold anything: lines of megabytes, bytes that are no text.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Reads what is appended to a file, from its beginning on; a file that is not there yet is empty.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    at: u64,
}

/// How much one read takes at most.
const PIECE: u64 = 1 << 20;

impl Follow {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), at: 0 }
    }

    /// What was appended since the last read, at most a mebibyte; empty when there is nothing new. A file that became
    /// shorter is read from its beginning.
    pub fn read_new(&mut self) -> io::Result<Vec<u8>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() < self.at {
            self.at = 0;
        }
        file.seek(SeekFrom::Start(self.at))?;
        let mut new = Vec::new();
        file.take(PIECE).read_to_end(&mut new)?;
        self.at += new.len() as u64;
        Ok(new)
    }
}

/// The longest line that [`last_lines`] gives; the rest of a longer one is cut and said to be.
const LONGEST_LINE: usize = 2_000;

/// The last lines of a file, fit for a terminal: no control characters but tabs, nothing but text, nothing endless.
pub fn last_lines(path: &Path, count: usize) -> io::Result<Vec<String>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    let from = size.saturating_sub(PIECE);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(PIECE).read_to_end(&mut tail)?;
    let text = String::from_utf8_lossy(&tail);
    let lines: Vec<&str> = text.lines().collect();
    // The first line is the end of one unless the file began there; alone, it is better than nothing.
    let whole = if from > 0 && lines.len() > 1 { &lines[1..] } else { &lines[..] };
    let wanted = &whole[whole.len().saturating_sub(count)..];
    Ok(wanted.iter().map(|line| presentable(line)).collect())
}

/// A line without what would move a cursor or change a colour, and of bounded length.
pub fn presentable(line: &str) -> String {
    // A progress bar overwrites its line; what a terminal would show in the end is the last of it.
    let shown = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
    let mut plain = String::new();
    let mut characters = shown.chars();
    let mut taken = 0;
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => skip_escape(&mut characters),
            '\t' => plain.push('\t'),
            c if c.is_control() => {}
            c => plain.push(c),
        }
        taken += 1;
        if taken == LONGEST_LINE {
            let rest = characters.count();
            if rest > 0 {
                plain.push_str(&format!("… ({rest} more characters)"));
            }
            break;
        }
    }
    plain
}

/// Skips the rest of a terminal's control sequence: `[`, parameters, and a final letter.
fn skip_escape(characters: &mut std::str::Chars<'_>) {
    if !characters.as_str().starts_with('[') {
        return;
    }
    characters.next();
    for character in characters.by_ref() {
        if ('\u{40}'..='\u{7e}').contains(&character) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    #[test]
    fn a_growing_file_is_followed_and_an_absent_one_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut follow = Follow::new(&path);
        assert_eq!(follow.read_new().unwrap(), b"");
        fs::write(&path, "one\n").unwrap();
        assert_eq!(follow.read_new().unwrap(), b"one\n");
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"two").unwrap();
        assert_eq!(follow.read_new().unwrap(), b"two");
        assert_eq!(follow.read_new().unwrap(), b"");
        fs::write(&path, "x").unwrap();
        assert_eq!(follow.read_new().unwrap(), b"x");
    }

    #[test]
    fn last_lines_are_bounded_and_harmless() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut bytes = vec![b'a'; 3 << 20];
        bytes.extend(b"\n10%\r50%\r100%\r\n\x1b[31mred\x1b[0m \xff\x07end\nlast");
        fs::write(&path, bytes).unwrap();
        assert_eq!(last_lines(&path, 2).unwrap(), ["red \u{fffd}end", "last"]);
        assert_eq!(last_lines(&path, 9).unwrap(), ["100%", "red \u{fffd}end", "last"]);

        fs::write(&path, vec![b'x'; 3 << 20]).unwrap();
        let lines = last_lines(&path, 5).unwrap();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].ends_with("more characters)") && lines[0].len() < 3000);
        assert!(last_lines(&folder.path().join("absent"), 5).unwrap().is_empty());
    }
}
