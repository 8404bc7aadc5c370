//! The grammar of the command line. What each command does stands in `commands/<command>.rs`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use jiff::Timestamp;
use noctule_artifacts::{AliasName, ModelName, PipelineName, StepName, VersionNumber};
use noctule_store::TokenRole;

/// Retrains recommender models every night, and publishes one only when it has earned it.
#[derive(Debug, Parser)]
#[command(name = "noctule", version, max_term_width = 110, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub global: Global,
}

#[derive(Debug, Args)]
pub struct Global {
    /// Config file; without it `.noctule/config.yaml` if there is one, else the built-in local config
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Speak to the server at this URL instead of opening the state here: for all commands about runs, models and
    /// schedules
    #[arg(long, global = true, value_name = "URL", env = "NOCTULE_SERVER")]
    pub server: Option<String>,
    /// File with the token for the server; without it the variable `NOCTULE_TOKEN` has it
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
    /// Print one JSON document on standard output instead of a page for people
    #[arg(long, global = true)]
    pub json: bool,
    /// Show noctule's own log on standard error: -v what it does, -vv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a pipeline here and now; with --server, one that the server has loaded
    Run(Run),
    /// Check pipeline files without running anything
    Check(Check),
    /// Show the steps of a pipeline, and which would run or be reused, and why
    Plan(Plan),
    /// List runs, newest first
    Runs(Runs),
    /// Show one run: steps, attempts, times, metrics, verdict
    Show(RunArgument),
    /// Print what a step's attempts wrote
    Logs(Logs),
    /// Cancel a run that is going on
    Cancel(Cancel),
    /// Finish a run that was interrupted, cancelled or has failed, without repeating finished steps
    Resume(Resume),
    /// Run a step of a run that has ended once more, and all that follow it
    Rerun(StepArgument),
    /// Say that a failed step of a run is not to count
    Ignore(StepArgument),
    /// Say why a step was run or reused
    Why(Why),
    /// Run schedules and backfills of a folder of pipelines, and the API
    Serve(Serve),
    /// List the pipelines that a server has loaded
    Pipelines(Pipelines),
    /// Print when a pipeline runs next, or what became of its past occurrences
    Schedule(Schedule),
    /// Let a schedule begin nothing until `unpause`
    Pause(Paused),
    /// Let a paused schedule go on
    Unpause(Paused),
    /// Run a pipeline for every interval of a range
    Backfill(Backfill),
    /// Erase users: block them from later extracts, and look for what holds their rows
    Erase(Erase),
    /// Tokens, audit, and care of the database
    #[command(subcommand)]
    Admin(Admin),
    /// Look after published models
    #[command(subcommand)]
    Models(Models),
    /// Probe store, database and machine: what works, what does not, what to do
    Doctor,
    /// Sweep away what no model, run or pipeline needs
    Prune(Prune),
    /// Print the JSON schema of pipeline files
    Schema,
    /// Explain a step kind: settings, defaults, ranges, outputs
    Explain(Explain),
    /// Write the synthetic product's logs as files
    Demo(Demo),
    /// Print a completion script for a shell
    Completions { shell: Shell },
    /// Carry out one attempt of a step; what a child process runs
    #[command(hide = true)]
    Step(Step),
    /// Watch over one attempt's process; what the local launcher runs
    #[command(hide = true)]
    Supervise(Supervise),
}

#[derive(Debug, Args)]
pub struct PipelineArgument {
    /// Pipeline file; with --server, the name of a pipeline
    #[arg(value_hint = ValueHint::FilePath)]
    pub pipeline: PathBuf,
    /// Set a parameter; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// The moment to run for, such as 2026-11-23 or 2026-11-23T02:15:00Z: the run covers the last whole interval
    /// that ended by then. Without it, now
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
}

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub pipeline: PipelineArgument,
    /// Why; it stands in the run and in the audit table
    #[arg(long)]
    pub why: Option<String>,
    /// With --server: print the run's id and do not wait for it
    #[arg(long)]
    pub detach: bool,
    /// How many steps may run side by side
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub parallel: Option<u32>,
}

#[derive(Debug, Args)]
pub struct Check {
    /// Pipeline files
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    pub pipelines: Vec<PathBuf>,
    /// Set a parameter; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub pipeline: PipelineArgument,
}

