//! Fingerprints, and whether an earlier artifact stands for a step.
//!
//! Ingredients of a fingerprint are the kind and its version, the settings, the digests of what is read, the identity
//! of external sources, and the end of the interval for kinds that look at it. What an `expect` demands stands
//! outside: it is judged anew, so an extract is only taken over as a whole when it was judged by the same expectation.

use std::collections::BTreeMap;

use noctule_artifacts::launch::{Input, Interval, LastGood, Listing, ModelVersion};
use noctule_artifacts::{Digest, ErasedUsers, Fingerprint};
use noctule_spec::{Step, StepKind};
use noctule_store::IndexedArtifact;
use serde_json::{Value, json};

use crate::Controller;
use crate::error::ControllerError;

/// The name of the fact under which an extract keeps what it was judged by.
pub(crate) const EXPECTATION: &str = "expectation";

/// Everything that a step reads, fixed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reads {
    pub inputs: BTreeMap<String, Input>,
    pub models: BTreeMap<String, Option<ModelVersion>>,
    pub sources: BTreeMap<String, Listing>,
    pub last_good: Option<LastGood>,
    /// The canonical ids of the last good run, for a dedup that keeps them.
    pub canonical: Option<Digest>,
    /// Files that a command's result depends on.
    pub files: BTreeMap<String, Digest>,
    /// Users whose rows an extract leaves out, and the list's bytes.
    pub erased: Option<(ErasedUsers, Vec<u8>)>,
}

/// The fingerprint of a step that reads this.
pub(crate) fn fingerprint(step: &Step, reads: &Reads, interval: Interval, timezone: &str) -> Fingerprint {
    let kind = &step.kind;
    let mut fingerprint =
        Fingerprint::of_kind(kind.name(), kind.version()).with("settings", kind.fingerprint_settings());
    for (reference, input) in &reads.inputs {
        fingerprint = fingerprint.with(format!("input {reference}"), input.digest.to_string());
    }
    for (reference, version) in &reads.models {
        let value =
            version.as_ref().map(|version| json!({"version": version.version, "digest": version.digest}));
        fingerprint = fingerprint.with(format!("model {reference}"), value.unwrap_or(Value::Null));
    }
    for (name, listing) in &reads.sources {
        for (partition, identity) in partitions(listing) {
            fingerprint =
                fingerprint.with(format!("source {name} {partition}").trim_end().to_owned(), identity);
        }
    }
    for (path, digest) in &reads.files {
        fingerprint = fingerprint.with(format!("file {path}"), digest.to_string());
    }
    if let Some(digest) = reads.canonical {
        fingerprint = fingerprint.with("canonical ids of the last good run", digest.to_string());
    }
    if let Some((erased, _)) = &reads.erased {
        fingerprint = fingerprint.with("erased users", erased.digest.to_string());
    }
    if kind.reads_interval_end() {
        fingerprint = fingerprint.with("interval end", interval.end.to_string());
    }
    match kind {
        StepKind::Extract(_) => fingerprint.with("timezone", timezone),
        StepKind::Shell(_) => {
            let env = serde_json::to_value(&step.env).expect("an environment has only text keys");
            fingerprint.with("interval start", interval.start.to_string()).with("env", env)
        }
        _ => fingerprint,
    }
}

/// One digest per partition, so that `why` can name the day that changed.
fn partitions(listing: &Listing) -> BTreeMap<&str, String> {
    let mut objects: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for object in &listing.objects {
        objects.entry(&object.partition).or_default().push(object.identity());
    }
    objects
        .into_iter()
        .map(|(partition, mut identities)| {
            identities.sort_by_key(Value::to_string);
            (partition, Digest::of_json(&Value::Array(identities)).to_string())
        })
        .collect()
}

/// What an extract is judged by beside its fingerprint: its `expect`, and the run that it is compared with.
pub(crate) fn expectation(step: &Step, last_good: Option<&LastGood>) -> Option<Digest> {
    let StepKind::Extract(settings) = &step.kind else { return None };
    let expect = settings.expect.as_ref()?;
    Some(Digest::of_json(&json!({
        "expect": expect,
        "last good": last_good.map(|last| last.digest),
    })))
}

/// Whether an artifact of the same fingerprint may stand for this step at all.
pub(crate) fn may_reuse(step: &Step) -> bool {
    match &step.kind {
        StepKind::Publish(_) => false,
        StepKind::Shell(settings) => settings.reuse.is_some(),
        _ => true,
    }
}

impl Controller {
    /// The newest artifact of this fingerprint whose files are whole, and that was judged by the same expectation.
    pub(crate) async fn reusable(
        &self,
        step: &Step,
        fingerprint: &Fingerprint,
        last_good: Option<&LastGood>,
    ) -> Result<Option<IndexedArtifact>, ControllerError> {
        if !may_reuse(step) {
            return Ok(None);
        }
        let wanted = expectation(step, last_good).map(|digest| Value::from(digest.to_string()));
        for artifact in self.store.reusable(fingerprint.digest()).await? {
            let Some(manifest) = self.depot.committed(&artifact.manifest).await? else { continue };
            let same_result = manifest.digest() == artifact.digest;
            let same_expectation = manifest.record.facts.get(EXPECTATION) == wanted.as_ref();
            if same_result && same_expectation && self.depot.is_whole(&manifest, &artifact.manifest).await? {
                return Ok(Some(artifact));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_artifacts::launch::SourceObject;

    fn object(url: &str, tag: &str, partition: &str) -> SourceObject {
        SourceObject { url: url.into(), size: 1, tag: tag.into(), partition: partition.into() }
    }

    #[test]
    fn a_partition_is_known_by_all_its_objects_in_any_order() {
        let a = Listing { objects: vec![object("a", "1", "date=1"), object("b", "1", "date=1")] };
        let b = Listing { objects: vec![object("b", "1", "date=1"), object("a", "1", "date=1")] };
        assert_eq!(partitions(&a), partitions(&b));
        let changed = Listing { objects: vec![object("a", "2", "date=1"), object("b", "1", "date=1")] };
        assert_ne!(partitions(&a), partitions(&changed));
    }
}
