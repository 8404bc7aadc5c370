//! Looking for what holds the rows of erased users, and deleting what nothing needs of it.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use noctule_artifacts::manifest::{FileEntry, Manifest, OutputForm};
use noctule_artifacts::{Digest, ModelName};
use noctule_controller::Controller;
use noctule_registry::Version;
use noctule_store::{ArtifactState, IndexedArtifact, Reference, Tombstone};
use noctule_tables::Table;
use noctule_tables::source::Erased;

use crate::documents::erasure::{ErasureDocument, HolderDocument, TrainedDocument};
use crate::report::Trouble;

/// The column of users, in tables and in the id maps of models.
const USER: &str = "user";
const PAGE: u32 = 500;

/// Finds the artifacts and versions that hold rows of these users, and deletes the artifacts that nothing needs.
pub async fn sweep(
    controller: &Controller,
    users: &BTreeSet<String>,
    dry_run: bool,
) -> Result<ErasureDocument, Trouble> {
    let erased = Erased::new(users.clone());
    let mut found = ErasureDocument { dry_run, users: users.len(), ..ErasureDocument::default() };
    let mut holders = BTreeSet::new();
    // The newest first: what a later artifact borrows of an earlier one is free once the later one is gone.
    let mut last: Option<IndexedArtifact> = None;
    loop {
        let page = controller.store.kept_artifacts(last.as_ref(), PAGE).await?;
        for artifact in &page {
            found.looked_at += 1;
            let Some(manifest) = controller.depot.committed(&artifact.manifest).await? else { continue };
            let rows = rows_in(controller, &erased, &manifest, &artifact.manifest).await?;
            if rows > 0 {
                holders.insert(artifact.digest);
                found.artifacts.push(let_go(controller, artifact, rows, dry_run).await?);
            }
        }
        match page.into_iter().last() {
            Some(artifact) => last = Some(artifact),
            None => break,
        }
    }
    for row in controller.store.models().await? {
        for version in controller.store.versions(&row.model).await? {
            if let Some(why) = trained_on(controller, &erased, &row.model, &version, &holders).await? {
                let here = row.aliases.iter().filter(|(_, state)| state.version == version.number);
                found.versions.push(TrainedDocument {
                    model: row.model.clone(),
                    version: version.number,
                    aliases: here.map(|(alias, _)| alias.to_string()).collect(),
                    why,
                });
            }
        }
    }
    Ok(found)
}

/// How many rows of the users an artifact's files hold.
async fn rows_in(
    controller: &Controller,
    erased: &Erased,
    manifest: &Manifest,
    path: &str,
) -> Result<u64, Trouble> {
    let mut rows = 0;
    for entry in &manifest.identity.files {
        let output = manifest.identity.outputs.get(&entry.output);
        let is_without = output.is_some_and(|output| {
            output.form == OutputForm::Table && !output.columns.iter().any(|column| column.name == USER)
        });
        if is_without || !may_name_users(entry) {
            continue;
        }
        match controller.depot.fetch(manifest, path, entry).await {
            Ok(local) => rows += count(erased, &local)?,
            // What is gone holds nothing any more; damage is for `verify` to tell.
            Err(error) => tracing::debug!(%error, path, "a file of an artifact was not looked at"),
        }
    }
    Ok(rows)
}

fn may_name_users(entry: &FileEntry) -> bool {
    entry.name.ends_with(".parquet") || entry.name.ends_with("users.csv")
}

fn count(erased: &Erased, file: &Path) -> Result<u64, Trouble> {
    if file.extension().is_some_and(|ending| ending == "csv") {
        let text = std::fs::read_to_string(file).map_err(|error| Trouble::file("read", file, error))?;
        let users = text.lines().skip(1).map(|line| line.trim_matches('"'));
        return Ok(users.filter(|user| erased.has(user)).count() as u64);
    }
    let unreadable = |error: noctule_tables::Error| Trouble::own(format!("{}: {error}", file.display()));
    let table = Table::open("an artifact", &[file.to_owned()], None).map_err(unreadable)?;
    if !table.has_column(USER) {
        return Ok(0);
    }
    let mut rows = 0;
    for batch in table.scan(&[USER], 1).map_err(unreadable)? {
        rows += erased.count(batch.map_err(unreadable)?.column(0)).map_err(unreadable)?;
    }
    Ok(rows)
}

