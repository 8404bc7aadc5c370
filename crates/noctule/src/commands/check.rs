//! `noctule check`: pipeline files without running anything.

use jiff::Timestamp;
use noctule_spec::SourceText;
use serde_json::json;

use crate::cli::{Check, Global};
use crate::exit::Exit;
use crate::home::Home;
use crate::pipeline;
use crate::report::Trouble;

pub fn run(arguments: &Check, global: &Global) -> Result<Exit, Trouble> {
    let params = pipeline::params(&arguments.params)?;
    // Which pools there are is only known with the config.
    let pools = match &global.config {
        Some(config) => Some(Home::find(Some(config))?.pools()),
        None => None,
    };
    let mut exit = Exit::Done;
    let mut documents = Vec::new();
    for path in &arguments.pipelines {
        let checked = pipeline::read(path).and_then(|(name, bytes)| {
            pipeline::check(&SourceText::new(name, bytes), &params, Timestamp::now(), pools.clone())
        });
        let file = path.display().to_string();
        match checked {
            Ok(warnings) => {
                for warning in &warnings {
                    anstream::eprintln!("{warning}\n");
                }
                if !global.json {
                    anstream::eprintln!("{file}: good");
                }
                documents.push(json!({"file": file, "good": true, "warnings": warnings}));
            }
            Err(trouble) => {
                trouble.print();
                exit = Exit::Usage;
                documents.push(json!({"file": file, "good": false, "errors": trouble.message}));
            }
        }
    }
    if global.json {
        super::print_json(&json!(documents));
    }
    Ok(exit)
}