#[derive(Debug, Args)]
pub struct Runs {
    /// Only runs of this pipeline
    #[arg(long)]
    pub pipeline: Option<PipelineName>,
    /// Only runs that stand so, such as `failed`; may be given several times
    #[arg(long = "status", value_name = "STATUS")]
    pub statuses: Vec<String>,
    /// How many at the most
    #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

#[derive(Debug, Args)]
pub struct RunArgument {
    /// Run id, or the beginning of one; `last` is the newest run
    #[arg(default_value = "last")]
    pub run: String,
}

#[derive(Debug, Args)]
pub struct Cancel {
    #[command(flatten)]
    pub run: RunArgument,
    /// Give nothing time to finish
    #[arg(long)]
    pub at_once: bool,
    /// Why; it stands in the run's log
    #[arg(long)]
    pub why: Option<String>,
}

#[derive(Debug, Args)]
pub struct StepArgument {
    /// Run id, or the beginning of one; `last` is the newest run
    pub run: String,
    pub step: StepName,
    /// Why; it stands in the run's log
    #[arg(long)]
    pub why: String,
    /// With --server: do not wait for the run
    #[arg(long)]
    pub detach: bool,
}

#[derive(Debug, Args)]
pub struct Logs {
    /// Run id, or the beginning of one; `last` is the newest run
    pub run: String,
    /// Only this step
    pub step: Option<StepName>,
    /// Only this attempt; without it, the last
    #[arg(long, requires = "step")]
    pub attempt: Option<noctule_artifacts::AttemptNumber>,
    /// Go on printing while the run goes on
    #[arg(short, long)]
    pub follow: bool,
}

#[derive(Debug, Args)]
pub struct Resume {
    #[command(flatten)]
    pub run: RunArgument,
    /// Why; it stands in the run's log
    #[arg(long)]
    pub why: Option<String>,
    /// With --server: do not wait for the run
    #[arg(long)]
    pub detach: bool,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Write the address that the API listens on to this file once it does
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub port_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Pipelines {
    /// Only this pipeline, with what it has going
    pub pipeline: Option<PipelineName>,
}

#[derive(Debug, Args)]
pub struct Schedule {
    /// Pipeline file, or the name of a pipeline that a server has loaded
    #[arg(value_hint = ValueHint::FilePath)]
    pub pipeline: PathBuf,
    /// List what was due before instead, and what became of it
    #[arg(long)]
    pub past: bool,
    /// How many at the most
    #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
}

#[derive(Debug, Args)]
pub struct Paused {
    pub pipeline: PipelineName,
    /// Why; it stands beside the schedule and in the audit table
    #[arg(long)]
    pub why: String,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Backfill {
    #[command(subcommand)]
    pub command: Option<BackfillCommand>,
    #[command(flatten)]
    pub wish: Option<BackfillWish>,
}

#[derive(Debug, Args)]
pub struct BackfillWish {
    /// The name of a pipeline that a server has loaded
    pub pipeline: PipelineName,
    /// The begin of the range, such as 2026-10-01: the first interval begins then or later
    #[arg(long, value_name = "TIME")]
    pub from: String,
    /// The end of the range: the last interval ends then or earlier
    #[arg(long, value_name = "TIME")]
    pub to: String,
    /// Which interval comes first
    #[arg(long, default_value = "oldest")]
    pub order: Order,
    /// How many of its runs may be live at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub at_once: u32,
    /// Let its candidates become champions; without it they become versions, and no alias is moved
    #[arg(long)]
    pub promote: bool,
    /// Only list the intervals
    #[arg(long)]
    pub dry_run: bool,
    /// Set a parameter; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// Why; it stands in the backfill and in the audit table
    #[arg(long)]
    pub why: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Order {
    Oldest,
    Newest,
}

#[derive(Debug, Subcommand)]
pub enum BackfillCommand {
    /// List backfills, newest first
    List {
        /// Only those of this pipeline
        #[arg(long)]
        pipeline: Option<PipelineName>,
        /// Only those that have not come to their end
        #[arg(long)]
        open: bool,
    },
    /// Show one backfill: how far it has come, and every interval
    Show { id: u32 },
    /// Let a backfill begin no more runs; those that are going go on
    Pause {
        id: u32,
        /// Why; it stands in the backfill
        #[arg(long)]
        why: String,
    },
    /// Let a paused backfill go on
    Resume {
        id: u32,
        /// Why; it stands in the backfill
        #[arg(long)]
        why: String,
    },
    /// End a backfill: what has not begun is skipped, what is going is cancelled
    Cancel {
        id: u32,
        /// Why; it stands in the backfill
        #[arg(long)]
        why: String,
    },
}

#[derive(Debug, Args)]
pub struct Erase {
    /// File with one user per line, as the sources write them
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub users: PathBuf,
    /// Why; it stands in the list and in the audit table
    #[arg(long)]
    pub why: String,
    /// Only say what holds their rows
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub enum Admin {
    /// Tokens for the API
    #[command(subcommand)]
    Tokens(Tokens),
    /// List what people, tokens and the server did, the latest first
    Audit {
        /// Only what this person or token did
        #[arg(long)]
        who: Option<String>,
        /// Only such actions, such as `run.cancel`
        #[arg(long)]
        action: Option<String>,
        /// Only what was about this, such as a run's id
        #[arg(long)]
        about: Option<String>,
        /// How many at the most
        #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
    },
    /// Put right what follows from the event log: rows of runs, slots, occurrences
    Rebuild,
    /// Write the SQLite database to a new file, while others go on using it
    Backup {
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Put a backup in the place of a database that nobody uses
    Restore {
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum Tokens {
    /// Make a token; it is printed once and cannot be had again
    Add {
        /// Whose it is
        name: String,
        /// What its bearer may do: read, operate, promote:MODEL or promote:*; may be given several times
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<TokenRole>,
    },
    /// List the tokens, without what they are
    List,
    /// Refuse a token from now on
    Revoke { name: String },
}

#[derive(Debug, Args)]
pub struct Why {
    /// Run id, or the beginning of one; `last` is the newest run
    pub run: String,
    pub step: StepName,
}

#[derive(Debug, Subcommand)]
pub enum Models {
    /// List models, their versions and aliases
    List,
    /// Show one version: files, metrics, where it came from
    Show { model: ModelName, version: Option<VersionNumber> },
    /// Show every promotion of a model
    History { model: ModelName },
    /// Move an alias to a version by hand, past the gate
    Promote {
        model: ModelName,
        version: VersionNumber,
        #[arg(long, default_value = "champion")]
        alias: AliasName,
        /// Why; it stands in the history
        #[arg(long)]
        reason: String,
    },
    /// Move an alias back, and pin it until `unpin`
    Rollback {
        model: ModelName,
        /// The version to go back to; without it, the one before
        #[arg(long)]
        to: Option<VersionNumber>,
        #[arg(long, default_value = "champion")]
        alias: AliasName,
        /// Why; it stands in the history
        #[arg(long)]
        reason: String,
    },
    /// Let runs move the alias again
    Unpin {
        model: ModelName,
        #[arg(long, default_value = "champion")]
        alias: AliasName,
        /// Why; it stands in the history
        #[arg(long)]
        reason: String,
    },
    /// Check every file of a model's versions against its digest
    Verify { model: Option<ModelName> },
    /// Rebuild the registry's rows from what lies in the store
    Recover,
    /// Write one version to a folder
    Export {
        model: ModelName,
        version: VersionNumber,
        #[arg(value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
    /// Bring in an exported version; it arrives as a candidate that no alias points at
    Import {
        #[arg(value_hint = ValueHint::DirPath)]
        folder: PathBuf,
        /// The name to import it under; without it, its own
        #[arg(long)]
        name: Option<ModelName>,
    },
}

#[derive(Debug, Args)]
pub struct Prune {
    /// Only say what would go
    #[arg(long)]
    pub dry_run: bool,
    /// Keep what a run used within this span
    #[arg(long, default_value = "30d", value_name = "SPAN")]
    pub keep: String,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// Step kind; without it, all are listed
    pub kind: Option<String>,
}

#[derive(Debug, Args)]
pub struct Demo {
    /// The folder to write to; it must be empty or absent
    #[arg(value_hint = ValueHint::DirPath)]
    pub folder: PathBuf,
    /// The product and its settings
    #[arg(long, default_value = "demo://shop")]
    pub source: String,
    /// The last day; without it, yesterday (UTC)
    #[arg(long, value_name = "DATE")]
    pub until: Option<jiff::civil::Date>,
    /// How many days
    #[arg(long, default_value_t = 28, value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub days: u32,
    /// File format of the tables
    #[arg(long, default_value = "parquet")]
    pub format: DemoFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DemoFormat {
    Parquet,
    Csv,
    Ndjson,
}

#[derive(Debug, Args)]
pub struct Step {
    /// URL of the store
    #[arg(long)]
    pub store: String,
    /// Path of the launch document in the store
    #[arg(long)]
    pub launch: String,
    /// Digest of the launch document
    #[arg(long)]
    pub digest: noctule_artifacts::Digest,
}

#[derive(Debug, Args)]
pub struct Supervise {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<String>,
}

/// Reads `--at`: an instant, or a civil date or time in the pipeline's zone.
pub fn parse_at(text: &str, timezone: &str) -> Result<Timestamp, String> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let zone = jiff::tz::TimeZone::get(timezone).map_err(|error| error.to_string())?;
    let civil = text
        .parse::<jiff::civil::DateTime>()
        .or_else(|_| text.parse::<jiff::civil::Date>().map(|date| date.at(0, 0, 0, 0)))
        .map_err(|_| {
            format!("`--at {text}` is no time: write 2026-11-23, 2026-11-23T02:15 or 2026-11-23T02:15:00Z")
        })?;
    zone.to_ambiguous_timestamp(civil).compatible().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn at_takes_dates_civil_times_and_instants() {
        let midnight: Timestamp = "2026-11-22T23:00:00Z".parse().unwrap();
        for text in ["2026-11-23", "2026-11-23T00:00", "2026-11-22T23:00:00Z", "2026-11-23T00:00:00+01:00"] {
            assert_eq!(parse_at(text, "Europe/Berlin").unwrap(), midnight, "{text}");
        }
        assert!(parse_at("yesterday", "UTC").unwrap_err().contains("--at yesterday"));
    }
}
