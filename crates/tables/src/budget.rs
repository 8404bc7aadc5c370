//! How much memory an operator may use for rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// A bound on memory, shared by everything that holds rows, and the folder where rows go when it is reached.
#[derive(Debug, Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limit: u64,
    used: AtomicU64,
    spilled: AtomicU64,
    folder: PathBuf,
    threads: usize,
}

impl Budget {
    /// `limit` bytes of memory, `threads` threads, and spill files below `folder`, which has to be there.
    pub fn new(limit: u64, threads: usize, folder: &Path) -> Self {
        let shared = Shared {
            limit,
            used: AtomicU64::new(0),
            spilled: AtomicU64::new(0),
            folder: folder.to_owned(),
            threads: threads.max(1),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes `bytes` for what can go to disk when they are left; `false` means to spill instead. A quarter of the
    /// memory is kept for what cannot.
    pub(crate) fn try_take(&self, bytes: u64) -> bool {
        self.take_below(bytes, self.shared.limit / 4 * 3)
    }

    fn take_below(&self, bytes: u64, limit: u64) -> bool {
        let mut used = self.shared.used.load(Ordering::Relaxed);
        loop {
            if used + bytes > limit {
                return false;
            }
            match self.shared.used.compare_exchange_weak(
                used,
                used + bytes,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(current) => used = current,
            }
        }
    }

    /// Takes `bytes` that cannot be spilled, or says what for they were wanted.
    pub(crate) fn take(&self, bytes: u64, doing: &str) -> Result<()> {
        if self.take_below(bytes, self.shared.limit) { Ok(()) } else { Err(self.exhausted(doing)) }
    }

    pub(crate) fn exhausted(&self, doing: &str) -> Error {
        Error::Memory { doing: doing.to_owned(), limit_mib: self.shared.limit >> 20 }
    }

    pub(crate) fn give_back(&self, bytes: u64) {
        self.shared.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn note_spilled(&self, bytes: u64) {
        self.shared.spilled.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that went to disk so far.
    pub fn spilled(&self) -> u64 {
        self.shared.spilled.load(Ordering::Relaxed)
    }

    pub fn limit(&self) -> u64 {
        self.shared.limit
    }

    pub fn threads(&self) -> usize {
        self.shared.threads
    }

    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }
}
