//! Texts with a grammar of their own.

use core::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use jiff::tz::TimeZoneDatabase;
use noctule_artifacts::StepName;
use serde::Serialize;
use serde_json::Value;

use crate::cron_line::CronLine;
use crate::metric::{Measure, Metric};
use crate::reference::{ModelReference, Reference};
use crate::sql;
use crate::units::{Change, Cpu, Cut, Share, Size, Span};
use crate::words::{meant_or_listed, nearest};

/// The grammar of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf {
    Span,
    Share,
    Change,
    Size,
    Cpu,
    Cut,
    Cron,
    Timezone,
    Name,
    Reference,
    Model,
    Metric,
    Id,
    Address,
    Secret,
    Source,
    Condition,
    Select,
}

/// Why a text was refused, worded to follow it, and the remedy where it is not in those words already.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) why: String,
    pub(crate) help: Option<String>,
}

impl Refused {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), help: None }
    }

    fn help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

impl Leaf {
    pub(super) const ALL: [(&'static str, Leaf); 18] = [
        ("span", Self::Span),
        ("share", Self::Share),
        ("change", Self::Change),
        ("size", Self::Size),
        ("cpu", Self::Cpu),
        ("cut", Self::Cut),
        ("cron", Self::Cron),
        ("timezone", Self::Timezone),
        ("name", Self::Name),
        ("reference", Self::Reference),
        ("model", Self::Model),
        ("metric", Self::Metric),
        ("id", Self::Id),
        ("address", Self::Address),
        ("secret", Self::Secret),
        ("source", Self::Source),
        ("condition", Self::Condition),
        ("select", Self::Select),
    ];

    /// What it is, with an article and an example, to follow "expected".
    pub(crate) const fn described(self) -> &'static str {
        match self {
            Self::Span => "a span of time, such as `28d` or `1h30m`",
            Self::Share => "a share, such as `10%` or `0.1`",
            Self::Change => "a relative change, such as `-30%`",
            Self::Size => "a size, such as `4Gi` or `512Mi`",
            Self::Cpu => "a number of cores, such as `2` or `500m`",
            Self::Cut => "a span of time or a share, such as `1d` or `10%`, or `last`",
            Self::Cron => "five crontab fields, such as `15 2 * * *`",
            Self::Timezone => "a time zone, such as `Europe/Berlin`",
            Self::Name => "a name of lower-case letters, digits, `-` and `_`",
            Self::Reference => "another step's output, such as `unique` or `split.train`",
            Self::Model => "a model: a step, `name@alias`, `name@3` or `popularity`",
            Self::Metric => "a metric, such as `ndcg@20`",
            Self::Id => "an id",
            Self::Address => "an IP address and a port, such as `127.0.0.1:8642`",
            Self::Secret => "the name of a secret",
            Self::Source => "a path or a URL",
            Self::Condition => "an SQL condition, such as `event = 'watch'`",
            Self::Select => "an SQL query, such as `SELECT user, item FROM source`",
        }
    }

    /// Reads a text into its canonical form.
    pub(crate) fn read(self, text: &str) -> Result<Value, Refused> {
        match self {
            Self::Span => parsed::<Span>(text),
            Self::Share => parsed::<Share>(text),
            Self::Change => parsed::<Change>(text),
            Self::Size => parsed::<Size>(text),
            Self::Cpu => parsed::<Cpu>(text),
            Self::Cut => parsed::<Cut>(text),
            Self::Cron => parsed::<CronLine>(text),
            Self::Reference => parsed::<Reference>(text),
            Self::Model => parsed::<ModelReference>(text),
            Self::Metric => metric(text),
            Self::Timezone => timezone(text),
            Self::Name | Self::Secret => name(text),
            Self::Id => Ok(text.into()),
            Self::Address => address(text),
            Self::Source => source(text),
            Self::Condition => sql::condition(text).map(|()| text.into()).map_err(Refused::new),
            Self::Select => sql::select(text).map(|()| text.into()).map_err(Refused::new),
        }
    }

    /// The canonical form as a person would write it.
    pub(crate) fn write(self, canonical: &Value) -> String {
        fn shown<T: serde::de::DeserializeOwned + std::fmt::Display>(value: &Value) -> String {
            serde_json::from_value::<T>(value.clone())
                .map_or_else(|_| value.to_string(), |read| read.to_string())
        }
        match self {
            Self::Span => shown::<Span>(canonical),
            Self::Share => shown::<Share>(canonical),
            Self::Change => shown::<Change>(canonical),
            Self::Size => shown::<Size>(canonical),
            Self::Cpu => shown::<Cpu>(canonical),
            Self::Cut => shown::<Cut>(canonical),
            _ => canonical.as_str().map_or_else(|| canonical.to_string(), str::to_owned),
        }
    }
}

