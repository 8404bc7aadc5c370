//! Where a command looks and acts: the state on this machine, or a server.

use crate::cli::Global;
use crate::home::{Home, Open};
use crate::remote::Remote;
use crate::report::Trouble;

pub enum Place {
    Here(Box<Open>),
    There(Remote),
}

impl Place {
    /// The server, if one is named; else the state of runs that are there already.
    pub async fn of(global: &Global) -> Result<Self, Trouble> {
        match &global.server {
            Some(address) => Ok(Self::There(Remote::new(address, global)?)),
            None => Ok(Self::Here(Box::new(open_existing(global).await?))),
        }
    }
}

/// Opens the state of runs that are there already; where nothing was ever run, says so.
pub async fn open_existing(global: &Global) -> Result<Open, Trouble> {
    let home = Home::find(global.config.as_deref())?;
    if !home.exists() {
        return Err(Trouble::usage(format!(
            "there is no {} here or above: nothing was run yet; `noctule run PIPELINE` begins",
            home.state.file_name().unwrap_or_default().to_string_lossy()
        )));
    }
    home.open().await
}

/// Refuses a command that has to be given where the state lies.
pub fn only_here(global: &Global, what: &str) -> Result<(), Trouble> {
    match &global.server {
        None => Ok(()),
        Some(_) => Err(Trouble::usage(format!(
            "`{what}` opens the database and the store themselves, so it is not for a server: give it where these can be \
             reached, without --server and NOCTULE_SERVER"
        ))),
    }
}
