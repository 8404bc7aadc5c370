//! Fixed-width records in the order they were added, in memory or on disk.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;

use crate::budget::Budget;
use crate::error::{Error, Result};

/// A value that can be written as a fixed number of bytes.
pub(crate) trait Record: Copy {
    const BYTES: usize;
    fn put(self, out: &mut Vec<u8>);
    fn get(bytes: &[u8]) -> Self;
}

macro_rules! number_record {
    ($($number:ty),*) => {$(
        impl Record for $number {
            const BYTES: usize = size_of::<$number>();

            fn put(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn get(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes[..Self::BYTES].try_into().expect("the slice has that length"))
            }
        }
    )*};
}

number_record!(u8, u32, u64, i64, f64, u128);

/// Nothing to remember takes no room.
impl Record for () {
    const BYTES: usize = 0;

    fn put(self, _: &mut Vec<u8>) {}

    fn get(_: &[u8]) -> Self {}
}

/// A file without a name that records are appended to and read back from.
pub(crate) struct SpillFile {
    file: File,
    end: u64,
    budget: Budget,
    scratch: Vec<u8>,
}

/// Where records lie in a [`SpillFile`].
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    offset: u64,
    count: usize,
}

impl SpillFile {
    pub fn create(budget: &Budget) -> Result<Self> {
        let file = tempfile::tempfile_in(budget.folder())
            .map_err(Error::io("creating a spill file in", budget.folder()))?;
        Ok(Self { file, end: 0, budget: budget.clone(), scratch: Vec::new() })
    }

    pub fn append<T: Record>(&mut self, records: &[T]) -> Result<Extent> {
        self.scratch.clear();
        for record in records {
            record.put(&mut self.scratch);
        }
        let failed = || Error::io("writing a spill file in", self.budget.folder());
        self.file.seek(SeekFrom::Start(self.end)).map_err(failed())?;
        self.file.write_all(&self.scratch).map_err(failed())?;
        let extent = Extent { offset: self.end, count: records.len() };
        self.end += self.scratch.len() as u64;
        self.budget.note_spilled(self.scratch.len() as u64);
        Ok(extent)
    }

    pub fn read<T: Record>(&self, extent: Extent, out: &mut Vec<T>) -> Result<()> {
        let mut bytes = vec![0; extent.count * T::BYTES];
        self.file
            .read_exact_at(&mut bytes, extent.offset)
            .map_err(Error::io("reading a spill file in", self.budget.folder()))?;
        out.extend(bytes.chunks_exact(T::BYTES).map(T::get));
        Ok(())
    }
}

/// Records of one chunk.
const CHUNK: usize = 1 << 16;

/// A sequence of records, read from the front as often as wanted.
pub(crate) struct Log<T> {
    budget: Budget,
    chunks: Vec<Chunk<T>>,
    tail: Vec<T>,
    file: Option<SpillFile>,
    taken: u64,
    length: u64,
}

enum Chunk<T> {
    Memory(Vec<T>),
    Disk(Extent, PhantomData<T>),
}

impl<T: Record> Log<T> {
    pub fn new(budget: &Budget) -> Self {
        Self {
            budget: budget.clone(),
            chunks: Vec::new(),
            tail: Vec::with_capacity(CHUNK),
            file: None,
            taken: 0,
            length: 0,
        }
    }

    pub fn extend(&mut self, mut records: &[T]) -> Result<()> {
        self.length += records.len() as u64;
        while !records.is_empty() {
            let room = (CHUNK - self.tail.len()).min(records.len());
            self.tail.extend_from_slice(&records[..room]);
            records = &records[room..];
            if self.tail.len() == CHUNK {
                self.close_chunk()?;
            }
        }
        Ok(())
    }

    fn close_chunk(&mut self) -> Result<()> {
        let bytes = (CHUNK * size_of::<T>()) as u64;
        if self.file.is_none() && self.budget.try_take(bytes) {
            self.taken += bytes;
            let full = std::mem::replace(&mut self.tail, Vec::with_capacity(CHUNK));
            self.chunks.push(Chunk::Memory(full));
            return Ok(());
        }
        if self.file.is_none() {
            self.file = Some(SpillFile::create(&self.budget)?);
        }
        let file = self.file.as_mut().expect("it was just made");
        let extent = file.append(&self.tail)?;
        self.tail.clear();
        self.chunks.push(Chunk::Disk(extent, PhantomData));
        Ok(())
    }

