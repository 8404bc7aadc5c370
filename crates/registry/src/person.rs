//! A person who moves an alias, and why.

use noctule_artifacts::version::PromotedBy;

use crate::refusal::Refusal;

/// A named person with a reason: the only author of a promotion besides a run that passed its gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    name: String,
    reason: String,
}

const NAME_RULE: &str = "1 to 200 characters on one line, such as a login name";
const REASON_RULE: &str = "1 to 2,000 characters that the next reader of the history can act on";

impl Person {
    /// Surrounding white space is dropped; what is left must not be empty, and the name must be one line.
    pub fn new(name: &str, reason: &str) -> Result<Self, Refusal> {
        let (name, reason) = (name.trim(), reason.trim());
        if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
            return Err(Refusal::Person { what: "name", rule: NAME_RULE });
        }
        let stray = |c: char| c.is_control() && c != '\n' && c != '\t';
        if reason.is_empty() || reason.chars().count() > 2000 || reason.chars().any(stray) {
            return Err(Refusal::Person { what: "reason", rule: REASON_RULE });
        }
        Ok(Self { name: name.to_owned(), reason: reason.to_owned() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<Person> for PromotedBy {
    fn from(person: Person) -> Self {
        Self::Person { name: person.name, reason: person.reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_without_a_reason_is_refused() {
        assert!(Person::new("ada", "the new one loops").is_ok());
        assert!(Person::new("ada", "first line\nsecond line").is_ok());
        for (name, reason) in
            [("", "x"), ("  ", "x"), ("ada", ""), ("ada", " \n"), ("a\nb", "x"), ("a", "\u{1b}[2J")]
        {
            assert!(Person::new(name, reason).is_err(), "{name:?} {reason:?}");
        }
        assert!(Person::new("ada", &"x".repeat(2001)).is_err());
    }
}
