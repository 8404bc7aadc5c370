//! What a form expects, in words.

use super::{Form, Shape, Wrapped};

/// What a form expects, with an article, to follow "expected".
pub(crate) fn expectation(form: &Form) -> String {
    match &form.shape {
        Shape::Text { .. } => "text".to_owned(),
        Shape::Boolean => "`true` or `false`".to_owned(),
        Shape::Integer { min, max } => format!("a whole number{}", integer_range(*min, *max)),
        Shape::Number { min, max } => format!("a number{}", number_range(*min, *max)),
        Shape::Word(words) => one_of(&words.iter().map(|word| word.name.as_str()).collect::<Vec<_>>()),
        Shape::Leaf { leaf, .. } => leaf.described().to_owned(),
        Shape::List { item, .. } => format!("a list (`[...]`), each item {}", expectation(item)),
        Shape::Mapping { .. } => "a mapping (`name: ...`)".to_owned(),
        Shape::Record(fields) => {
            let key = fields.first().map_or("key", |field| field.key.as_str());
            format!("a mapping (`{key}: ...`)")
        }
        Shape::Either { scalar, list, mapping } => {
            either_expectation(scalar.as_deref(), list.as_deref(), mapping.as_deref())
        }
        Shape::Raw => "a value".to_owned(),
    }
}

pub(super) fn either_expectation(
    scalar: Option<&Wrapped>,
    list: Option<&Wrapped>,
    mapping: Option<&Form>,
) -> String {
    let wrapped = [scalar, list].into_iter().flatten().map(|wrapped| expectation(&wrapped.form));
    wrapped.chain(mapping.map(expectation)).collect::<Vec<_>>().join(", or ")
}

pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [one] => format!("`{one}`"),
        _ => {
            format!("one of {}", words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
        }
    }
}

pub(super) fn integer_range(min: i128, max: i128) -> String {
    let huge = max >= i128::from(u32::MAX);
    match (min <= i128::from(i64::MIN), huge) {
        (true, true) => String::new(),
        (true, false) => format!(" up to {max}"),
        (false, true) => format!(" from {min} up"),
        (false, false) => format!(" from {min} to {max}"),
    }
}

pub(super) fn number_range(min: f64, max: f64) -> String {
    match (min.is_finite(), max.is_finite()) {
        (false, false) => String::new(),
        (false, true) => format!(" up to {max}"),
        (true, false) => format!(" from {min} up"),
        (true, true) => format!(" from {min} to {max}"),
    }
}
