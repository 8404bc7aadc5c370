//! Looking at models: list, show, history, verify.

use noctule_artifacts::version::PromotedBy;
use noctule_artifacts::{ModelName, VersionNumber};
use serde_json::json;

use crate::cli::Global;
use crate::commands::print_json;
use crate::documents::models::{self, HistoryDocument, ModelsDocument, VerifiedDocument, VersionDocument};
use crate::exit::Exit;
use crate::place::Place;
use crate::remote::Ask;
use crate::report::Trouble;
use crate::terminal::style::{BAD, GOOD, paint};
use crate::terminal::{amounts, table};

async fn listed(place: &Place) -> Result<ModelsDocument, Trouble> {
    match place {
        Place::Here(open) => models::list(&open.controller).await,
        Place::There(remote) => remote.get(Ask::at(&["models"])).await,
    }
}

pub async fn list(place: &Place, global: &Global) -> Result<Exit, Trouble> {
    let models = listed(place).await?.models;
    if global.json {
        print_json(&models);
        return Ok(Exit::Done);
    }
    let mut page = table::table(&["MODEL", ">VERSIONS", "ALIASES"]);
    for row in models {
        let aliases: Vec<_> = row
            .aliases
            .iter()
            .map(|(alias, state)| {
                format!("{alias} -> {}{}", state.version, if state.pinned { " (pinned)" } else { "" })
            })
            .collect();
        page.add_row(vec![row.model.to_string(), row.versions.to_string(), aliases.join(", ")]);
    }
    println!("{}", table::text(&page));
    Ok(Exit::Done)
}

pub async fn show(
    place: &Place,
    model: &ModelName,
    version: Option<VersionNumber>,
    global: &Global,
) -> Result<Exit, Trouble> {
    let document: VersionDocument = match place {
        Place::Here(open) => models::version(&open.controller, model, version).await?,
        Place::There(remote) => {
            let number = version.map_or("last".to_owned(), |version| version.to_string());
            remote.get(Ask::at(&["models", model.as_str(), "versions", &number])).await?
        }
    };
    if global.json {
        print_json(&document);
        return Ok(Exit::Done);
    }
    let shown = &document.version;
    println!("{model} version {} of {}", shown.version, document.versions);
    println!("  digest    {}", shown.digest);
    println!("  made by   run {} of {}, step {}", shown.run, shown.pipeline, shown.step);
    println!(
        "  gate      {}",
        shown.gate.map_or("none: brought in by import".to_owned(), |gate| gate.to_string())
    );
    println!("  created   {}", shown.created);
    for file in &shown.files {
        println!("  file      {}  {}", file.name, amounts::bytes(file.size));
    }
    if let Some(card) = &document.card {
        println!("{}", serde_json::to_string_pretty(card).expect("a card has only text keys"));
    }
    Ok(Exit::Done)
}

pub async fn history(place: &Place, model: &ModelName, global: &Global) -> Result<Exit, Trouble> {
    let document: HistoryDocument = match place {
        Place::Here(open) => models::history(&open.controller, model).await?,
        Place::There(remote) => remote.get(Ask::at(&["models", model.as_str(), "history"])).await?,
    };
    if global.json {
        print_json(&document.promotions);
        return Ok(Exit::Done);
    }
    let mut page = table::table(&[">NO", "ALIAS", ">FROM", ">TO", "AT", "BY", "WHY"]);
    for row in document.promotions {
        let (by, why) = match &row.by {
            PromotedBy::Run { run, gate } => (format!("run {run}"), format!("gate {}", gate.short())),
            PromotedBy::Person { name, reason } => (name.clone(), reason.clone()),
        };
        page.add_row(vec![
            row.sequence.to_string(),
            row.alias.to_string(),
            row.from.map(|from| from.to_string()).unwrap_or_default(),
            row.to.to_string(),
            row.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            by,
            if row.pinned { format!("{why} (pinned)") } else { why },
        ]);
    }
    println!("{}", table::text(&page));
    Ok(Exit::Done)
}

pub async fn verify(place: &Place, model: Option<&ModelName>, global: &Global) -> Result<Exit, Trouble> {
    let models = match model {
        Some(model) => vec![model.clone()],
        None => listed(place).await?.models.into_iter().map(|row| row.model).collect(),
    };
    let mut verified = Vec::new();
    for model in &models {
        let document: VerifiedDocument = match place {
            Place::Here(open) => models::verify(&open.controller, model).await?,
            Place::There(remote) => {
                remote.post_patiently(Ask::at(&["models", model.as_str(), "verify"]), &json!({})).await?
            }
        };
        verified.extend(document.versions);
    }
    if global.json {
        print_json(&verified);
    } else {
        for row in &verified {
            let word = if row.good { paint(GOOD, "good") } else { paint(BAD, "bad ") };
            anstream::println!("{word}  {} version {}", row.model, row.version);
            for fault in &row.faults {
                println!("      {fault}");
            }
        }
    }
    Ok(if verified.iter().all(|row| row.good) { Exit::Done } else { Exit::OwnTrouble })
}
