//! Random draws that are the same bits on every machine.
//!
//! Every draw comes from a ChaCha8 stream whose 256-bit key *is* the place it is used at:
//! (seed, purpose, day, chunk). So no draw depends on another table, day or chunk, nor on
//! threads. Arithmetic is limited to IEEE operations and the pure Rust `libm`, since a
//! platform's own `exp` and `ln` may differ in the last bit.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream is for; part of its key.
#[derive(Clone, Copy)]
#[repr(u64)]
pub(crate) enum Purpose {
    World = 1,
    Items,
    ItemTexts,
    Users,
    Visits,
    Events,
    BrokenLines,
}

pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    pub fn new(seed: u64, purpose: Purpose, day: i64, chunk: i64) -> Draw {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
        key[16..24].copy_from_slice(&day.to_le_bytes());
        key[24..].copy_from_slice(&chunk.to_le_bytes());
        Draw(ChaCha8Rng::from_seed(key))
    }

    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    #[inline]
    pub fn bits32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Uniform in [0, 1).
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in [low, high).
    #[inline]
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..n; the bias is below n / 2^32.
    #[inline]
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.bits32()) * u64::from(n)) >> 32) as u32
    }

    /// True with probability `p`.
    #[inline]
    pub fn chance(&mut self, p: f64) -> bool {
        f64::from(self.bits32()) < p * 4_294_967_296.0
    }

    /// Mean 0, deviation 1: the sum of four 16-bit uniforms (Irwin–Hall), which is near
    /// enough to normal for tastes and costs one draw.
    #[inline]
    pub fn normal(&mut self) -> f64 {
        let bits = self.bits();
        let sum = (bits & 0xffff) + ((bits >> 16) & 0xffff) + ((bits >> 32) & 0xffff) + (bits >> 48);
        // Each uniform has variance 1/12; four of them 1/3.
        (sum as f64 / 65_535.0 - 2.0) * 1.732_050_807_568_877_2
    }
}

/// A 64-bit mix of two words (the finaliser of SplitMix64): cheap coins that need no stream.
#[inline]
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_mul(0xd1b5_4a32_d192_ed03);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// An S-shaped map of the reals to (0, 1) made of +, *, / and sqrt alone.
#[inline]
pub(crate) fn squash(x: f64) -> f64 {
    0.5 + 0.5 * x / (1.0 + x * x).sqrt()
}

/// Weighted choice in constant time (Walker's alias method, Vose's construction).
pub(crate) struct Alias {
    /// Per slot: keep it when the low 32 bits of the draw lie below this, else take `other`.
    keep: Vec<u32>,
    other: Vec<u32>,
}

impl Alias {
    /// Weights must be finite, not negative, and not all zero; at most 2^32 of them.
    pub fn new(weights: &[f64]) -> Alias {
        let n = weights.len();
        let scale = n as f64 / weights.iter().sum::<f64>();
        let mut share: Vec<f64> = weights.iter().map(|w| w * scale).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..n as u32).partition(|&slot| share[slot as usize] < 1.0);
        let mut keep = vec![u32::MAX; n];
        let mut other: Vec<u32> = (0..n as u32).collect();
        while let (Some(&low), Some(&high)) = (small.last(), large.last()) {
            small.pop();
            keep[low as usize] = (share[low as usize] * 4_294_967_295.0) as u32;
            other[low as usize] = high;
            share[high as usize] -= 1.0 - share[low as usize];
            if share[high as usize] < 1.0 {
                large.pop();
                small.push(high);
            }
        }
        Alias { keep, other }
    }

    pub fn is_empty(&self) -> bool {
        self.keep.is_empty()
    }

    #[inline]
    pub fn pick(&self, draw: &mut Draw) -> u32 {
        let bits = draw.bits();
        let slot = ((bits >> 32) * self.keep.len() as u64) >> 32;
        if bits as u32 <= self.keep[slot as usize] { slot as u32 } else { self.other[slot as usize] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alias_picks_in_proportion_to_the_weights() {
        let weights = [5.0, 0.0, 1.0, 2.0, 2.0];
        let alias = Alias::new(&weights);
        let mut draw = Draw::new(1, Purpose::World, 0, 0);
        let mut counts = [0u32; 5];
        for _ in 0..200_000 {
            counts[alias.pick(&mut draw) as usize] += 1;
        }
        for (count, weight) in counts.iter().zip(weights) {
            let expected = weight / 10.0 * 200_000.0;
            assert!((f64::from(*count) - expected).abs() <= 4.0 * expected.sqrt() + 1.0, "{counts:?}");
        }
    }

    #[test]
    fn normal_draws_have_their_moments() {
        let mut draw = Draw::new(2, Purpose::World, 0, 0);
        let n = 100_000;
        let normals: Vec<f64> = (0..n).map(|_| draw.normal()).collect();
        let mean = normals.iter().sum::<f64>() / f64::from(n);
        let variance = normals.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02);
    }

    #[test]
    fn streams_differ_by_each_part_of_their_key() {
        let first = |seed, purpose, day, chunk| Draw::new(seed, purpose, day, chunk).bits();
        let base = first(1, Purpose::Items, 1, 1);
        assert_ne!(base, first(2, Purpose::Items, 1, 1));
        assert_ne!(base, first(1, Purpose::Users, 1, 1));
        assert_ne!(base, first(1, Purpose::Items, 2, 1));
        assert_ne!(base, first(1, Purpose::Items, 1, 2));
    }
}
