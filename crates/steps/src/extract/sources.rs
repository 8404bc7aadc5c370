//! A source as the settings write it, in the words of the crate that reads it.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::SignedDuration;
use noctule_artifacts::launch::{Interval, Listing};
use noctule_spec::kinds::extract::{
    ColumnType, Compression as SpecCompression, Encoding, Format as SpecFormat, Settings, Source, TimeUnit,
};
use noctule_tables::source::{
    Access, Address, ColumnWish, Compression, Format, Kind, Unit, Wanted, Writing, list,
};

use super::zone_of;
use crate::error::StepError;

/// Lists the objects of each source once, by its name in the settings. Relative paths are taken from the working
/// folder.
pub async fn list_sources(
    settings: &Settings,
    interval: Interval,
    timezone: &str,
) -> Result<BTreeMap<String, Listing>, StepError> {
    let zone = zone_of(timezone)?;
    let folder = std::env::current_dir().unwrap_or_default();
    let mut listings = BTreeMap::new();
    for (name, source) in &settings.sources {
        let address = Address::parse(&source.source, Path::new(&folder))?;
        listings.insert(
            name.clone(),
            list(&address, wanted(settings), interval, &zone, &Access::from_environment()).await?,
        );
    }
    Ok(listings)
}

/// Whether there is something at the address of a source.
pub async fn source_exists(address: &str) -> Result<bool, StepError> {
    let folder = std::env::current_dir().unwrap_or_default();
    let address = Address::parse(address, &folder)?;
    Ok(noctule_tables::source::exists(&address, &Access::from_environment()).await?)
}

fn wanted(settings: &Settings) -> Wanted {
    match (settings.window, settings.snapshot) {
        (Some(window), _) => {
            let seconds = i64::try_from(window.seconds()).unwrap_or(i64::MAX);
            Wanted::Window(SignedDuration::from_secs(seconds))
        }
        (None, Some(_)) => Wanted::Latest,
        (None, None) => Wanted::All,
    }
}

pub(super) fn writing(source: &Source) -> Writing {
    Writing {
        format: match source.format {
            SpecFormat::Auto => None,
            SpecFormat::Parquet => Some(Format::Parquet),
            SpecFormat::Csv => Some(Format::Csv),
            SpecFormat::Ndjson => Some(Format::Ndjson),
        },
        delimiter: source.delimiter.clone(),
        header: source.header,
        names: source.names.clone(),
        quote: source.quote.bytes().next(),
        latin1: source.encoding == Encoding::Latin1,
        compression: match source.compression {
            SpecCompression::Auto => None,
            SpecCompression::None => Some(Compression::None),
            SpecCompression::Gzip => Some(Compression::Gzip),
            SpecCompression::Zstd => Some(Compression::Zstd),
        },
    }
}

pub(super) fn wishes(source: &Source) -> Vec<ColumnWish> {
    let wish = |(name, column): (&String, &noctule_spec::kinds::extract::Column)| ColumnWish {
        name: name.clone(),
        from: column.from.clone(),
        kind: column.data_type.map(|kind| match kind {
            ColumnType::Integer => Kind::Integer,
            ColumnType::Float => Kind::Float,
            ColumnType::Text => Kind::Text,
            ColumnType::Boolean => Kind::Boolean,
            ColumnType::Timestamp => Kind::Time,
        }),
        unit: column.unit.map(|unit| match unit {
            TimeUnit::S => Unit::Seconds,
            TimeUnit::Ms => Unit::Milliseconds,
            TimeUnit::Us => Unit::Microseconds,
            TimeUnit::Ns => Unit::Nanoseconds,
        }),
    };
    source.columns.iter().map(wish).collect()
}