/// Deletes an artifact's files, unless something needs them.
async fn let_go(
    controller: &Controller,
    artifact: &IndexedArtifact,
    rows: u64,
    dry_run: bool,
) -> Result<HolderDocument, Trouble> {
    let store = &controller.store;
    let kept_for = store.reference_to(&artifact.manifest).await?.map(|reference| words(&reference));
    let mut holder = HolderDocument {
        manifest: artifact.manifest.clone(),
        pipeline: artifact.pipeline.clone(),
        run: artifact.run.clone(),
        step: artifact.step.clone(),
        rows,
        deleted: kept_for.is_none(),
        kept_for,
    };
    if dry_run || holder.kept_for.is_some() {
        return Ok(holder);
    }
    let now = Timestamp::now();
    // No day of mourning: from here on nothing may take it over.
    let may_go = match store.set_tombstone(&artifact.manifest, now).await? {
        Tombstone::Set => true,
        Tombstone::NotLive(ArtifactState::Tombstone { .. }) => true,
        Tombstone::Kept(reference) => {
            holder.kept_for = Some(words(&reference));
            false
        }
        Tombstone::NotLive(_) | Tombstone::Unknown => false,
    };
    holder.deleted = may_go && store.begin_deletion(&artifact.manifest, Timestamp::now()).await?;
    if holder.deleted {
        controller.depot.expire(&artifact.run, &artifact.step, artifact.attempt, now).await?;
        store.end_deletion(&artifact.manifest).await?;
    }
    Ok(holder)
}

fn words(reference: &Reference) -> String {
    match reference {
        Reference::LiveRun(run) => format!("run {run}, which goes on"),
        Reference::LastGood(run) => {
            format!("run {run}, the last good one of its pipeline, until a later one takes its place")
        }
        Reference::Version(model, version) => format!("{model} version {version}"),
        Reference::Borrower(manifest) => format!("{manifest}, which names files of it"),
    }
}

/// Why a version counts as trained on the users; `None` when it is not.
async fn trained_on(
    controller: &Controller,
    erased: &Erased,
    model: &ModelName,
    version: &Version,
    holders: &BTreeSet<Digest>,
) -> Result<Option<String>, Trouble> {
    let manifest = controller.depot.version(model, version.number).await?;
    let mut known = 0;
    for entry in manifest.files.iter().filter(|entry| may_name_users(entry)) {
        match controller.depot.fetch_version(&manifest, entry).await {
            Ok(local) => known += count(erased, &local)?,
            Err(error) => tracing::debug!(%error, %model, "a file of a version was not looked at"),
        }
    }
    if known > 0 {
        return Ok(Some(format!("it knows {known} of them")));
    }
    // A model without a map of users may have learnt from them all the same.
    let used = controller.store.artifacts_of(&version.run).await?;
    let Some((_, artifact)) = used.iter().find(|(_, artifact)| artifact.digest == version.digest) else {
        return Ok(Some("it cannot be told: the run that made it is not kept here".to_owned()));
    };
    let Some(made) = controller.depot.committed(&artifact.manifest).await? else {
        return Ok(Some("it cannot be told: how it was made is gone".to_owned()));
    };
    for digest in made.record.inputs.values() {
        let input = used.iter().find(|(_, artifact)| artifact.digest == *digest);
        match input {
            _ if holders.contains(digest) => return Ok(Some("it was trained on rows of theirs".to_owned())),
            Some((_, artifact)) if is_there(&artifact.state) => {}
            _ => return Ok(Some("it cannot be told: what it was trained on is gone".to_owned())),
        }
    }
    Ok(None)
}

fn is_there(state: &ArtifactState) -> bool {
    matches!(state, ArtifactState::Live | ArtifactState::Tombstone { .. })
}
