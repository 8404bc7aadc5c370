//! Factor files: safetensors with one table of single-precision numbers, read a piece at a time.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use ndarray::Array2;
use safetensors::tensor::{Dtype, Metadata};

use super::{FINGERPRINT, TENSOR};

/// The sizes of a model's factor tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactorSizes {
    pub users: u64,
    pub items: u64,
    pub factors: u64,
}

/// A factor file whose header was read. What is wrong with a file is said in words that follow its name.
pub(super) struct FactorFile {
    file: BufReader<File>,
    metadata: Metadata,
    data_at: u64,
}

/// What a header may have at most, as the format has it.
const LONGEST_HEADER: u64 = 100_000_000;
/// Numbers that are read at a time.
const PIECE: usize = 1 << 18;

impl FactorFile {
    pub fn open(path: &Path) -> Result<Self, String> {
        let io = |error: std::io::Error| error.to_string();
        let file = File::open(path).map_err(io)?;
        let found = file.metadata().map_err(io)?.len();
        let mut file = BufReader::new(file);
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(io)?;
        let length = u64::from_le_bytes(length);
        if length > LONGEST_HEADER {
            return Err("it is no safetensors file: its header would be too long".to_owned());
        }
        let mut header = Vec::new();
        file.by_ref().take(length).read_to_end(&mut header).map_err(io)?;
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| error.to_string())?;
        let data_at = 8 + length;
        let whole = data_at + metadata.data_len() as u64;
        if found != whole {
            return Err(format!("it has {found} bytes, and its header speaks of {whole}: it is not whole"));
        }
        Ok(Self { file, metadata, data_at })
    }

    /// The training that the file says it is of.
    pub fn fingerprint(&self) -> Option<&str> {
        self.metadata.metadata().as_ref()?.get(FINGERPRINT).map(String::as_str)
    }

    /// Rows, and factors of each.
    pub fn shape(&self) -> Result<(usize, usize), String> {
        let tensor = self.metadata.info(TENSOR).ok_or_else(|| format!("it has no tensor `{TENSOR}`"))?;
        if tensor.dtype != Dtype::F32 {
            return Err(format!("its numbers are {:?}, not F32", tensor.dtype));
        }
        match tensor.shape[..] {
            [rows, columns] => Ok((rows, columns)),
            _ => Err(format!("its shape is {:?}, not [rows, factors]", tensor.shape)),
        }
    }

    /// Reads all rows, checks that all are finite, and gives those for which `keep` holds, in order.
    pub fn read(mut self, keep: impl Fn(usize) -> bool) -> Result<Array2<f32>, String> {
        let (rows, columns) = self.shape()?;
        let kept_rows = (0..rows).filter(|row| keep(*row)).count();
        let start = self.metadata.info(TENSOR).map_or(0, |tensor| tensor.data_offsets.0 as u64);
        self.file.seek(SeekFrom::Start(self.data_at + start)).map_err(|error| error.to_string())?;
        let mut kept = Vec::with_capacity(kept_rows * columns);
        let at_once = (PIECE / columns.max(1)).max(1);
        let mut bytes = Vec::new();
        for first in (0..rows).step_by(at_once) {
            bytes.resize(4 * columns * at_once.min(rows - first), 0);
            self.file.read_exact(&mut bytes).map_err(|error| error.to_string())?;
            for (row, bytes) in (first..).zip(bytes.chunks_exact(4 * columns.max(1))) {
                let numbers = bytes
                    .chunks_exact(4)
                    .map(|four| f32::from_le_bytes(four.try_into().expect("chunks of four bytes")));
                if let Some(number) = numbers.clone().find(|number| !number.is_finite()) {
                    return Err(format!("row {row} holds {number}, which is no finite number"));
                }
                if keep(row) {
                    kept.extend(numbers);
                }
            }
        }
        Array2::from_shape_vec((kept_rows, columns), kept).map_err(|error| error.to_string())
    }
}
