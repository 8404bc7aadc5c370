//! The pipelines of a server's folder: the last version of each that could be read, and the files that cannot be.

use jiff::Timestamp;
use noctule_artifacts::{Digest, PipelineName};

use crate::error::StoreError;
use crate::lease::{self, Lease};
use crate::row::Fields;
use crate::{Store, shown};

/// The last version of a pipeline that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoodPipeline {
    pub pipeline: PipelineName,
    /// Where it was read, as the server names its files.
    pub file: String,
    pub text: Vec<u8>,
    /// Of the text.
    pub digest: Digest,
    /// When this text was first read.
    pub loaded: Timestamp,
}

/// A file that cannot be read as a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenPipeline {
    pub file: String,
    /// Whose file it is, when that is known.
    pub pipeline: Option<PipelineName>,
    pub error: String,
    /// When it was first found so.
    pub since: Timestamp,
}

/// A pipeline as lists show it: at least one of the two is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineRow {
    pub good: Option<GoodPipeline>,
    pub broken: Option<BrokenPipeline>,
}

impl Store {
    /// Keeps a pipeline that was read, and takes the mark off its file if it was broken. Says whether the text is new.
    pub async fn put_pipeline(
        &self,
        pipeline: &PipelineName,
        file: &str,
        text: &[u8],
        at: Timestamp,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        let mut session = self.database.write("keep a pipeline").await?;
        lease::check_given(&mut session, lease).await?;
        let digest = Digest::of(text).to_string();
        let present = session
            .optional(sqlx::query("SELECT digest FROM pipelines WHERE pipeline = $1").bind(pipeline.as_str()))
            .await?;
        let present = match &present {
            Some(row) => Some(Fields::of(row, session.place()).text("digest")?),
            None => None,
        };
        let new = present.as_ref() != Some(&digest);
        session
            .execute(
                sqlx::query(
                    "INSERT INTO pipelines (pipeline, file, text, digest, loaded) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (pipeline) DO UPDATE SET file = $2, text = $3, digest = $4, \
                     loaded = CASE WHEN pipelines.digest = $4 THEN pipelines.loaded ELSE $5 END",
                )
                .bind(pipeline.as_str())
                .bind(file)
                .bind(text)
                .bind(digest)
                .bind(at.as_microsecond()),
            )
            .await?;
        session.execute(sqlx::query("DELETE FROM pipeline_errors WHERE file = $1").bind(file)).await?;
        session.commit().await?;
        Ok(new)
    }

    /// Records that a file cannot be read; the last good version of its pipeline stays.
    pub async fn pipeline_failed(
        &self,
        file: &str,
        pipeline: Option<&PipelineName>,
        error: &str,
        at: Timestamp,
        lease: Option<&Lease>,
    ) -> Result<(), StoreError> {
        let mut session = self.database.write("record that a pipeline cannot be read").await?;
        lease::check_given(&mut session, lease).await?;
        session
            .execute(
                sqlx::query(
                    "INSERT INTO pipeline_errors (file, pipeline, error, since) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (file) DO UPDATE SET pipeline = $2, error = $3",
                )
                .bind(file)
                .bind(pipeline.map(|name| name.to_string()))
                .bind(shown(error, 100_000))
                .bind(at.as_microsecond()),
            )
            .await?;
        session.commit().await
    }

    /// Forgets that a file was broken: it is gone from the folder, or another file answers for its pipeline.
    pub async fn forget_broken_file(&self, file: &str, lease: Option<&Lease>) -> Result<(), StoreError> {
        let mut session = self.database.write("forget a pipeline's file").await?;
        lease::check_given(&mut session, lease).await?;
        session.execute(sqlx::query("DELETE FROM pipeline_errors WHERE file = $1").bind(file)).await?;
        session.commit().await
    }

    /// Forgets a pipeline that was taken out of the folder. Its schedule's watermark and its occurrences stay, so that
    /// it goes on where it was when it comes back.
    pub async fn remove_pipeline(
        &self,
        pipeline: &PipelineName,
        lease: Option<&Lease>,
    ) -> Result<(), StoreError> {
        let mut session = self.database.write("forget a pipeline").await?;
        lease::check_given(&mut session, lease).await?;
        session
            .execute(sqlx::query("DELETE FROM pipelines WHERE pipeline = $1").bind(pipeline.as_str()))
            .await?;
        session.commit().await
    }

    /// All pipelines by name, then the files that answer for none.
    pub async fn pipelines(&self) -> Result<Vec<PipelineRow>, StoreError> {
        let mut session = self.database.read("list the pipelines").await?;
        let good =
            session.all(sqlx::query("SELECT pipeline, file, text, digest, loaded FROM pipelines")).await?;
        let broken =
            session.all(sqlx::query("SELECT file, pipeline, error, since FROM pipeline_errors")).await?;
        let mut broken = broken
            .iter()
            .map(|row| read_broken(&Fields::of(row, session.place())))
            .collect::<Result<Vec<_>, _>>()?;
        // Databases order texts by their own locale.
        broken.sort_by(|a, b| a.file.cmp(&b.file));
        let mut rows = Vec::with_capacity(good.len());
        for row in &good {
            let good = read_good(&Fields::of(row, session.place()))?;
            let mine = |broken: &BrokenPipeline| {
                broken.file == good.file || broken.pipeline.as_ref() == Some(&good.pipeline)
            };
            let broken = broken.iter().position(mine).map(|at| broken.remove(at));
            rows.push(PipelineRow { good: Some(good), broken });
        }
        rows.sort_by(|a, b| name(a).cmp(&name(b)));
        rows.extend(broken.into_iter().map(|broken| PipelineRow { good: None, broken: Some(broken) }));
        Ok(rows)
    }
}

fn name(row: &PipelineRow) -> Option<&PipelineName> {
    row.good.as_ref().map(|good| &good.pipeline)
}

fn read_good(fields: &Fields<'_>) -> Result<GoodPipeline, StoreError> {
    Ok(GoodPipeline {
        pipeline: fields.parsed("pipeline")?,
        file: fields.text("file")?,
        text: fields.bytes("text")?,
        digest: fields.parsed("digest")?,
        loaded: fields.instant("loaded")?,
    })
}

fn read_broken(fields: &Fields<'_>) -> Result<BrokenPipeline, StoreError> {
    Ok(BrokenPipeline {
        file: fields.text("file")?,
        pipeline: fields.optional_parsed("pipeline")?,
        error: fields.text("error")?,
        since: fields.instant("since")?,
    })
}
