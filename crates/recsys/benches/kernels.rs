//! Seconds of an ials epoch and of a full ranking, on synthetic interactions with long tails.
//!
//! `cargo bench -p noctule-recsys --profile dist`. Wall time on the threads of rayon's pool; set
//! `RAYON_NUM_THREADS=1` to read CPU time.

use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use noctule_recsys::interactions::Interactions;
use noctule_recsys::rank::{FactorScores, Model, Scorer, StaticScores, Universe, rank};
use noctule_recsys::train::ials::{Checkpoint, Ials, IalsSettings};
use noctule_recsys::train::popularity;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const USERS: u32 = 20_000;
const ITEMS: u32 = 15_000;
const PAIRS: usize = 1_200_000;

/// A number below `n`, small ones far more often.
fn long_tailed(random: &mut ChaCha8Rng, n: u32) -> u32 {
    let uniform = f64::from(random.next_u32()) / f64::from(u32::MAX);
    ((f64::from(n) * uniform.powi(3)) as u32).min(n - 1)
}

fn draw(pairs: usize, random: &mut ChaCha8Rng) -> Vec<(u32, u32)> {
    let mut rows: Vec<(u32, u32)> = (0..pairs)
        .map(|_| {
            let user = (random.next_u32() % USERS).min(random.next_u32() % USERS);
            // Users like the items of their own remainder better.
            let item = long_tailed(random, ITEMS) / 16 * 16 + user % 16;
            (user, item.min(ITEMS - 1))
        })
        .collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

fn interactions(rows: &[(u32, u32)]) -> Interactions {
    let users: Vec<u32> = rows.iter().map(|row| row.0).collect();
    let items: Vec<u32> = rows.iter().map(|row| row.1).collect();
    Interactions::from_pairs(&users, &items, None, USERS as usize, ITEMS as usize).expect("valid rows")
}

fn ials(factors: usize, epochs: u32) -> Ials {
    Ials::new(IalsSettings { factors, epochs, ..Default::default() }).expect("valid settings")
}

fn train(trainer: &Ials, pairs: &Interactions, start: Option<Checkpoint>) -> Checkpoint {
    trainer.fit(pairs, start, &mut |_, _| ControlFlow::Continue(())).expect("trains")
}

fn epochs(criterion: &mut Criterion) {
    let pairs = interactions(&draw(PAIRS, &mut ChaCha8Rng::seed_from_u64(1)));
    let mut group = criterion.benchmark_group("ials epoch");
    group.sample_size(10).throughput(Throughput::Elements(pairs.len() as u64));
    for factors in [32, 64, 128] {
        let first = train(&ials(factors, 1), &pairs, None);
        group.bench_function(format!("{factors} factors"), |bencher| {
            bencher.iter(|| black_box(train(&ials(factors, 2), &pairs, Some(first.clone()))));
        });
    }
    group.finish();
}

fn evaluation(criterion: &mut Criterion) {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let seen = draw(PAIRS, &mut random);
    let wanted: Vec<(u32, u32)> = draw(4 * USERS as usize, &mut random)
        .into_iter()
        .filter(|row| seen.binary_search(row).is_err())
        .collect();
    let (history, truth) = (interactions(&seen), interactions(&wanted));
    let trained = train(&ials(64, 2), &history, None).factors;
    let known = vec![true; ITEMS as usize];
    let counts: Vec<f64> = popularity(&history).iter().map(|count| *count as f64).collect();
    let fallback = StaticScores { scores: &counts, known: &known };
    let user_rows: Vec<Option<u32>> = (0..USERS).map(Some).collect();
    let universe = Universe::new(&history, &truth, &known).expect("valid");
    let factors = FactorScores {
        users: trained.users.view(),
        items: trained.items.view(),
        known: &known,
        user_rows: &user_rows,
        fallback,
    };
    let mut group = criterion.benchmark_group("full ranking, top 20");
    group.sample_size(10).throughput(Throughput::Elements(u64::from(USERS)));
    for (name, scorer) in [("64 factors", Scorer::Factors(factors)), ("popularity", Scorer::Static(fallback))]
    {
        let models = [Model { name, scorer }];
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                rank(&universe, &models, 20, &mut |chunk| {
                    black_box(chunk);
                    ControlFlow::Continue(())
                })
                .expect("ranks");
            });
        });
    }
    group.finish();
}

criterion_group!(kernels, epochs, evaluation);
criterion_main!(kernels);
