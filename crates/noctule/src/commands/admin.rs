//! `noctule admin`: tokens, the audit table, and care of the database.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use noctule_artifacts::{RunId, StepName};
use noctule_controller::Definition;
use noctule_store::{AuditFilter, Store, TokenRole, TokenRow, restore as put_back};
use serde_json::json;

use crate::acts;
use crate::cli::{Admin, Global, Tokens};
use crate::documents::audit::{self, AuditDocument};
use crate::exit::Exit;
use crate::home::Home;
use crate::place::{Place, only_here};
use crate::remote::Ask;
use crate::report::Trouble;
use crate::terminal::{amounts, table};

pub async fn run(command: &Admin, global: &Global) -> Result<Exit, Trouble> {
    if let Admin::Audit { who, action, about, limit } = command {
        let filter = AuditFilter {
            who: who.clone(),
            action: action.clone(),
            about: about.clone(),
            before: None,
            limit: Some(*limit),
        };
        return list_audit(filter, global).await;
    }
    only_here(global, "admin")?;
    let home = Home::find(global.config.as_deref())?;
    match command {
        Admin::Tokens(command) => tokens(command, &home.store().await?, global).await,
        Admin::Rebuild => rebuild(&home.store().await?, global).await,
        Admin::Backup { file } => backup(&home.store().await?, file, global).await,
        Admin::Restore { file } => restore(&home, file, global).await,
        Admin::Audit { .. } => unreachable!("it was carried out above"),
    }
}

async fn list_audit(filter: AuditFilter, global: &Global) -> Result<Exit, Trouble> {
    let document: AuditDocument = match Place::of(global).await? {
        Place::Here(open) => audit::gather(&open.controller, filter).await?,
        Place::There(remote) => {
            let ask = Ask::at(&["audit"])
                .with_some("who", filter.who.as_ref())
                .with_some("action", filter.action.as_ref())
                .with_some("about", filter.about.as_ref())
                .with_some("limit", filter.limit.as_ref());
            remote.get(ask).await?
        }
    };
    if global.json {
        super::print_json(&document.audit);
        return Ok(Exit::Done);
    }
    let mut page = table::table(&[">NO", "AT", "WHO", "VIA", "ACTION", "ABOUT", "WHY", "OUTCOME"]);
    for row in document.audit {
        page.add_row(vec![
            row.id.to_string(),
            row.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            row.who,
            row.via,
            row.action,
            row.about,
            row.why.unwrap_or_default(),
            row.outcome.lines().next().unwrap_or_default().to_owned(),
        ]);
    }
    println!("{}", table::text(&page));
    Ok(Exit::Done)
}

async fn tokens(command: &Tokens, store: &Store, global: &Global) -> Result<Exit, Trouble> {
    let who = acts::who(None);
    match command {
        Tokens::Add { name, roles } => {
            let roles: BTreeSet<TokenRole> = roles.iter().cloned().collect();
            let deed = async { Ok(store.create_token(name, &roles, &who.name, Timestamp::now()).await?) };
            let (row, clear) = acts::audited(store, &who, "token.add", name, deed).await?;
            if global.json {
                super::print_json(&json!({"name": row.name, "roles": words(&row), "token": clear.reveal()}));
            } else {
                println!("{}", clear.reveal());
                anstream::eprintln!(
                    "the token of {}: {}; it cannot be shown again",
                    row.name,
                    words(&row).join(", ")
                );
            }
        }
        Tokens::Revoke { name } => {
            let deed = async { Ok(store.revoke_token(name, Timestamp::now()).await?) };
            let row = acts::audited(store, &who, "token.revoke", name, deed).await?;
            match global.json {
                true => super::print_json(&shown(&row)),
                false => anstream::eprintln!("the token of {name} is refused from now on"),
            }
        }
        Tokens::List => list_tokens(&store.tokens().await?, global),
    }
    Ok(Exit::Done)
}

fn words(row: &TokenRow) -> Vec<String> {
    row.roles.iter().map(ToString::to_string).collect()
}

