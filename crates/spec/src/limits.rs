//! `limits` and `pools`: how many attempts may be live at a time.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Code, Diagnostic};
use crate::draft::Draft;
use crate::words::{meant_or_listed, quoted};

/// How many attempts may be live at a time, of all runs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Live attempts at most, of all runs together. Without it as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub attempts: Option<u32>,
}

/// Reports every step that takes a slot of a pool that nobody declared.
pub(crate) fn check_pools(drafts: &[Draft], pools: &BTreeSet<String>, findings: &mut Vec<Diagnostic>) {
    let known: Vec<&str> = pools.iter().map(String::as_str).collect();
    for draft in drafts {
        let (Some(pool), Some(at)) = (&draft.pool, &draft.pool_at) else {
            continue;
        };
        if pools.contains(pool) {
            continue;
        }
        let help = match meant_or_listed(pool, &known) {
            Some(help) => help,
            None => format!("declare it in the configuration: `pools: {{{pool}: 1}}`"),
        };
        findings.push(
            Diagnostic::error(Code::BadValue, format!("the configuration declares no pool {}", quoted(pool)))
                .at(at.clone(), "")
                .help(help),
        );
    }
}
