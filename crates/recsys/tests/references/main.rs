//! The trainers and the ranking against slow, plain programs that say the same.

mod ials;
mod rank;

use noctule_recsys::interactions::Interactions;

/// A small source of numbers for tests, the same on every machine (SplitMix64).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// From -1 to 1.
    fn signed(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

fn interactions(rows: &[(u32, u32)], n_users: usize, n_items: usize) -> Interactions {
    let users: Vec<u32> = rows.iter().map(|row| row.0).collect();
    let items: Vec<u32> = rows.iter().map(|row| row.1).collect();
    Interactions::from_pairs(&users, &items, None, n_users, n_items).expect("valid rows")
}

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(work)
}
