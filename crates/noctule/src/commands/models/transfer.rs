//! Versions out to a folder and in from one.

use std::path::Path;

use jiff::Timestamp;
use noctule_artifacts::version::VersionManifest;
use noctule_artifacts::{ModelName, VersionNumber};
use noctule_controller::Controller;
use noctule_registry::version::{Import, import as bring_in};
use noctule_store::Reserve;
use serde_json::json;

use crate::cli::Global;
use crate::commands::print_json;
use crate::exit::Exit;
use crate::report::Trouble;

pub async fn export(
    controller: &Controller,
    model: &ModelName,
    version: VersionNumber,
    folder: &Path,
    global: &Global,
) -> Result<Exit, Trouble> {
    controller.store.version(model, version).await?;
    let manifest = controller.depot.version(model, version).await?;
    controller.depot.export_version(&manifest, folder).await?;
    if global.json {
        print_json(
            &json!({"model": model, "version": version, "folder": folder, "files": manifest.files.len()}),
        );
    } else {
        anstream::eprintln!("{model} version {version} is in {}: every file was checked", folder.display());
    }
    Ok(Exit::Done)
}

pub async fn import(
    controller: &Controller,
    folder: &Path,
    name: Option<&ModelName>,
    global: &Global,
) -> Result<Exit, Trouble> {
    let foreign = noctule_depot::read_export(folder)?;
    let model = name.unwrap_or(&foreign.model);
    let at = Timestamp::now();
    let present = match controller.store.has_model(model).await? {
        true => controller.store.versions(model).await?,
        false => Vec::new(),
    };
    if let Some(known) = present.iter().find(|version| version.digest == foreign.digest) {
        return tell(model, known.number, false, global);
    }
    let in_store = !controller.depot.list(&format!("models/{model}/")).await?.is_empty();
    let wish = Reserve {
        model: model.clone(),
        run: foreign.run.clone(),
        step: foreign.step.clone(),
        digest: foreign.digest,
        in_store,
        at,
    };
    let number = controller.store.reserve_version(&wish).await?;
    match bring_in(&foreign, model, &present, number, at) {
        Import::Known(number) => tell(model, number, false, global),
        Import::Candidate(version) => {
            let manifest = VersionManifest {
                registry: controller.registry.clone(),
                model: model.clone(),
                version: version.number,
                gate: None,
                created: at,
                ..foreign
            };
            controller.depot.import_version(folder, manifest).await?;
            controller.store.register_import(&version).await?;
            tell(model, version.number, true, global)
        }
    }
}

fn tell(model: &ModelName, version: VersionNumber, new: bool, global: &Global) -> Result<Exit, Trouble> {
    if global.json {
        print_json(&json!({"model": model, "version": version, "new": new}));
    } else if new {
        anstream::eprintln!(
            "it is {model} version {version} here: a candidate that no alias points at; `noctule models promote` moves one to it"
        );
    } else {
        anstream::eprintln!("this model is here already, as {model} version {version}");
    }
    Ok(Exit::Done)
}
