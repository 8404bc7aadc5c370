//! Reading a model, whoever wrote it, and refusing one that is not whole.

use std::io;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use noctule_tables::Table;
use noctule_tables::rows::{IdColumn, id_kind};
use serde::Deserialize;

use super::factors::{FactorFile, FactorSizes};
use super::{
    CARD, Card, FINGERPRINT, FactorTables, Form, ITEM_FACTORS, ITEMS, ITEMS_CSV, IdType, Ids, LAYOUT, Tables,
    USER_FACTORS, USERS, USERS_CSV,
};
use crate::error::{Class, Classed};
use crate::inputs::InputFile;

/// A model that was read and found whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub card: Card,
    pub tables: Tables,
}

/// Why files are not a model. `model` names it as the settings do.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("the model {model} has no file `{file}`, which its layout needs; it has: {found}")]
    MissingFile { model: String, file: String, found: String },
    #[error(
        "the file `{file}` of the model {model} cannot be used: {cause}; write it as docs/guides/model-layout.md says"
    )]
    BadFile { model: String, file: String, cause: String },
    #[error(
        "the model {model} has layout {found}, and this program reads layout {LAYOUT}: use a newer noctule"
    )]
    OtherLayout { model: String, found: u32 },
    #[error(
        "the files of the model {model} are of different trainings: {a} says `{ours}` and {b} says `{theirs}`; write all its files in one training"
    )]
    MixedTrainings { model: String, a: String, ours: String, b: String, theirs: String },
    #[error("the file `{path}` of the model cannot be written: {cause}")]
    Write { path: String, cause: String },
    #[error("the file `{path}` of the model cannot be written: {cause}")]
    WriteIo {
        path: String,
        #[source]
        cause: io::Error,
    },
    #[error(transparent)]
    Table(#[from] noctule_tables::Error),
}

impl ModelError {
    pub(super) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |cause| Self::WriteIo { path, cause }
    }
}

impl Classed for ModelError {
    fn class(&self) -> Class {
        match self {
            Self::MissingFile { .. } | Self::BadFile { .. } | Self::MixedTrainings { .. } => Class::Data,
            Self::OtherLayout { .. } => Class::Configuration,
            Self::WriteIo { cause, .. } if cause.kind() == io::ErrorKind::StorageFull => Class::Temporary,
            Self::Write { .. } | Self::WriteIo { .. } => Class::Other,
            Self::Table(error) => Classed::class(error),
        }
    }
}

impl Model {
    /// Reads a model from its files. `name` stands for it in messages.
    ///
    /// # Errors
    /// A file that is missing or malformed, tables that do not fit each other, factors that are not finite, files of
    /// different trainings.
    pub fn read(name: &str, files: &[InputFile]) -> Result<Self, ModelError> {
        Self::read_users(name, files, None)
    }

    /// The same, of users only those among `users`, when some are named: what is read of the others is checked, and not
    /// kept.
    pub(crate) fn read_users(
        name: &str,
        files: &[InputFile],
        users: Option<&Ids>,
    ) -> Result<Self, ModelError> {
        let reader = Reader { name, files };
        let card = reader.card()?;
        let (items, counts) = reader.items(&card)?;
        let factors = match card.form {
            Form::Counts => None,
            Form::Factors => Some(reader.factors(&card, &items, users)?),
        };
        Ok(Self { card, tables: Tables { items, counts, factors } })
    }
}

impl FactorSizes {
    /// Reads them from the files' headers; `None` for a model without factors.
    ///
    /// # Errors
    /// A file that is missing, or has no header.
    pub fn read(name: &str, files: &[InputFile]) -> Result<Option<Self>, ModelError> {
        let reader = Reader { name, files };
        if files.is_empty() || reader.card()?.form == Form::Counts {
            return Ok(None);
        }
        let shape = |file| {
            let shape = reader.open(file)?.shape().map_err(|cause| reader.bad(file, cause))?;
            Ok::<_, ModelError>((shape.0 as u64, shape.1 as u64))
        };
        let ((users, _), (items, factors)) = (shape(USER_FACTORS)?, shape(ITEM_FACTORS)?);
        Ok(Some(Self { users, items, factors }))
    }
}

