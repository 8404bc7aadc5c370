//! `noctule doctor`: what works, what does not, what to do.

use noctule_launcher::local::{Machine, check_state_folder};
use noctule_store::Store;
use serde_json::json;

use crate::cli::Global;
use crate::exit::Exit;
use crate::home::Home;
use crate::report::Trouble;
use crate::terminal::amounts;
use crate::terminal::style::{BAD, GOOD, paint};

struct Finding {
    what: &'static str,
    good: bool,
    text: String,
}

pub async fn run(global: &Global) -> Result<Exit, Trouble> {
    let home = Home::find(global.config.as_deref())?;
    let machine = Machine::here();
    let mut findings = vec![Finding {
        what: "machine",
        good: true,
        text: format!("{} threads, {} of memory", machine.threads, amounts::bytes(machine.memory_bytes)),
    }];
    findings.push(state(&home));
    let store = database(&home, &mut findings).await;
    depot(&home, store.as_ref(), &mut findings).await;
    let all_good = findings.iter().all(|finding| finding.good);
    if global.json {
        let rows: Vec<_> =
            findings.iter().map(|f| json!({"what": f.what, "good": f.good, "text": f.text})).collect();
        super::print_json(&json!({"good": all_good, "findings": rows}));
    } else {
        for finding in &findings {
            let word = if finding.good { paint(GOOD, "good") } else { paint(BAD, "bad ") };
            anstream::println!("{word}  {:<9} {}", finding.what, finding.text);
        }
    }
    Ok(if all_good { Exit::Done } else { Exit::OwnTrouble })
}

fn state(home: &Home) -> Finding {
    let what = "state";
    let made = std::fs::create_dir_all(&home.state).and_then(|()| check_state_folder(&home.state));
    match made {
        Ok(()) => Finding { what, good: true, text: home.state.display().to_string() },
        Err(error) => Finding {
            what,
            good: false,
            text: format!(
                "{}: {error}; give this user the right to write there, on a local disk",
                home.state.display()
            ),
        },
    }
}

async fn database(home: &Home, findings: &mut Vec<Finding>) -> Option<Store> {
    let what = "database";
    match home.store().await {
        Ok(store) => {
            findings.push(Finding { what, good: true, text: store.place().to_owned() });
            Some(store)
        }
        Err(trouble) => {
            findings.push(Finding { what, good: false, text: trouble.message });
            None
        }
    }
}

async fn depot(home: &Home, store: Option<&Store>, findings: &mut Vec<Finding>) {
    let what = "store";
    let probed = async {
        let depot = home.depot()?;
        depot.probe().await?;
        let mut text = depot.shown();
        if let Some(store) = store {
            let ours = store.registry_id().await?;
            match depot.registry().await? {
                Some(found) if found != ours => {
                    return Err(Trouble::own(format!(
                        "{text} belongs to registry {found}, and the database is registry {ours}: use a store prefix of its \
                         own, or the database that goes with it"
                    )));
                }
                Some(_) => text += ", ours",
                None => text += ", not yet used",
            }
            let owed = store.waiting_messages().await?;
            if !owed.is_empty() {
                text += &format!("; {} messages are owed to it", owed.len());
            }
        }
        Ok::<String, Trouble>(text)
    };
    findings.push(match probed.await {
        Ok(text) => Finding { what, good: true, text },
        Err(trouble) => Finding { what, good: false, text: trouble.message },
    });
}
