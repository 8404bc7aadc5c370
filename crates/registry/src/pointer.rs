//! The pointer that readers outside follow to an alias's version.

use noctule_artifacts::layout;
use noctule_artifacts::version::{AliasPointer, FORMAT};

use crate::history::Promotion;
use crate::version::Version;

/// What writing a pointer over the one that is there amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Write it.
    Write,
    /// This very pointer is there.
    Done,
    /// A later promotion wrote there: leave it.
    Superseded,
}

/// Two pointers of one sequence number that differ: one registry cannot have written both.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the pointer {model}@{alias} in the store has sequence {sequence} as ours has, and names another version: another \
     registry wrote to this store; compare `noctule models history {model}` with the store before anything is published",
    model = .ours.model, alias = .ours.alias, sequence = .ours.sequence
)]
pub struct ForeignPointer {
    ours: Box<PointerKey>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PointerKey {
    model: noctule_artifacts::ModelName,
    alias: noctule_artifacts::AliasName,
    sequence: u64,
}

/// The pointer that a promotion puts into the store; `version` is the one that it moved the alias to.
pub fn pointer(promotion: &Promotion, version: &Version) -> AliasPointer {
    AliasPointer {
        format: FORMAT,
        sequence: promotion.sequence,
        model: promotion.model.clone(),
        alias: promotion.alias.clone(),
        version: promotion.to,
        digest: version.digest,
        prefix: layout::version_prefix(&promotion.model, promotion.to),
    }
}

/// Whether `ours` goes over `found`: a lower sequence number never replaces a higher one.
pub fn overwrite(found: Option<&AliasPointer>, ours: &AliasPointer) -> Result<Overwrite, ForeignPointer> {
    match found {
        None => Ok(Overwrite::Write),
        Some(found) if found.sequence < ours.sequence => Ok(Overwrite::Write),
        Some(found) if found.sequence > ours.sequence => Ok(Overwrite::Superseded),
        Some(found) if found == ours => Ok(Overwrite::Done),
        Some(_) => Err(ForeignPointer {
            ours: Box::new(PointerKey {
                model: ours.model.clone(),
                alias: ours.alias.clone(),
                sequence: ours.sequence,
            }),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::row;
    use crate::version::tests::version;

    #[test]
    fn a_late_writer_does_not_take_the_pointer_back() {
        let older = pointer(&row(3, Some(1), 2, false), &version(2));
        let newer = pointer(&row(4, Some(2), 3, false), &version(3));
        assert_eq!(older.prefix, "models/home-feed/versions/2/");
        assert_eq!(overwrite(None, &older), Ok(Overwrite::Write));
        assert_eq!(overwrite(Some(&older), &newer), Ok(Overwrite::Write));
        assert_eq!(overwrite(Some(&newer), &older), Ok(Overwrite::Superseded));
        assert_eq!(overwrite(Some(&older), &older), Ok(Overwrite::Done));
        let forged = AliasPointer { version: noctule_artifacts::VersionNumber(9), ..older.clone() };
        assert!(overwrite(Some(&forged), &older).is_err());
    }
}