    /// Calls `visit` with the number of a slice's first record and the slice, in order.
    pub fn for_each(&self, mut visit: impl FnMut(u64, &[T]) -> Result<()>) -> Result<()> {
        let mut first = 0;
        let mut from_disk = Vec::new();
        for chunk in &self.chunks {
            let slice = self.load(chunk, &mut from_disk)?;
            visit(first, slice)?;
            first += slice.len() as u64;
        }
        visit(first, &self.tail)
    }

    fn load<'a>(&self, chunk: &'a Chunk<T>, from_disk: &'a mut Vec<T>) -> Result<&'a [T]> {
        match chunk {
            Chunk::Memory(records) => Ok(records),
            Chunk::Disk(extent, _) => {
                from_disk.clear();
                self.file.as_ref().expect("a chunk on disk has a file").read(*extent, from_disk)?;
                Ok(from_disk)
            }
        }
    }

    /// The slices of two logs of equal length side by side; slices of all logs are cut at the same places.
    pub fn zip<U: Record>(
        &self,
        other: &Log<U>,
        mut visit: impl FnMut(u64, &[T], &[U]) -> Result<()>,
    ) -> Result<()> {
        assert_eq!(self.length, other.length, "columns of one table have one length");
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        let mut first = 0;
        for (a, b) in self.chunks.iter().zip(&other.chunks) {
            let (a, b) = (self.load(a, &mut mine)?, other.load(b, &mut theirs)?);
            visit(first, a, b)?;
            first += a.len() as u64;
        }
        visit(first, &self.tail, &other.tail)
    }
}

/// Takes a log's records from the front, a few at a time.
pub(crate) struct LogReader<'a, T> {
    log: &'a Log<T>,
    next_chunk: usize,
    loaded: Vec<T>,
    position: usize,
}

impl<'a, T: Record> LogReader<'a, T> {
    pub fn new(log: &'a Log<T>) -> Self {
        Self { log, next_chunk: 0, loaded: Vec::new(), position: 0 }
    }

    /// Appends the next `count` records; the log has to have as many left.
    pub fn take(&mut self, mut count: usize, out: &mut Vec<T>) -> Result<()> {
        while count > 0 {
            if self.position == self.loaded.len() {
                self.load_next()?;
            }
            let piece = count.min(self.loaded.len() - self.position);
            assert!(piece > 0, "the log has as many records as rows are kept");
            out.extend_from_slice(&self.loaded[self.position..self.position + piece]);
            self.position += piece;
            count -= piece;
        }
        Ok(())
    }

    /// The next record; `None` after the last.
    pub fn take_one(&mut self) -> Result<Option<T>> {
        if self.position == self.loaded.len() {
            self.load_next()?;
        }
        let next = self.loaded.get(self.position).copied();
        self.position += usize::from(next.is_some());
        Ok(next)
    }

    fn load_next(&mut self) -> Result<()> {
        self.position = 0;
        let mut from_disk = Vec::new();
        self.loaded = match self.log.chunks.get(self.next_chunk) {
            Some(chunk) => self.log.load(chunk, &mut from_disk)?.to_vec(),
            None if self.next_chunk == self.log.chunks.len() => self.log.tail.clone(),
            None => Vec::new(),
        };
        self.next_chunk += 1;
        Ok(())
    }
}

impl<T> Drop for Log<T> {
    fn drop(&mut self) {
        self.budget.give_back(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_order_from_memory_and_disk() {
        let folder = tempfile::tempdir().unwrap();
        for limit in [0, 1 << 20, 1 << 30] {
            let budget = Budget::new(limit, 1, folder.path());
            let mut log = Log::<u64>::new(&budget);
            let mut twin = Log::<u32>::new(&budget);
            for start in (0..300_000u64).step_by(1000) {
                log.extend(&(start..start + 1000).collect::<Vec<_>>()).unwrap();
                twin.extend(&(start as u32..start as u32 + 1000).collect::<Vec<_>>()).unwrap();
            }
            for _ in 0..2 {
                let mut next = 0;
                log.zip(&twin, |first, a, b| {
                    assert_eq!(first, next);
                    for (a, b) in a.iter().zip(b) {
                        assert_eq!((*a, *b), (next, next as u32));
                        next += 1;
                    }
                    Ok(())
                })
                .unwrap();
                assert_eq!(next, 300_000);
            }
            assert_eq!(budget.spilled() > 0, limit < 1 << 30);
        }
    }
}
