//! Rows of a model that are put back after the database was lost.

use std::collections::BTreeMap;

use jiff::Timestamp;
use noctule_artifacts::AliasName;
use noctule_registry::Promotion;
use noctule_registry::recover::Recovered;
use noctule_registry::version::Registration;

use super::{
    add_model, find_version, insert_promotion, insert_version, number_counter, promotions, sequence_counter,
};
use crate::error::StoreError;
use crate::session::Session;
use crate::{Store, column};

impl Store {
    /// Inserts the rows that are not there yet, and says how many versions and promotions that were. To recover twice
    /// is the same as once; rows that contradict those that are there change nothing.
    pub async fn recover(&self, recovered: &Recovered, at: Timestamp) -> Result<(u64, u64), StoreError> {
        let mut session = self.database.write("rebuild the rows of a model").await?;
        let model = &recovered.model;
        add_model(&mut session, model, at).await?;
        let mut new_versions = 0;
        for version in &recovered.versions {
            let present = find_version(&mut session, model, version.number).await?;
            if version.register(present.as_ref())? == Registration::New {
                insert_version(&mut session, version).await?;
                new_versions += 1;
            }
        }
        let new_promotions = append_missing(&mut session, recovered).await?;
        if let Some(number) = recovered.highest_number {
            session.raise(&number_counter(model), i64::from(number.0)).await?;
        }
        session.raise(&sequence_counter(model), column(recovered.highest_sequence)).await?;
        session.commit().await?;
        Ok((new_versions, new_promotions))
    }
}

/// Appends the rows that come after those that are there. History only grows, so none may be missing before them.
async fn append_missing(session: &mut Session<'_>, recovered: &Recovered) -> Result<u64, StoreError> {
    let present = promotions(session, &recovered.model).await?;
    let (known, missing) = recovered
        .promotions
        .split_at_checked(present.len())
        .filter(|(known, _)| *known == present)
        .ok_or_else(|| StoreError::Unrecoverable {
            model: recovered.model.clone(),
            why: "the registry has promotions that the store has not, so it was not lost; compare \
                  `noctule models history` with the promotion records in the store"
                .to_owned(),
        })?;
    let mut last: BTreeMap<&AliasName, u64> =
        known.iter().map(|row: &Promotion| (&row.alias, row.sequence)).collect();
    for row in missing {
        let follows = last.insert(&row.alias, row.sequence).unwrap_or(0);
        insert_promotion(session, row, follows).await?;
    }
    Ok(missing.len() as u64)
}
