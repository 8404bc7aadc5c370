//! Lines that are no rows, in a log that is written as text.
//!
//! Parquet holds rows or nothing. A log of lines has what its writers leave behind: a line that a crash cut short, two
//! that ran together, bytes that are no text. Each is one line more, and no row is missing for it.

use jiff::civil::Date;

use crate::draw::{Draw, Purpose};
use crate::fault::{BrokenLine, Fault};
use crate::population::day_number;
use crate::world::World;

/// Of a log's lines; a small log has more in proportion, so that it has some of each kind.
const SHARE: f64 = 0.000_2;

/// Goes along with the text of one day's log and plants broken lines in it.
pub struct TextFaults {
    day: Date,
    draw: Draw,
    /// Rows between two broken lines, about.
    apart: f64,
    /// The row behind which the next one stands.
    behind: u64,
    rows: u64,
    lines: u64,
    planted: usize,
    faults: Vec<Fault>,
}

impl TextFaults {
    pub(crate) fn new(world: &World, day: Date) -> TextFaults {
        let share = SHARE.max(9.0 / world.settings.events as f64);
        let draw = Draw::new(world.seed(), Purpose::BrokenLines, day_number(day), 0);
        let mut faults = TextFaults {
            day,
            draw,
            apart: 1.0 / share,
            behind: 0,
            rows: 0,
            lines: 0,
            planted: 0,
            faults: Vec::new(),
        };
        faults.step();
        faults
    }

    fn step(&mut self) {
        self.behind += 1 + (self.draw.between(0.5, 1.5) * self.apart) as u64;
    }

    /// Passes on lines that are no rows, such as a header.
    pub fn pass(&mut self, lines: &[u8], out: &mut Vec<u8>) {
        self.lines += lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        out.extend_from_slice(lines);
    }

    /// Passes on whole lines, each a row, with broken ones between them.
    pub fn plant(&mut self, rows: &[u8], out: &mut Vec<u8>) {
        for row in rows.split_inclusive(|byte| *byte == b'\n') {
            self.rows += 1;
            self.lines += 1;
            out.extend_from_slice(row);
            if self.rows == self.behind {
                // In turn, so that a small log has each kind.
                let what = BrokenLine::ALL[self.planted % BrokenLine::ALL.len()];
                self.planted += 1;
                self.lines += 1;
                break_line(row.trim_ascii_end(), what, out);
                self.faults.push(Fault::BrokenLine { day: self.day, line: self.lines, what });
                self.step();
            }
        }
    }

    /// The faults planted so far, in the order of their lines.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

/// Writes a broken line made of a row.
fn break_line(row: &[u8], what: BrokenLine, out: &mut Vec<u8>) {
    match what {
        BrokenLine::Cut => {
            // Behind the first value, so that values are missing and none is half a value.
            let end = row.iter().position(|byte| *byte == b',').unwrap_or(row.len() / 2);
            out.extend_from_slice(&row[..end]);
        }
        BrokenLine::Joined => {
            out.extend_from_slice(row);
            out.extend_from_slice(row);
        }
        BrokenLine::NoText => out.extend_from_slice(b"\xff\xfe\x00\xc3\x28\xf0\x9f"),
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use crate::{Fault, Settings, Shop};
    use jiff::civil::date;

    #[test]
    fn every_planted_line_is_named_and_no_row_is_lost() {
        let settings = Settings { seed: 3, users: 3_000, items: 1_200, events: 42_000 };
        let shop = Shop::new(settings).expect("valid settings");
        let rows: Vec<u8> = (0..42_000).flat_map(|n| format!("{n},a,b\n").into_bytes()).collect();
        let mut faults = shop.text_faults(date(2026, 10, 14));
        let mut text = Vec::new();
        faults.pass(b"n,x,y\n", &mut text);
        let half = rows.len() / 2;
        let half = half + rows[half..].iter().position(|byte| *byte == b'\n').expect("a line's end") + 1;
        faults.plant(&rows[..half], &mut text);
        faults.plant(&rows[half..], &mut text);

        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let mut broken = std::collections::BTreeSet::new();
        for fault in faults.faults() {
            let Fault::BrokenLine { line, .. } = fault else { panic!("{fault:?}") };
            broken.insert(*line as usize - 1);
        }
        assert!((6..=14).contains(&broken.len()), "{broken:?}");
        let kept = lines.iter().enumerate().filter(|(at, _)| !broken.contains(at)).map(|(_, line)| *line);
        assert_eq!(kept.skip(1).collect::<Vec<_>>().concat(), rows);
        for at in broken {
            let text = String::from_utf8_lossy(lines[at]);
            assert_ne!(text.matches(',').count(), 2, "{text}");
        }
    }
}
