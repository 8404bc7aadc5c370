//! SHA-256 of files, read in pieces.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use noctule_artifacts::Digest;
use sha2::{Digest as _, Sha256};

const PIECE: usize = 1 << 20;

/// A digest in the making.
#[derive(Default)]
pub(crate) struct Hasher {
    state: Sha256,
    size: u64,
}

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.size += bytes.len() as u64;
    }

    pub fn finish(self) -> Content {
        Content { size: self.size, sha256: Digest::from_bytes(self.state.finalize().into()) }
    }
}

/// What a file holds, as a manifest states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub size: u64,
    pub sha256: Digest,
}

pub(crate) fn hash_file(path: &Path) -> io::Result<Content> {
    copy_hashing(&mut File::open(path)?, &mut io::sink())
}

pub(crate) fn copy_hashing(from: &mut impl Read, to: &mut impl Write) -> io::Result<Content> {
    let mut hasher = Hasher::default();
    let mut piece = vec![0; PIECE];
    loop {
        let count = match from.read(&mut piece) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&piece[..count]);
        to.write_all(&piece[..count])?;
    }
}
