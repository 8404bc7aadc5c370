//! Parts of earlier nights: taken over as they are, or cut anew by tonight's window.

use jiff::tz::TimeZone;
use noctule_artifacts::OutputName;
use noctule_artifacts::manifest::{FileEntry, Manifest, Part};
use noctule_tables::source::{PartCounts, PartOutcome, Partition, Recut, Window, recut};

use super::parts::Wanted;
use crate::attempt::Attempt;
use crate::error::StepError;

/// The output with the rows of dated partitions that lie outside of the window.
pub(super) const OUTSIDE: &str = "outside";

/// The fact of a part that keeps its first rejected rows, for a night that takes the part over.
pub(super) const EXAMPLES: &str = "examples";

/// Earlier artifacts of the step whose files are whole, newest first.
pub(super) struct Earlier(Vec<(String, Manifest)>);

/// A part of an earlier artifact, of the same objects read in the same way.
pub(super) struct Offer<'a> {
    pub path: &'a str,
    pub manifest: &'a Manifest,
    pub part: &'a Part,
    pub counts: PartCounts,
}

impl Earlier {
    pub async fn load(attempt: &Attempt) -> Result<Self, StepError> {
        let mut manifests = Vec::new();
        for path in &attempt.launch.earlier {
            let Some(manifest) = attempt.depot.committed(path).await? else { continue };
            if attempt.depot.is_whole(&manifest, path).await? {
                manifests.push((path.clone(), manifest));
            }
        }
        Ok(Self(manifests))
    }

    /// The part for a partition, best one that is what tonight's window would make of it.
    pub fn offer(&self, wanted: &Wanted, window: Option<Window>) -> Option<Offer<'_>> {
        let offers = || self.0.iter().filter_map(|(path, manifest)| Offer::of(path, manifest, wanted));
        let stands = offers().find(|offer| offer.counts.stands_in(window));
        stands.or_else(|| window.and_then(|_| offers().find(Offer::holds_all_rows)))
    }
}

impl<'a> Offer<'a> {
    fn of(path: &'a str, manifest: &'a Manifest, wanted: &Wanted) -> Option<Self> {
        let part = manifest.record.parts.iter().find(|part| part.fingerprint == wanted.fingerprint)?;
        let counts: PartCounts = serde_json::from_value(part.facts.get("counts")?.clone()).ok()?;
        Some(Self { path, manifest, part, counts })
    }

    /// Its first rejected rows, each in a sentence.
    pub fn examples(&self) -> Vec<String> {
        let examples = self.part.facts.get(EXAMPLES).cloned().unwrap_or_default();
        serde_json::from_value(examples).unwrap_or_default()
    }

    /// The part's files.
    pub fn entries(&self) -> impl Iterator<Item = &'a FileEntry> {
        let files = &self.manifest.identity.files;
        self.part.files.iter().filter_map(|name| files.iter().find(|file| &file.name == name))
    }

    /// Whether the rows that its window left out are there as well.
    fn holds_all_rows(&self) -> bool {
        let outside = self.entries().filter(|entry| entry.output.as_str() == OUTSIDE);
        outside.map(|entry| entry.rows.unwrap_or_default()).sum::<u64>() == self.counts.outside()
    }

    /// What tonight's window makes of the part.
    pub async fn recut(
        &self,
        attempt: &Attempt,
        window: Window,
        zone: &TimeZone,
    ) -> Result<PartOutcome, StepError> {
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        for entry in self.entries() {
            let to = match entry.output.as_str() {
                OUTSIDE => &mut outside,
                _ if entry.output == OutputName::main() => &mut inside,
                _ => continue,
            };
            to.push(attempt.depot.fetch(self.manifest, self.path, entry).await?);
        }
        let folder = attempt.draft.spill_folder()?;
        let stem = self.part.fingerprint.short();
        let request = Recut {
            inside: &inside,
            outside: &outside,
            counts: self.counts.clone(),
            partition: Partition::of_key(&self.part.key),
            window,
            zone: zone.clone(),
            main: folder.join(format!("recut-{stem}.parquet")),
            left_out: folder.join(format!("recut-{stem}-outside.parquet")),
            threads: attempt.launch.resources.threads.max(1) as usize,
        };
        Ok(tokio::task::block_in_place(|| recut(request))?)
    }
}
