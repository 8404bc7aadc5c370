//! A process of its own that writes to a store until it is ended: this test binary, started again.

use std::process::Command;

use noctule_store::{Location, Store};

use crate::registry::{candidate, publishing, wish};
use crate::world::{after, block_on, change, noted, run_id};

const LOCATION: &str = "NOCTULE_STORE_CHILD";
const FIRST_RUN: &str = "NOCTULE_STORE_CHILD_FIRST_RUN";

/// The command that runs [`write_until_ended`] on a database, with runs numbered from 1.
pub fn command(location: &str) -> Command {
    command_from(location, 1)
}

/// The same with runs numbered from `first`, so that several can write at once.
pub fn command_from(location: &str, first: u32) -> Command {
    command_of(&std::env::current_exe().unwrap(), location, first)
}

/// The same by a copy of this program.
pub fn command_of(program: &std::path::Path, location: &str, first: u32) -> Command {
    let mut command = Command::new(program);
    command.args(["child::write_until_ended", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(LOCATION, location).env(FIRST_RUN, first.to_string());
    command
}

/// Begins run after run and publishes a version in each. After a commit it says so on a line of its own, and says on
/// one line what stopped it.
#[test]
fn write_until_ended() {
    let Ok(text) = std::env::var(LOCATION) else { return };
    block_on(async move {
        let location: Location = text.parse().unwrap();
        let first = std::env::var(FIRST_RUN).unwrap().parse().unwrap();
        if let Err(error) = write(&location, first).await {
            println!("\nstopped by {error:?}\nsaid {error}");
        }
    });
}

async fn write(location: &Location, first: u32) -> Result<(), noctule_store::StoreError> {
    let store = Store::open(location).await?;
    println!("\nopened");
    let (model, alias) = ("home-feed".parse().unwrap(), "champion".parse().unwrap());
    for number in first.. {
        let run = run_id(number);
        let new = crate::world::new_run(number, "nightly", crate::world::day(i64::from(number)));
        store.create_run(&new, &change(1, vec![noted("begun")])).await?;
        println!("\ncommitted {run} 1");
        for end in 1..4 {
            store.commit(&after(&run, end), &change(2, vec![noted(&"x".repeat(2000))])).await?;
            println!("\ncommitted {run} {}", end + 1);
        }
        let content = format!("model {number}");
        let version = store.reserve_version(&wish(&run, &content)).await?;
        let compared = store.alias(&model, &alias).await?.map(|(state, _)| state.version);
        let wanted = publishing(candidate(&run, version, &content), compared);
        store.publish(&after(&run, 4), &wanted, crate::registry::published).await?;
        println!("\ncommitted {run} 5");
    }
    Ok(())
}
