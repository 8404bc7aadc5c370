//! How much a split sets apart.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{QuantityError, Share, Span};

/// How much a split sets apart: a span of time (`1d`), a share of the rows or users (`10%`), or each user's `last` row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    Span(Span),
    Share(Share),
    Last,
}

impl FromStr for Cut {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let text = text.trim();
        if text == "last" {
            return Ok(Self::Last);
        }
        let is_span =
            text.ends_with(|c: char| c.is_ascii_alphabetic()) && text.contains(|c: char| c.is_ascii_digit());
        if is_span {
            return text.parse().map(Self::Span);
        }
        text.parse().map(Self::Share).map_err(|error: QuantityError| match error.0.as_str() {
            "is not a share" => QuantityError("is neither a span of time nor a share".to_owned()),
            _ => error,
        })
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Span(span) => span.fmt(f),
            Self::Share(share) => share.fmt(f),
            Self::Last => f.pad("last"),
        }
    }
}

impl JsonSchema for Cut {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cut".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "x-noctule": "cut"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_which_it_is() {
        assert_eq!("1d".parse::<Cut>().unwrap(), Cut::Span(Span::from_seconds(86_400)));
        assert_eq!("10%".parse::<Cut>().unwrap(), Cut::Share(Share::new(0.1).unwrap()));
        assert_eq!("0.1".parse::<Cut>().unwrap(), Cut::Share(Share::new(0.1).unwrap()));
        assert_eq!("last".parse::<Cut>().unwrap(), Cut::Last);
        for (text, reason) in [
            ("soon", "neither"),
            ("1 day", "has the unit `day`"),
            ("10", "did you mean `10%`"),
            ("", "neither"),
        ] {
            let error = text.parse::<Cut>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn the_canonical_form_names_the_shape() {
        let json = |cut: Cut| serde_json::to_string(&cut).unwrap();
        assert_eq!(json(Cut::Span(Span::from_seconds(60))), r#"{"span":60}"#);
        assert_eq!(json(Cut::Share(Share::new(0.5).unwrap())), r#"{"share":0.5}"#);
        assert_eq!(json(Cut::Last), r#""last""#);
    }
}
