//! The registry's rows, rebuilt from what lies in the store beside the versions.

use jiff::Timestamp;
use noctule_artifacts::{AliasName, ModelName, VersionNumber};
use noctule_depot::Depot;
use noctule_registry::recover::{Found, recover};
use serde_json::json;

use crate::cli::Global;
use crate::commands::print_json;
use crate::exit::Exit;
use crate::home::Home;
use crate::report::Trouble;

pub async fn run(global: &Global) -> Result<Exit, Trouble> {
    let home = Home::find(global.config.as_deref())?;
    let (store, depot) = (home.store().await?, home.depot()?);
    let Some(registry) = depot.registry().await? else {
        return Err(Trouble::usage(format!(
            "{} carries no registry.json: no noctule ever wrote there, so there is nothing to recover",
            depot.shown()
        )));
    };
    // A new database takes over the identity of the one that was lost; one that is in use refuses.
    store.adopt_registry(&registry).await?;
    let mut rebuilt = Vec::new();
    for model in depot.models().await? {
        let recovered = recover(&registry, &model, found(&depot, &model).await?).map_err(|damage| {
            let lines: Vec<_> = damage.iter().map(|damage| format!("\n  {damage}")).collect();
            Trouble::own(format!("the rows of {model} cannot be rebuilt:{}", lines.concat()))
        })?;
        for warning in &recovered.warnings {
            anstream::eprintln!("{model}: {warning}");
        }
        let (versions, promotions) = store.recover(&recovered, Timestamp::now()).await?;
        rebuilt.push((model, versions, promotions));
    }
    if global.json {
        let rows: Vec<_> = rebuilt
            .iter()
            .map(|(model, versions, promotions)| json!({"model": model, "versions": versions, "promotions": promotions}))
            .collect();
        print_json(&json!(rows));
    } else {
        for (model, versions, promotions) in rebuilt {
            anstream::eprintln!("{model}: {versions} versions and {promotions} promotions put back");
        }
    }
    Ok(Exit::Done)
}

async fn found(depot: &Depot, model: &ModelName) -> Result<Found, Trouble> {
    let mut found = Found { promotions: depot.promotions(model).await?, ..Found::default() };
    for number in depot.versions(model).await? {
        found.manifests.push(depot.version(model, number).await?);
    }
    for listed in depot.list(&format!("models/{model}/")).await? {
        let mut parts = listed.path.split('/').skip(2);
        match (parts.next(), parts.next()) {
            (Some("versions"), Some(number)) => {
                let number = number.parse::<VersionNumber>().ok();
                found.highest_folder = found.highest_folder.max(number);
            }
            (Some("aliases"), Some(file)) => {
                if let Some(alias) =
                    file.strip_suffix(".json").and_then(|name| name.parse::<AliasName>().ok())
                {
                    found.pointers.extend(depot.pointer(model, &alias).await?);
                }
            }
            _ => {}
        }
    }
    Ok(found)
}
