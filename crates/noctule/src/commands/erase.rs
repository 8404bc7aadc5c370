//! `noctule erase`: users whose data are not to be read any more.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::acts;
use crate::cli::{Erase, Global};
use crate::documents::erasure::ErasureDocument;
use crate::erasure;
use crate::exit::Exit;
use crate::home::Home;
use crate::report::Trouble;
use crate::terminal::{amounts, table};

pub async fn run(arguments: &Erase, global: &Global) -> Result<Exit, Trouble> {
    if arguments.why.trim().is_empty() {
        return Err(Trouble::usage("`--why` is empty: say why"));
    }
    let users = read(arguments)?;
    let open = Home::find(global.config.as_deref())?.open().await?;
    let store = &open.controller.store;
    let who = acts::who(Some(&arguments.why));
    let deed = async {
        let mut new = 0;
        if !arguments.dry_run {
            // First the list: what is extracted from now on is without them.
            let all: Vec<String> = users.iter().cloned().collect();
            new = store.erase_users(&all, &who.name, Some(&arguments.why), Timestamp::now()).await?;
        }
        let found = erasure::sweep(&open.controller, &users, arguments.dry_run).await?;
        Ok(ErasureDocument { new, ..found })
    };
    let action = if arguments.dry_run { "users.look" } else { "users.erase" };
    let found = acts::audited(store, &who, action, &format!("{} users", users.len()), deed).await?;
    match global.json {
        true => super::print_json(&found),
        false => tell(&found),
    }
    Ok(Exit::Done)
}

fn read(arguments: &Erase) -> Result<BTreeSet<String>, Trouble> {
    let (name, bytes) = crate::pipeline::read_file("list of users", &arguments.users)?;
    let text = String::from_utf8(bytes).map_err(|_| Trouble::usage(format!("`{name}` is not UTF-8")))?;
    let lines = text.lines().map(|line| line.trim_end_matches('\r'));
    let users: BTreeSet<String> = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    match users.is_empty() {
        true => Err(Trouble::usage(format!("`{name}` names no user: write one on each line"))),
        false => Ok(users),
    }
}

fn tell(found: &ErasureDocument) {
    if !found.artifacts.is_empty() {
        let mut page = table::table(&["ARTIFACT OF", "STEP", ">ROWS", "FILES"]);
        for holder in &found.artifacts {
            let files = match (&holder.kept_for, holder.deleted, found.dry_run) {
                (Some(what), _, _) => format!("kept for {what}"),
                (None, true, false) => "deleted".to_owned(),
                (None, true, true) => "would be deleted".to_owned(),
                (None, false, _) => "taken over by a run meanwhile".to_owned(),
            };
            page.add_row(vec![
                holder.run.to_string(),
                holder.step.to_string(),
                amounts::count(holder.rows),
                files,
            ]);
        }
        println!("{}", table::text(&page));
    }
    for version in &found.versions {
        let aliases = match version.aliases.is_empty() {
            true => String::new(),
            false => format!(" ({})", version.aliases.join(", ")),
        };
        println!("{} version {}{aliases}: {}", version.model, version.version, version.why);
    }
    match found.dry_run {
        true => anstream::eprintln!("{} users; nothing was changed", found.users),
        false => anstream::eprintln!(
            "{} users are on the list, {} of them new: no extract takes in their rows any more",
            found.users,
            found.new
        ),
    }
    if found.artifacts.iter().any(|holder| holder.kept_for.is_some()) || !found.versions.is_empty() {
        anstream::eprintln!(
            "Next: run the pipelines again, so that new versions take the place of those above, then give this command again."
        );
    }
}
