//! What can be said about SQL without a planner: it is there, it is one statement, and it gives the same each time.

/// Functions that give something else on each run.
const UNSTEADY: [&str; 9] = [
    "now",
    "random",
    "uuid",
    "current_date",
    "current_time",
    "current_timestamp",
    "today",
    "localtime",
    "localtimestamp",
];

/// Those that SQL calls without parentheses.
const BARE: [&str; 5] = ["current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"];

/// Checks a condition for `where`.
pub(crate) fn condition(text: &str) -> Result<(), String> {
    let words = words(text)?;
    if words.is_empty() {
        return Err("is empty".to_owned());
    }
    if words[0].is("where") {
        return Err("begins with `WHERE`; write the condition alone".to_owned());
    }
    if words[0].is("select") {
        return Err("is a query; put it under `sql`, and the condition alone here".to_owned());
    }
    steady(&words)
}

/// Checks a query for `sql`.
pub(crate) fn select(text: &str) -> Result<(), String> {
    let words = words(text)?;
    match words.first() {
        None => return Err("is empty".to_owned()),
        Some(first) if first.is("select") || first.is("with") || first.text == "(" => {}
        Some(_) => return Err("is not a query; it begins with `SELECT` or `WITH`".to_owned()),
    }
    steady(&words)
}

fn steady(words: &[Word<'_>]) -> Result<(), String> {
    for (index, word) in words.iter().enumerate() {
        if word.text == ";" && index + 1 < words.len() {
            return Err("has more than one statement".to_owned());
        }
        let called = words.get(index + 1).is_some_and(|next| next.text == "(");
        let qualified = index > 0 && words[index - 1].text == ".";
        let unsteady = UNSTEADY.iter().find(|name| word.is(name));
        if let Some(name) = unsteady.filter(|name| !qualified && (called || BARE.contains(name))) {
            return Err(format!(
                "calls `{name}`, so no two runs would see the same; write `{{{{ interval.end }}}}` for the time \
                 of the run's data"
            ));
        }
    }
    Ok(())
}

/// A word or a sign of SQL. Literals are left out, but for what stands in their place.
struct Word<'a> {
    text: &'a str,
    /// Whether it is a literal or a quoted name, which is never a keyword or function.
    literal: bool,
}

impl Word<'_> {
    fn is(&self, name: &str) -> bool {
        !self.literal && self.text.eq_ignore_ascii_case(name)
    }
}

fn words(text: &str) -> Result<Vec<Word<'_>>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").ok_or("has a comment that does not end")? + 2
        } else if first == '\'' || first == '"' {
            let end = closing(rest, first).ok_or_else(|| format!("has a {first} that is never closed"))?;
            words.push(Word { text: &rest[..end], literal: true });
            end
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            words.push(Word { text: &rest[..end], literal: false });
            end
        } else {
            let end = first.len_utf8();
            words.push(Word { text: &rest[..end], literal: false });
            end
        };
        rest = rest[length..].trim_start();
    }
    Ok(words)
}

/// The position after the closing quote; a doubled quote stands for itself.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut from = 1;
    loop {
        let end = from + text[from..].find(quote)? + 1;
        if !text[end..].starts_with(quote) {
            return Some(end);
        }
        from = end + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_conditions_pass() {
        for good in [
            "event = 'watch' AND watch_share >= 0.5",
            "name = 'now()' -- now()",
            "\"random\" > 3",
            "random > 3",
            "t.now = 1",
            "note = 'it''s /* fine'",
            "time < timestamp '2026-01-01'",
        ] {
            assert_eq!(condition(good), Ok(()), "{good}");
        }
        for good in ["SELECT * FROM source", "with a as (select 1) select * from a;", "(select 1)"] {
            assert_eq!(select(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_changes_from_run_to_run_is_refused() {
        for (text, reason) in [
            ("time > now()", "calls `now`"),
            ("x < RANDOM ()", "calls `random`"),
            ("day = CURRENT_DATE", "calls `current_date`"),
            ("", "is empty"),
            ("  -- nothing\n", "is empty"),
            ("WHERE a = 1", "condition alone"),
            ("select 1", "put it under `sql`"),
            ("a = 'x", "never closed"),
            ("a = 1; drop table x", "more than one"),
            ("a /* b", "does not end"),
        ] {
            let error = condition(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert!(select("DELETE FROM source").unwrap_err().contains("not a query"));
        assert!(select("select now()").unwrap_err().contains("calls `now`"));
    }
}