fn parsed<T>(text: &str) -> Result<Value, Refused>
where
    T: FromStr<Err: std::fmt::Display> + Serialize,
{
    let value = text.parse::<T>().map_err(|error| Refused::new(error.to_string()))?;
    Ok(serde_json::to_value(value).expect("a quantity or name is a JSON scalar or a map with text keys"))
}

/// Metrics' names in other tools.
const OTHER_NAMES: [(&str, &str); 6] = [
    ("hr", "hit"),
    ("hit_rate", "hit"),
    ("hitrate", "hit"),
    ("roc_auc", "auc"),
    ("rocauc", "auc"),
    ("rr", "mrr"),
];

fn metric(text: &str) -> Result<Value, Refused> {
    parsed::<Metric>(text).map_err(|refused| {
        let (name, k) = text.split_once('@').unwrap_or((text, ""));
        let names: Vec<&str> = Measure::ALL.iter().map(|measure| measure.name()).collect();
        if names.contains(&name) {
            return refused;
        }
        let lower = name.to_lowercase();
        let other = OTHER_NAMES.iter().find(|(other, _)| *other == lower).map(|(_, ours)| *ours);
        let near = other.or_else(|| nearest(name, names.iter().copied()));
        refused.help(match near {
            Some(near @ "auc") => Some(format!("did you mean `{near}`?")),
            Some(near) if k.is_empty() => Some(format!("did you mean `{near}`?")),
            Some(near) => Some(format!("did you mean `{near}@{}`?", k.chars().take(8).collect::<String>())),
            None => meant_or_listed(name, &names),
        })
    })
}

fn name(text: &str) -> Result<Value, Refused> {
    match text.parse::<StepName>() {
        Ok(_) => Ok(text.into()),
        Err(error) => {
            let plain: String = text
                .to_lowercase()
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
                .collect();
            let plain = plain.trim_matches('-');
            let usable = plain.parse::<StepName>().is_ok() && plain != text;
            Err(Refused::new(format!("cannot be a name: {}", error.rule))
                .help(usable.then(|| format!("did you mean `{plain}`?"))))
        }
    }
}

fn timezone(text: &str) -> Result<Value, Refused> {
    let zones = TimeZoneDatabase::bundled();
    if let Ok(zone) = zones.get(text) {
        return Ok(zone.iana_name().unwrap_or(text).into());
    }
    let known: Vec<String> = zones.available().map(|name| name.to_string()).collect();
    // People write the city alone.
    let city = format!("/{}", text.replace(' ', "_").to_lowercase());
    let by_city = known.iter().map(String::as_str).find(|name| name.to_lowercase().ends_with(&city));
    let near = by_city.or_else(|| nearest(text, known.iter().map(String::as_str)));
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write the name of an IANA zone, such as `UTC` or `Europe/Berlin`".to_owned(),
    };
    Err(Refused::new("is not a time zone").help(Some(help)))
}

fn address(text: &str) -> Result<Value, Refused> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address.to_string().into());
    }
    let port = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let help = match port {
        Some(("localhost", port)) => format!("did you mean `127.0.0.1:{port}`?"),
        Some(("" | "*", port)) => format!("write `0.0.0.0:{port}` for all of the machine's addresses"),
        _ if text.parse::<IpAddr>().is_ok() => "add a port, such as `127.0.0.1:8642`".to_owned(),
        _ => "write an IP address and a port, such as `127.0.0.1:8642`".to_owned(),
    };
    Err(Refused::new("is not an IP address with a port").help(Some(help)))
}

const SCHEMES: [&str; 7] = ["demo", "file", "s3", "gs", "az", "https", "http"];
const DEMO_TABLES: [&str; 3] = ["events", "items", "users"];

