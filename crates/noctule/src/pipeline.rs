//! A pipeline file on its way from the command line to a checked pipeline.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::Path;

use jiff::Timestamp;
use noctule_artifacts::RunId;
use noctule_artifacts::launch::Interval;
use noctule_controller::Definition;
use noctule_controller::definition::Refused;
use noctule_spec::{Diagnostics, Pipeline, SourceText, Style};

use crate::cli::{PipelineArgument, parse_at};
use crate::report::Trouble;

/// A pipeline that may be run, with the interval it is for.
pub struct Ready {
    pub definition: Definition,
    pub pipeline: Pipeline,
    pub interval: Interval,
}

impl Ready {
    /// Reads and checks the file, and finds the interval.
    pub fn load(argument: &PipelineArgument) -> Result<Self, Trouble> {
        let now = Timestamp::now();
        let (file, bytes) = read(&argument.pipeline)?;
        let params = params(&argument.params)?;
        // Text that is not UTF-8 is refused by the check, which says where.
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let source = SourceText::new(file, error.into_bytes());
                return Err(check(&source, &params, now, None)
                    .err()
                    .unwrap_or_else(|| Trouble::usage("not UTF-8")));
            }
        };
        let mut definition = Definition::new(file, text, params, now, env!("CARGO_PKG_VERSION"));
        if let Some(at) = &argument.at {
            let probe = Self::of(definition.clone(), None)?;
            definition.at = parse_at(at, &probe.pipeline.data.timezone).map_err(Trouble::usage)?;
        }
        Self::of(definition, None)
    }

    /// The same for a run that has its id.
    pub fn of(definition: Definition, run: Option<RunId>) -> Result<Self, Trouble> {
        match definition.resolve(run) {
            Ok((interval, loaded)) => Ok(Self { definition, pipeline: loaded.pipeline, interval }),
            Err(Refused::Pipeline(diagnostics)) => Err(refused(&diagnostics, &definition.source())),
            Err(Refused::Interval(why)) => Err(Trouble::usage(why)),
        }
    }

    /// Refuses steps in pools that the config does not declare.
    pub fn check_pools(&self, pools: BTreeSet<String>) -> Result<(), Trouble> {
        let Definition { params, at, .. } = &self.definition;
        check(&self.definition.source(), params, *at, Some(pools)).map(drop)
    }

    /// Prints what is probably not meant as it is written.
    pub fn warn(&self) {
        let Ok(loaded) = self.definition.load(self.interval, None) else { return };
        for warning in &loaded.warnings {
            anstream::eprintln!("{}\n", warning.render(&self.definition.source(), style()));
        }
    }
}

/// Checks a pipeline without anything else; gives its warnings, rendered.
pub fn check(
    source: &SourceText,
    params: &BTreeMap<String, String>,
    now: Timestamp,
    pools: Option<BTreeSet<String>>,
) -> Result<Vec<String>, Trouble> {
    let interval = Interval { start: now, end: now };
    let context = noctule_spec::Context { params: params.clone(), interval, run: None, now, pools };
    match noctule_spec::load(source, &context) {
        Ok(loaded) => Ok(loaded.warnings.iter().map(|warning| warning.render(source, style())).collect()),
        Err(diagnostics) => Err(refused(&diagnostics, source)),
    }
}

fn refused(diagnostics: &Diagnostics, source: &SourceText) -> Trouble {
    Trouble::diagnostics(diagnostics.render(source, style()))
}

/// Whether diagnostics are coloured.
pub fn style() -> Style {
    if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) {
        Style::Ansi
    } else {
        Style::Plain
    }
}

/// Reads a pipeline file whole.
pub fn read(path: &Path) -> Result<(String, Vec<u8>), Trouble> {
    read_file("pipeline", path)
}

/// Reads a file that a person wrote, and says what is wrong with one that cannot be read.
pub fn read_file(what: &str, path: &Path) -> Result<(String, Vec<u8>), Trouble> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::IsADirectory => "it is a folder: name a file in it".to_owned(),
            std::io::ErrorKind::PermissionDenied => "no permission to read it".to_owned(),
            _ => error.to_string(),
        };
        Trouble::usage(format!("the {what} `{shown}` cannot be read: {why}"))
    })?;
    Ok((shown, bytes))
}

/// Reads `--param name=value`.
pub fn params(given: &[String]) -> Result<BTreeMap<String, String>, Trouble> {
    let mut params = BTreeMap::new();
    for text in given {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            Trouble::usage(format!("`--param {text}` has no value: write --param name=value"))
        })?;
        if params.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(Trouble::usage(format!("`--param {name}=…` is given twice: keep one")));
        }
    }
    Ok(params)
}
