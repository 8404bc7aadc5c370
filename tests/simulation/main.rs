//! Faulty nights, played from seeds.
//!
//! A night is one run of a random pipeline in a world that loses nodes, kills orchestrators, moves aliases and has
//! people who change their minds. The engine decides; a small loop obeys it as the controller does; the checkers know
//! the truth of the world and compare. The same seed tells the same story, byte for byte.
//!
//! `cargo test -p noctule-engine --test simulation` plays a few hundred nights;
//! `... -- --nights 100000` plays more, and `... -- --seed 42` tells one.

mod check;
mod controller;
mod fate;
mod night;
mod pipeline;
mod world;

use std::process::ExitCode;

use night::Night;

const NIGHTS: u64 = 300;
/// So many of the nights are played twice, and have to be the same.
const TWICE: u64 = 25;

enum Wish {
    Tell(u64),
    Play(u64),
    List,
}

fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "a program of its own, not the engine")]
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match wish(&arguments) {
        Wish::Tell(seed) => {
            let night = night::play(seed);
            print!("{}", night.story);
            report(seed, &night)
        }
        Wish::Play(nights) => play_all(nights),
        // What test runners ask before they run anything.
        Wish::List => {
            println!("simulation: test");
            ExitCode::SUCCESS
        }
    }
}

fn wish(arguments: &[String]) -> Wish {
    let number_after = |flag: &str| {
        let place = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(place + 1)?.parse().ok()
    };
    if let Some(seed) = number_after("--seed") {
        return Wish::Tell(seed);
    }
    if arguments.iter().any(|argument| argument == "--list") {
        return Wish::List;
    }
    Wish::Play(number_after("--nights").unwrap_or(NIGHTS))
}

fn play_all(nights: u64) -> ExitCode {
    let mut tally = std::collections::BTreeMap::<String, u64>::new();
    for seed in 0..nights {
        let night = night::play(seed);
        if night.violation.is_some() {
            return report(seed, &night);
        }
        if seed < TWICE && night::play(seed).story != night.story {
            println!("seed {seed} tells two different stories");
            return ExitCode::FAILURE;
        }
        *tally.entry(night.status).or_default() += 1;
    }
    let tally: Vec<String> = tally.iter().map(|(status, count)| format!("{count} {status}")).collect();
    println!("{nights} nights, no rule broken: {}", tally.join(", "));
    ExitCode::SUCCESS
}

fn report(seed: u64, night: &Night) -> ExitCode {
    let Some(violation) = &night.violation else {
        println!("no rule broken; the run is {}", night.status);
        return ExitCode::SUCCESS;
    };
    println!("seed {seed}: {violation}");
    println!("tell it with: cargo test -p noctule-engine --test simulation -- --seed {seed}");
    ExitCode::FAILURE
}