struct Reader<'a> {
    name: &'a str,
    files: &'a [InputFile],
}

impl Reader<'_> {
    fn find(&self, file: &str) -> Option<&PathBuf> {
        self.files.iter().find(|there| there.name == file).map(|there| &there.path)
    }

    fn need(&self, file: &str) -> Result<&PathBuf, ModelError> {
        self.find(file).ok_or_else(|| {
            let mut names: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).take(20).collect();
            names.sort_unstable();
            let found = if names.is_empty() { "no files at all".to_owned() } else { names.join(", ") };
            ModelError::MissingFile { model: self.name.to_owned(), file: file.to_owned(), found }
        })
    }

    fn bad(&self, file: &str, cause: impl ToString) -> ModelError {
        ModelError::BadFile { model: self.name.to_owned(), file: file.to_owned(), cause: cause.to_string() }
    }

    fn bytes(&self, file: &str) -> Result<Vec<u8>, ModelError> {
        std::fs::read(self.need(file)?).map_err(|error| self.bad(file, error))
    }

    fn open(&self, file: &str) -> Result<FactorFile, ModelError> {
        FactorFile::open(self.need(file)?).map_err(|cause| self.bad(file, cause))
    }

    fn card(&self) -> Result<Card, ModelError> {
        #[derive(Deserialize)]
        struct Probe {
            layout: u32,
        }
        let bytes = self.bytes(CARD)?;
        let probe: Probe = serde_json::from_slice(&bytes).map_err(|error| self.bad(CARD, error))?;
        if probe.layout != LAYOUT {
            return Err(ModelError::OtherLayout { model: self.name.to_owned(), found: probe.layout });
        }
        serde_json::from_slice(&bytes).map_err(|error| self.bad(CARD, error))
    }

    fn items(&self, card: &Card) -> Result<(Ids, Vec<u64>), ModelError> {
        let (items, counts, file) = match self.find(ITEMS) {
            Some(path) => {
                let (items, counts) = self.id_table(path, "item", true)?;
                (items, counts, ITEMS)
            }
            None if self.find(ITEMS_CSV).is_some() => {
                let (items, counts) = self.id_csv(ITEMS_CSV, "item", card.ids.map(|ids| ids.item), true)?;
                (items, counts, ITEMS_CSV)
            }
            None => return Err(self.need(ITEMS).expect_err("it was not found just now")),
        };
        self.unique(&items, file, "item")?;
        Ok((items, counts))
    }

    fn users(&self, card: &Card) -> Result<(Ids, &'static str), ModelError> {
        let (users, file) = match self.find(USERS) {
            Some(path) => (self.id_table(path, "user", false)?.0, USERS),
            None if self.find(USERS_CSV).is_some() => {
                (self.id_csv(USERS_CSV, "user", card.ids.map(|ids| ids.user), false)?.0, USERS_CSV)
            }
            None => return Err(self.need(USERS).expect_err("it was not found just now")),
        };
        self.unique(&users, file, "user")?;
        Ok((users, file))
    }

    fn unique(&self, ids: &Ids, file: &str, what: &str) -> Result<(), ModelError> {
        match ids.repeated() {
            Some(id) => Err(self.bad(file, format!("the {what} {id} stands in it twice"))),
            None => Ok(()),
        }
    }

    fn id_table(&self, path: &Path, column: &str, counted: bool) -> Result<(Ids, Vec<u64>), ModelError> {
        let file = format!("{column}s.parquet");
        let table = Table::open(&format!("{file} of the model {}", self.name), &[path.to_owned()], None)?;
        let mut ids = Ids::none(id_kind(&table, column)?);
        let mut counts = Vec::new();
        let columns: &[&str] = if counted { &[column, "count"] } else { &[column] };
        for batch in table.scan(columns, 1)? {
            let batch = batch?;
            ids.extend(IdColumn::of(table.name(), column, batch.column(0))?);
            if counted {
                let IdColumn::Integer(array) = IdColumn::of(table.name(), "count", batch.column(1))? else {
                    return Err(self.bad(&file, "`count` is no whole number"));
                };
                for count in array.values() {
                    counts.push(
                        u64::try_from(*count).map_err(|_| self.bad(&file, format!("`count` is {count}")))?,
                    );
                }
            }
        }
        Ok((ids, counts))
    }

    /// An id map as CSV: a header line, then a line per row; ids with a comma or a quote in `"…"`.
    fn id_csv(
        &self,
        file: &str,
        column: &str,
        id_type: Option<IdType>,
        counted: bool,
    ) -> Result<(Ids, Vec<u64>), ModelError> {
        let text = String::from_utf8(self.bytes(file)?).map_err(|error| self.bad(file, error))?;
        let id_type = id_type
            .ok_or_else(|| self.bad(file, "card.json needs `ids: {user, item}`, each `integer` or `text`"))?;
        let header = if counted { format!("{column},count") } else { column.to_owned() };
        let mut lines = text.strip_prefix('\u{feff}').unwrap_or(&text).lines();
        if lines.next().map(str::trim_end) != Some(header.as_str()) {
            return Err(self.bad(file, format!("its first line is not `{header}`")));
        }
        let (mut texts, mut counts) = (Vec::new(), Vec::new());
        for (number, line) in (2..).zip(lines) {
            let wrong = |why: &str| self.bad(file, format!("line {number} {why}"));
            let id = if counted {
                let (id, count) = line.rsplit_once(',').ok_or_else(|| wrong("has no count"))?;
                counts.push(count.trim().parse().map_err(|_| wrong("has a count that is no whole number"))?);
                id
            } else {
                line
            };
            texts.push(unquoted(id).ok_or_else(|| wrong("has an id with a stray quote or comma"))?);
        }
        let ids = match id_type {
            IdType::Text => Ids::Text(texts),
            IdType::Integer => {
                let numbers = texts.iter().map(|text| text.parse::<i64>());
                Ids::Integer(numbers.collect::<Result<_, _>>().map_err(|error| self.bad(file, error))?)
            }
        };
        Ok((ids, counts))
    }

    fn factors(&self, card: &Card, items: &Ids, of_users: Option<&Ids>) -> Result<FactorTables, ModelError> {
        let (users, users_file) = self.users(card)?;
        let items_file = if self.find(ITEMS).is_some() { ITEMS } else { ITEMS_CSV };
        let kept: Option<Vec<bool>> =
            of_users.map(|wanted| wanted.index().find(&users).iter().map(Option::is_some).collect());
        let keep = |row: usize| kept.as_ref().is_none_or(|kept| kept[row]);
        let user_factors = self.factor_table(USER_FACTORS, card, users.len(), users_file, keep)?;
        let item_factors = self.factor_table(ITEM_FACTORS, card, items.len(), items_file, |_| true)?;
        if user_factors.ncols() != item_factors.ncols() {
            let (ours, theirs) = (user_factors.ncols(), item_factors.ncols());
            return Err(self
                .bad(USER_FACTORS, format!("it has {ours} factors a row, and {ITEM_FACTORS} has {theirs}")));
        }
        let users = match &kept {
            None => users,
            Some(kept) => users.select(&(0..kept.len()).filter(|row| kept[*row]).collect::<Vec<_>>()),
        };
        Ok(FactorTables { users, user_factors, item_factors })
    }

    fn factor_table(
        &self,
        file: &str,
        card: &Card,
        rows: usize,
        ids_file: &str,
        keep: impl Fn(usize) -> bool,
    ) -> Result<Array2<f32>, ModelError> {
        let factors = self.open(file)?;
        self.same_training(file, factors.fingerprint(), card)?;
        let (found, columns) = factors.shape().map_err(|cause| self.bad(file, cause))?;
        if found != rows || columns == 0 {
            return Err(self.bad(
                file,
                format!("it has {found} rows of {columns} factors, and {ids_file} has {rows} rows"),
            ));
        }
        factors.read(keep).map_err(|cause| self.bad(file, cause))
    }

    fn same_training(&self, file: &str, theirs: Option<&str>, card: &Card) -> Result<(), ModelError> {
        match theirs {
            Some(theirs) if *theirs == card.fingerprint => Ok(()),
            Some(theirs) => Err(ModelError::MixedTrainings {
                model: self.name.to_owned(),
                a: CARD.to_owned(),
                ours: card.fingerprint.clone(),
                b: file.to_owned(),
                theirs: theirs.to_owned(),
            }),
            None => Err(self.bad(file, format!("its metadata has no `{FINGERPRINT}`"))),
        }
    }
}

