//! Looking at models: list, show, history, verify.

use noctule_artifacts::version::PromotedBy;
use noctule_artifacts::{ModelName, VersionNumber};
use noctule_controller::Controller;
use serde_json::json;

use crate::cli::Global;
use crate::commands::print_json;
use crate::exit::Exit;
use crate::report::Trouble;
use crate::terminal::style::{BAD, GOOD, paint};
use crate::terminal::{amounts, table};

pub async fn list(controller: &Controller, global: &Global) -> Result<Exit, Trouble> {
    let models = controller.store.models().await?;
    if global.json {
        let rows: Vec<_> = models
            .iter()
            .map(|row| {
                let aliases: serde_json::Map<_, _> = row
                    .aliases
                    .iter()
                    .map(|(alias, state)| {
                        (alias.to_string(), json!({"version": state.version, "pinned": state.pinned}))
                    })
                    .collect();
                json!({"model": row.model, "versions": row.versions, "aliases": aliases})
            })
            .collect();
        print_json(&json!(rows));
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
    controller: &Controller,
    model: &ModelName,
    version: Option<VersionNumber>,
    global: &Global,
) -> Result<Exit, Trouble> {
    let versions = controller.store.versions(model).await?;
    let shown = match version {
        Some(version) => controller.store.version(model, version).await?,
        None => {
            versions.last().cloned().ok_or_else(|| Trouble::usage(format!("{model} has no version yet")))?
        }
    };
    let manifest = controller.depot.version(model, shown.number).await?;
    let card = match manifest.files.iter().find(|file| file.name.ends_with("card.json")) {
        Some(entry) => {
            let path = controller.depot.fetch_version(&manifest, entry).await?;
            std::fs::read(&path)
                .ok()
                .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
        }
        None => None,
    };
    if global.json {
        print_json(&json!({"version": manifest, "card": card, "versions": versions.len()}));
        return Ok(Exit::Done);
    }
    println!("{model} version {} of {}", shown.number, versions.len());
    println!("  digest    {}", shown.digest);
    println!("  made by   run {} of {}, step {}", shown.run, shown.pipeline, shown.step);
    println!(
        "  gate      {}",
        shown.gate.map_or("none: brought in by import".to_owned(), |gate| gate.to_string())
    );
    println!("  created   {}", shown.created);
    for file in &manifest.files {
        println!("  file      {}  {}", file.name, amounts::bytes(file.size));
    }
    if let Some(card) = card {
        println!("{}", serde_json::to_string_pretty(&card).expect("a card has only text keys"));
    }
    Ok(Exit::Done)
}

pub async fn history(controller: &Controller, model: &ModelName, global: &Global) -> Result<Exit, Trouble> {
    let rows = controller.store.promotions(model).await?;
    if global.json {
        let rows: Vec<_> = rows.iter().map(noctule_registry::Promotion::to_record).collect();
        print_json(&json!(rows));
        return Ok(Exit::Done);
    }
    let mut page = table::table(&[">NO", "ALIAS", ">FROM", ">TO", "AT", "BY", "WHY"]);
    for row in rows {
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

pub async fn verify(
    controller: &Controller,
    model: Option<&ModelName>,
    global: &Global,
) -> Result<Exit, Trouble> {
    let models = match model {
        Some(model) => vec![model.clone()],
        None => controller.store.models().await?.into_iter().map(|row| row.model).collect(),
    };
    let mut findings = Vec::new();
    for model in &models {
        for version in controller.store.versions(model).await? {
            let faults = match controller.depot.version(model, version.number).await {
                Ok(manifest) if manifest.digest != version.digest => {
                    vec![format!(
                        "its manifest names {}, and the registry {}",
                        manifest.digest, version.digest
                    )]
                }
                Ok(manifest) => {
                    let faults = controller.depot.verify_version(&manifest).await?;
                    faults.into_iter().map(|fault| fault.error.to_string()).collect()
                }
                Err(error) => vec![error.to_string()],
            };
            findings.push((model.clone(), version.number, faults));
        }
    }
    let bad = findings.iter().filter(|(_, _, faults)| !faults.is_empty()).count();
    if global.json {
        let rows: Vec<_> = findings
            .iter()
            .map(|(model, version, faults)| json!({"model": model, "version": version, "good": faults.is_empty(), "faults": faults}))
            .collect();
        print_json(&json!(rows));
    } else {
        for (model, version, faults) in &findings {
            let word = if faults.is_empty() { paint(GOOD, "good") } else { paint(BAD, "bad ") };
            anstream::println!("{word}  {model} version {version}");
            for fault in faults {
                println!("      {fault}");
            }
        }
    }
    Ok(if bad == 0 { Exit::Done } else { Exit::OwnTrouble })
}
