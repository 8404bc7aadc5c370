//! `noctule explain`: a step kind, from its own declaration.

use serde_json::json;

use crate::cli::{Explain, Global};
use crate::exit::Exit;
use crate::report::Trouble;

pub fn run(arguments: &Explain, global: &Global) -> Result<Exit, Trouble> {
    let Some(kind) = &arguments.kind else {
        let kinds: Vec<_> = noctule_spec::kinds::names().collect();
        if global.json {
            super::print_json(&json!(kinds));
        } else {
            for kind in kinds {
                println!("{kind}");
            }
        }
        return Ok(Exit::Done);
    };
    let text = noctule_spec::explain(kind).map_err(|error| Trouble::usage(error.to_string()))?;
    if global.json {
        super::print_json(&json!({"kind": kind, "text": text}));
    } else {
        print!("{text}");
    }
    Ok(Exit::Done)
}
