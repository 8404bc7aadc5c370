//! Random factors to start from.

use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use rayon::prelude::*;

/// Rows that share one stream of random numbers, so that the draw does not depend on threads.
const ROWS_PER_STREAM: usize = 1024;

/// `rows` x `columns` numbers from N(0, `stddev`).
///
/// ChaCha12 under the key `seed (little-endian) || label || zeros`, one stream per 1024 rows;
/// normal numbers by Box and Muller from 53-bit uniform ones.
pub(super) fn normal(rows: usize, columns: usize, stddev: f64, seed: u64, label: &[u8; 8]) -> Array2<f32> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(label);
    let mut table = vec![0f32; rows * columns];
    table.par_chunks_mut(ROWS_PER_STREAM * columns).enumerate().for_each(|(stream, chunk)| {
        let mut random = ChaCha12Rng::from_seed(key);
        random.set_stream(stream as u64);
        for pair in chunk.chunks_mut(2) {
            let (first, second) = normal_pair(&mut random);
            pair[0] = (first * stddev) as f32;
            if let Some(place) = pair.get_mut(1) {
                *place = (second * stddev) as f32;
            }
        }
    });
    Array2::from_shape_vec((rows, columns), table).expect("the table has rows x columns entries")
}

/// Two independent standard normal numbers (Box and Muller 1958).
fn normal_pair(random: &mut ChaCha12Rng) -> (f64, f64) {
    // From (0, 1], so that the logarithm is finite.
    let radius = (-2.0 * (1.0 - uniform(random)).ln()).sqrt();
    let (sine, cosine) = (std::f64::consts::TAU * uniform(random)).sin_cos();
    (radius * cosine, radius * sine)
}

/// From [0, 1), a multiple of 2^-53.
fn uniform(random: &mut ChaCha12Rng) -> f64 {
    (random.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_deviation_are_as_asked() {
        let table = normal(2000, 50, 0.5, 7, b"testing!");
        let n = table.len() as f64;
        let mean = table.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
        let variance = table.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / n;
        // Five standard errors.
        assert!(mean.abs() < 5.0 * 0.5 / n.sqrt(), "{mean}");
        assert!((variance - 0.25).abs() < 5.0 * 0.25 * (2.0 / n).sqrt(), "{variance}");
    }

    #[test]
    fn seeds_labels_and_streams_differ() {
        let draw = |seed, label| normal(2 * ROWS_PER_STREAM, 3, 1.0, seed, label);
        let first = draw(1, b"items...");
        assert_eq!(first, draw(1, b"items..."));
        assert_ne!(first, draw(2, b"items..."));
        assert_ne!(first, draw(1, b"users..."));
        assert_ne!(first.row(0), first.row(ROWS_PER_STREAM));
    }
}
