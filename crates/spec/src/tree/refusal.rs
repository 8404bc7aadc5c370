//! Why a text is no YAML that is read here, in words for those who wrote it.

use serde_yaml::Error;
use serde_yaml::budget::BudgetBreach;

use super::read::{bounds, range_of};
use crate::diagnostic::{Code, Diagnostic};
use crate::words::quoted;

/// The diagnostic for what stopped the parser.
pub(super) fn refusal(text: &str, error: &Error) -> Diagnostic {
    let error = error.without_snippet();
    let (code, message, help) = worded(text, error);
    let diagnostic = Diagnostic::error(code, message).maybe_help(help);
    match error.location() {
        Some(location) => diagnostic.at(range_of(text, location), ""),
        None => diagnostic,
    }
}

type Words = (Code, String, Option<String>);

fn worded(text: &str, error: &Error) -> Words {
    let syntax = |message: &str, help: &str| {
        (Code::Syntax, message.to_owned(), (!help.is_empty()).then(|| help.to_owned()))
    };
    match error {
        Error::Budget { breach, .. } => too_complex(breach),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => {
            (Code::TooComplex, unfolds_too_far(), Some(WRITE_OUT.to_owned()))
        }
        Error::MultipleDocuments { .. } => syntax(
            "a second document begins here, and a file holds one",
            "remove the `---`, or make two files of it",
        ),
        Error::UnknownAnchor { .. } => {
            syntax("this alias names an anchor that is not defined above it", "define it first, as `&name`")
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            syntax("this alias stands inside the very thing that it names", "remove the alias")
        }
        Error::MergeValueNotMapOrSeqOfMaps { .. } => syntax(
            "`<<` merges a mapping, and this is none",
            "write `<<: *name` with the anchor of a mapping",
        ),
        Error::UnsupportedTag { .. } | Error::InvalidBinaryBase64 { .. } | Error::BinaryNotUtf8 { .. } => {
            syntax("YAML tags (`!name`) have no meaning here", "remove the tag")
        }
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => worded(text, error),
        Error::Eof { .. } => syntax("the file ends in the middle of something", ""),
        other => scanner(text, &other.to_string()),
    }
}

fn too_complex(breach: &BudgetBreach) -> Words {
    let message = match breach {
        BudgetBreach::Depth { .. } => too_deep(),
        BudgetBreach::Aliases { .. } | BudgetBreach::MergeKeys { .. } => {
            format!("there are more than {} aliases", bounds::ALIASES)
        }
        BudgetBreach::Anchors { .. } => format!("there are more than {} anchors", bounds::ANCHORS),
        BudgetBreach::Documents { .. } => "a file holds one document".to_owned(),
        _ => unfolds_too_far(),
    };
    (Code::TooComplex, message, None)
}

const WRITE_OUT: &str = "write the values out, or use `defaults:` and `params:`";

fn unfolds_too_far() -> String {
    format!("the file unfolds to more than {} values", bounds::NODES)
}

fn too_deep() -> String {
    format!("lists and mappings are nested more than {} deep here", bounds::DEPTH)
}

/// Parts of the parser's own texts, what they mean to the one who wrote the file, and what to do.
const SCANNER: [(&str, &str, &str); 23] = [
    (
        "mapping values are not allowed",
        "a `:` followed by a space starts a value, and none can start here",
        "put text that holds `: ` in quotes, and check the indentation",
    ),
    ("mismatched bracket", "this bracket is closed by one of another kind", "close it with its own kind"),
    ("unclosed bracket", "this bracket is never closed", "close it, or put the text in quotes"),
    ("unclosed quote", "this quote is never closed", "close it"),
    ("tabs disallowed", "a tab cannot indent", "use spaces"),
    ("tab cannot", "a tab cannot indent", "use spaces"),
    ("found a tab", "a tab cannot stand here", "use spaces"),
    ("trailing content", "there is more text after the closing quote", "put all of it inside the quotes"),
    ("unexpected character", "this character cannot begin a value", "put the text in quotes"),
    ("expected '-'", "this is not indented like the list items before it", "check the indentation"),
    ("expected key", "a `key: value` is expected here", "check the indentation"),
    (
        "mapping keys are not allowed",
        "a key cannot stand here",
        "check the indentation, or put the text in quotes",
    ),
    ("expected ',' or", "a comma or a closing bracket is missing before this", ""),
    ("simple key expected", "this key has no `:`, or is longer than 1024 characters", "write `key: value`"),
    ("sequence entries", "a list item cannot start here", "put the list on lines of its own, below its key"),
    ("expected node content", "a value is expected here", ""),
    ("document indicator", "`---` or `...` stands inside a text in quotes", "close the quote before it"),
    (
        "invalid indentation",
        "this line is not indented deeper than what it belongs to",
        "check the indentation",
    ),
    ("directive", "YAML directives (`%...`) are not read", "remove the line"),
    ("anchor", "an anchor or alias is malformed here", "write `&name` and `*name`"),
    (
        "quoted scalar",
        "this text in double quotes has an unknown `\\` escape",
        "use single quotes, or double the backslash",
    ),
    ("unexpected EOF", "the file ends in the middle of something", ""),
    ("a tag", "YAML tags (`!name`) have no meaning here", "remove the tag"),
];

fn scanner(text: &str, parsers_words: &str) -> Words {
    if parsers_words.contains("recursion limit") || parsers_words.contains("nesting limit") {
        return (Code::TooComplex, too_deep(), None);
    }
    if text.contains('\0') {
        return (
            Code::Syntax,
            "there is a NUL character in the file".to_owned(),
            Some("is it a text file?".to_owned()),
        );
    }
    for (part, message, help) in SCANNER {
        if parsers_words.contains(part) {
            return (Code::Syntax, message.to_owned(), (!help.is_empty()).then(|| help.to_owned()));
        }
    }
    let detail = parsers_words.split(" at line ").next().unwrap_or_default();
    (Code::Syntax, format!("this is not YAML: {}", quoted(detail)), None)
}
