//! `noctule demo`: the synthetic product's logs as files.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::csv::writer::WriterBuilder;
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use jiff::ToSpan;
use jiff::civil::Date;
use noctule_demo::{Address, Fault, Shop, Table, TextFaults};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::json;

use crate::cli::{Demo, DemoFormat};
use crate::exit::Exit;
use crate::report::Trouble;

pub fn run(arguments: &Demo, as_json: bool) -> Result<Exit, Trouble> {
    let address = Address::parse(&arguments.source)
        .map_err(|error| Trouble::usage(format!("--source {}: {error}", arguments.source)))?;
    let shop = Shop::new(address.settings).map_err(|error| Trouble::usage(error.to_string()))?;
    let until = arguments.until.unwrap_or_else(|| yesterday_of(jiff::Timestamp::now()));
    let folder = &arguments.folder;
    claim(folder)?;

    let mut faults: Vec<Fault> = Vec::new();
    let mut rows = 0;
    for back in (0..i64::from(arguments.days)).rev() {
        let day = until
            .checked_sub(back.days())
            .map_err(|_| Trouble::usage(format!("{back} days before {until} is no date")))?;
        let mut events = shop.events(day);
        let name = format!("events/date={day}");
        let mut broken = shop.text_faults(day);
        rows += write_table(folder, &name, arguments.format, Table::Events, &mut events, Some(&mut broken))?;
        faults.extend_from_slice(events.faults());
        faults.extend_from_slice(broken.faults());
    }
    for table in [Table::Items, Table::Users] {
        write_table(folder, table.name(), arguments.format, table, &mut shop.read(table, until), None)?;
    }
    faults.extend(shop.item_faults(until));
    put(&folder.join("faults.ndjson"), noctule_demo::to_ndjson(&faults).as_bytes())?;

    if as_json {
        println!(
            "{}",
            json!({"folder": folder, "until": until, "days": arguments.days, "events": rows, "faults": faults.len()})
        );
    } else {
        anstream::eprintln!(
            "{} events of {} days up to {until} are in {}; faults.ndjson names the {} that were planted.",
            crate::terminal::amounts::count(rows),
            arguments.days,
            folder.display(),
            crate::terminal::amounts::count(faults.len() as u64)
        );
    }
    Ok(Exit::Done)
}

fn yesterday_of(now: jiff::Timestamp) -> Date {
    let today = jiff::tz::TimeZone::UTC.to_datetime(now).date();
    today.yesterday().unwrap_or(today)
}

/// Makes the folder, and refuses one that holds anything: the demo never mixes with files of one's own.
fn claim(folder: &Path) -> Result<(), Trouble> {
    fs::create_dir_all(folder).map_err(|error| Trouble::file("make the folder", folder, error))?;
    let mut entries =
        fs::read_dir(folder).map_err(|error| Trouble::file("read the folder", folder, error))?;
    if entries.next().is_some() {
        return Err(Trouble::usage(format!(
            "{} is not empty: name a folder that is, or one that does not exist yet",
            folder.display()
        )));
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| Trouble::file("make the folder", parent, error))?;
    }
    fs::write(path, bytes).map_err(|error| Trouble::file("write", path, error))
}

/// Writes a table as one file; a table of text gets the broken lines that `broken` plants.
fn write_table(
    folder: &Path,
    name: &str,
    format: DemoFormat,
    table: Table,
    batches: &mut dyn Iterator<Item = RecordBatch>,
    mut broken: Option<&mut TextFaults>,
) -> Result<u64, Trouble> {
    let ending = match format {
        DemoFormat::Parquet => "parquet",
        DemoFormat::Csv => "csv",
        DemoFormat::Ndjson => "ndjson",
    };
    let path: PathBuf = folder.join(name).join(format!("part-0.{ending}"));
    put(&path, b"")?;
    let trouble = |error: &dyn std::fmt::Display| {
        Trouble::file("write", &path, std::io::Error::other(error.to_string()))
    };
    let file = File::create(&path).map_err(|error| Trouble::file("create", &path, error))?;
    let mut file = BufWriter::new(file);
    let mut rows = 0;
    let mut counted = batches.inspect(|batch| rows += batch.num_rows() as u64);
    if format == DemoFormat::Parquet {
        let level = ZstdLevel::try_new(3).expect("3 is a level of zstd");
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
        let mut writer =
            ArrowWriter::try_new(&mut file, table.schema(), Some(properties)).map_err(|e| trouble(&e))?;
        for batch in counted {
            writer.write(&batch).map_err(|e| trouble(&e))?;
        }
        writer.close().map_err(|e| trouble(&e))?;
    } else {
        let mut out = Vec::new();
        let header =
            text_of(format, &RecordBatch::new_empty(table.schema()), true).map_err(|e| trouble(&e))?;
        match &mut broken {
            Some(broken) => broken.pass(&header, &mut out),
            None => out.extend_from_slice(&header),
        }
        counted.try_for_each(|batch| {
            let lines = text_of(format, &batch, false).map_err(|e| trouble(&e))?;
            match &mut broken {
                Some(broken) => broken.plant(&lines, &mut out),
                None => out.extend_from_slice(&lines),
            }
            file.write_all(&out).map_err(|error| Trouble::file("write", &path, error))?;
            out.clear();
            Ok::<_, Trouble>(())
        })?;
        file.write_all(&out).map_err(|error| Trouble::file("write", &path, error))?;
    }
    file.flush().map_err(|error| Trouble::file("write", &path, error))?;
    Ok(rows)
}

/// A batch as lines; with `header`, the line that names the columns, in formats that have one.
fn text_of(format: DemoFormat, batch: &RecordBatch, header: bool) -> Result<Vec<u8>, ArrowError> {
    let mut lines = Vec::new();
    match format {
        DemoFormat::Csv => WriterBuilder::new().with_header(header).build(&mut lines).write(batch)?,
        _ => {
            let mut writer = LineDelimitedWriter::new(&mut lines);
            writer.write(batch)?;
            writer.finish()?;
        }
    }
    Ok(lines)
}