/// The text of a CSV field; `None` for a quote or comma that is not quoted.
fn unquoted(field: &str) -> Option<String> {
    let Some(inner) = field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return (!field.contains(['"', ','])).then(|| field.to_owned());
    };
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        // A quote inside is written twice.
        if character == '"' && characters.next() != Some('"') {
            return None;
        }
        text.push(character);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a model without factors, whose ids stand in CSV.
    fn read(items: &str, card: &str) -> Result<Model, ModelError> {
        let folder = tempfile::tempdir().unwrap();
        let files = [(CARD, card), (ITEMS_CSV, items)].map(|(name, text)| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            InputFile { name: name.to_owned(), path }
        });
        Model::read("m", &files)
    }

    fn card(item: &str) -> String {
        format!(
            r#"{{"layout": 1, "form": "counts", "algorithm": "a", "fingerprint": "f",
                "ids": {{"user": "text", "item": "{item}"}}}}"#
        )
    }

    #[test]
    fn ids_in_csv_may_hold_anything() {
        let model = read("item,count\n\"a,b\",3\n\"say \"\"x\"\"\",0\n,1\n", &card("text")).unwrap();
        assert_eq!(model.tables.items, Ids::Text(vec!["a,b".into(), "say \"x\"".into(), String::new()]));
        assert_eq!(model.tables.counts, [3, 0, 1]);
        let model = read("\u{feff}item,count\r\n-9223372036854775808,3\r\n", &card("integer")).unwrap();
        assert_eq!(model.tables.items, Ids::Integer(vec![i64::MIN]));
    }

    #[test]
    fn what_is_malformed_is_named() {
        let text = card("text");
        for (items, card, words) in [
            ("item\na\n", text.as_str(), "its first line is not `item,count`"),
            ("item,count\na\n", &text, "line 2 has no count"),
            ("item,count\na,1\nb,-1\n", &text, "line 3 has a count that is no whole number"),
            ("item,count\na,b,1\n", &text, "line 2 has an id with a stray quote or comma"),
            ("item,count\na,1\na,2\n", &text, "the item a stands in it twice"),
            ("item,count\nx,1\n", &card("integer"), "invalid digit"),
            (
                "item,count\n",
                r#"{"layout": 1, "form": "counts", "algorithm": "a", "fingerprint": "f"}"#,
                "card.json needs `ids",
            ),
            ("", r#"{"layout": 2}"#, "has layout 2"),
            ("", "", "`card.json` of the model m cannot be used"),
            ("", r#"{"layout": 1, "form": "trees"}"#, "unknown variant"),
        ] {
            let error = read(items, card).unwrap_err().to_string();
            assert!(error.contains(words), "{items:?} {card:?}: {error}");
        }
    }
}