/// Scheme and place are checked here; whether anything is there is found out when the run lists it.
fn source(text: &str) -> Result<Value, Refused> {
    if text.trim().is_empty() {
        return Err(Refused::new("is empty").help(Some("name a file, a folder or a URL".to_owned())));
    }
    if let Some(character) = text.chars().find(|c| c.is_control()) {
        return Err(Refused::new(format!("has the control character {}", character.escape_default())));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok(text.into());
    };
    if !SCHEMES.contains(&scheme) {
        return Err(Refused::new(format!("has the scheme `{scheme}`, which cannot be read"))
            .help(meant_or_listed(scheme, &SCHEMES)));
    }
    if rest.is_empty() || (rest.starts_with('/') && scheme != "file") {
        return Err(Refused::new(format!("names no place after `{scheme}://`")));
    }
    if scheme == "demo" {
        demo(rest)?;
    }
    Ok(text.into())
}

fn demo(rest: &str) -> Result<(), Refused> {
    // `{{ params.source }}/events` puts the table behind the settings of a source that has some.
    let (place, settings) = rest.split_once('?').unwrap_or((rest, ""));
    let behind = settings.rsplit_once('/').map(|(_, table)| table).filter(|_| place == "shop");
    let Some(table) = place.strip_prefix("shop/").or(behind) else {
        return Err(Refused::new("names no table of the synthetic product").help(Some(
            "write `demo://shop/events`, `demo://shop/items` or `demo://shop/users`".to_owned(),
        )));
    };
    if DEMO_TABLES.contains(&table) {
        return Ok(());
    }
    Err(Refused::new("names no table of the synthetic product").help(meant_or_listed(table, &DEMO_TABLES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(leaf: Leaf, text: &str) -> String {
        let Refused { why, help } = leaf.read(text).unwrap_err();
        format!("{why}; {}", help.unwrap_or_default())
    }

    #[test]
    fn canonical_and_written_forms_meet() {
        for (leaf, text) in [
            (Leaf::Span, "28d"),
            (Leaf::Share, "10%"),
            (Leaf::Change, "-30%"),
            (Leaf::Size, "4Gi"),
            (Leaf::Cpu, "500m"),
            (Leaf::Cut, "1d"),
            (Leaf::Cut, "last"),
            (Leaf::Timezone, "Europe/Berlin"),
            (Leaf::Metric, "ndcg@20"),
            (Leaf::Cron, "15 2 * * *"),
            (Leaf::Address, "127.0.0.1:8642"),
        ] {
            assert_eq!(leaf.write(&leaf.read(text).unwrap()), text);
        }
    }

    #[test]
    fn zones_are_known_and_near_ones_are_named() {
        assert_eq!(Leaf::Timezone.read("europe/berlin").unwrap(), "Europe/Berlin");
        assert!(refused(Leaf::Timezone, "Europe/Berln").contains("did you mean `Europe/Berlin`"));
        assert!(refused(Leaf::Timezone, "berlin").contains("did you mean `Europe/Berlin`"));
        assert!(refused(Leaf::Timezone, "").contains("IANA"));
    }

    #[test]
    fn sources_have_a_scheme_that_can_be_read() {
        for good in [
            "data/*.parquet",
            "demo://shop/events",
            "demo://shop?users=100&seed=3/events",
            "demo://shop/items?seed=3",
            "file:///x",
            "s3://b/k",
            "C:\\x",
        ] {
            assert!(Leaf::Source.read(good).is_ok(), "{good}");
        }
        assert!(refused(Leaf::Source, "s4://b/k").contains("did you mean `s3`"));
        assert!(refused(Leaf::Source, "demo://shop/evnts").contains("did you mean `events`"));
        assert!(refused(Leaf::Source, "demo://store/events").contains("demo://shop/events"));
        assert!(refused(Leaf::Source, "s3://").contains("names no place"));
        assert!(refused(Leaf::Source, " ").contains("is empty"));
        assert!(refused(Leaf::Source, "a\0b").contains("control character"));
    }

    #[test]
    fn metrics_of_other_tools_are_recognised() {
        assert!(refused(Leaf::Metric, "hr@10").contains("did you mean `hit@10`"));
        assert!(refused(Leaf::Metric, "ROC_AUC").contains("did you mean `auc`"));
        assert!(refused(Leaf::Metric, "ndgc@10").contains("did you mean `ndcg@10`"));
        assert!(refused(Leaf::Metric, "zzz").contains("one of `ndcg`"));
    }

    #[test]
    fn a_name_that_is_nearly_one_is_offered() {
        assert!(refused(Leaf::Name, "Home Feed").contains("did you mean `home-feed`"));
        assert!(!refused(Leaf::Name, "ß").contains("did you mean"));
    }
}