fn shown(row: &TokenRow) -> serde_json::Value {
    json!({
        "name": row.name,
        "roles": words(row),
        "created": row.created,
        "created_by": row.created_by,
        "revoked": row.revoked,
        "last_used": row.last_used,
    })
}

fn list_tokens(rows: &[TokenRow], global: &Global) {
    if global.json {
        super::print_json(&rows.iter().map(shown).collect::<Vec<_>>());
        return;
    }
    let day = |at: Option<Timestamp>| at.map(|at| at.strftime("%Y-%m-%d %H:%MZ").to_string());
    let mut page = table::table(&["NAME", "ROLES", "MADE", "BY", "LAST USED", "REVOKED"]);
    for row in rows {
        page.add_row(vec![
            row.name.clone(),
            words(row).join(", "),
            day(Some(row.created)).unwrap_or_default(),
            row.created_by.clone(),
            day(row.last_used).unwrap_or_default(),
            day(row.revoked).unwrap_or_default(),
        ]);
    }
    println!("{}", table::text(&page));
}

async fn rebuild(store: &Store, global: &Global) -> Result<Exit, Trouble> {
    let who = acts::who(None);
    let deed = async { Ok(store.rebuild(pool_of).await?) };
    let rebuilt = acts::audited(store, &who, "store.rebuild", "projections", deed).await?;
    if global.json {
        let differences: Vec<_> = rebuilt
            .differences
            .iter()
            .map(|one| json!({"about": one.about, "found": one.found, "rebuilt": one.rebuilt}))
            .collect();
        super::print_json(&json!({"runs": rebuilt.runs, "differences": differences, "left": rebuilt.left}));
        return Ok(Exit::Done);
    }
    for one in &rebuilt.differences {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        println!("{}: {} -> {}", one.about, text(&one.found), text(&one.rebuilt));
    }
    for left in &rebuilt.left {
        println!("left as it is: {left}");
    }
    anstream::eprintln!(
        "{} runs were folded; {} differences put right",
        rebuilt.runs,
        rebuilt.differences.len()
    );
    Ok(Exit::Done)
}

/// The pool that a step of a run takes its slot from.
fn pool_of(run: &RunId, definition: &[u8], step: &StepName) -> Option<String> {
    let definition = Definition::from_json(run, definition).ok()?;
    let (_, loaded) = definition.resolve(Some(run.clone())).ok()?;
    loaded.pipeline.step(step)?.pool.clone()
}

async fn backup(store: &Store, file: &Path, global: &Global) -> Result<Exit, Trouble> {
    let who = acts::who(None);
    let about = file.display().to_string();
    let deed = async { Ok(store.backup(file).await?) };
    let made = acts::audited(store, &who, "store.backup", &about, deed).await?;
    match global.json {
        true => super::print_json(&json!({"file": made.path, "bytes": made.bytes, "runs": made.runs})),
        false => anstream::eprintln!(
            "{}: {}, {} runs; it was read back and is whole",
            made.path.display(),
            amounts::bytes(made.bytes),
            made.runs
        ),
    }
    Ok(Exit::Done)
}

async fn restore(home: &Home, file: &Path, global: &Global) -> Result<Exit, Trouble> {
    let restored = put_back(file, &home.location()?).await?;
    let store = home.store().await?;
    let who = acts::who(None);
    acts::audited(&store, &who, "store.restore", &file.display().to_string(), async { Ok(()) }).await?;
    match global.json {
        true => super::print_json(&json!({
            "registry": restored.registry, "runs": restored.runs, "replaced": restored.replaced,
        })),
        false => {
            anstream::eprintln!(
                "the database is that of the backup: registry {}, {} runs",
                restored.registry,
                restored.runs
            );
            if let Some(replaced) = &restored.replaced {
                anstream::eprintln!("what was there before lies in {}", replaced.display());
            }
            anstream::eprintln!("Next: `noctule models recover` puts back versions from after the backup.");
        }
    }
    Ok(Exit::Done)
}
