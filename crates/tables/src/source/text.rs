//! Bytes of a text file: decompressed, without a byte-order mark.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::source::Compression;
use crate::source::error::SourceError;

const BUFFER: usize = 1 << 18;

/// Opens a file for reading as text.
pub(crate) fn open(
    path: &Path,
    object: &str,
    compression: Compression,
) -> Result<Box<dyn BufRead>, SourceError> {
    let file = File::open(path).map_err(|error| SourceError::from_io(object, error))?;
    let plain = BufReader::with_capacity(BUFFER, file);
    let mut reader: Box<dyn BufRead> = match compression {
        Compression::None => Box::new(plain),
        Compression::Gzip => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(plain))),
        Compression::Zstd => {
            let decoder = zstd::Decoder::with_buffer(plain).map_err(|error| unreadable(object, &error))?;
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
    };
    let start = reader.fill_buf().map_err(|error| unreadable(object, &error))?;
    if start.starts_with(b"\xef\xbb\xbf") {
        reader.consume(3);
    }
    Ok(reader)
}

/// A read error of a compressed file is nearly always a file cut short.
pub(crate) fn unreadable(object: &str, error: &std::io::Error) -> SourceError {
    SourceError::Unreadable {
        object: object.to_owned(),
        cause: format!(
            "{error}; it is damaged, only half written, or compressed otherwise than `compression:` says"
        ),
    }
}

/// Text of bytes in the stated encoding; `None` when they are not valid in it.
pub(crate) fn decode(bytes: &[u8], latin1: bool) -> Option<std::borrow::Cow<'_, str>> {
    if latin1 && !bytes.is_ascii() {
        return Some(bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into());
    }
    std::str::from_utf8(bytes).ok().map(Into::into)
}
