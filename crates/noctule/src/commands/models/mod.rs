//! `noctule models`: published models. What reads and writes the store itself has a file of its own.

mod look;
mod moves;
mod recover;
mod transfer;

use crate::cli::{Global, Models};
use crate::exit::Exit;
use crate::home::{Home, Open};
use crate::place::{Place, only_here, open_existing};
use crate::report::Trouble;

pub async fn run(command: &Models, global: &Global) -> Result<Exit, Trouble> {
    match command {
        Models::Recover => {
            only_here(global, "models recover")?;
            recover::run(global).await
        }
        Models::Import { folder, name } => {
            only_here(global, "models import")?;
            // It may be the first thing that is done with a store whose database is new.
            let open = Home::find(global.config.as_deref())?.open().await?;
            let exit = transfer::import(&open.controller, folder, name.as_ref(), global).await?;
            deliver(&open, exit).await
        }
        Models::Export { model, version, folder } => {
            only_here(global, "models export")?;
            let open = open_existing(global).await?;
            let exit = transfer::export(&open.controller, model, *version, folder, global).await?;
            deliver(&open, exit).await
        }
        other => {
            let place = Place::of(global).await?;
            let exit = match other {
                Models::List => look::list(&place, global).await?,
                Models::Show { model, version } => look::show(&place, model, *version, global).await?,
                Models::History { model } => look::history(&place, model, global).await?,
                Models::Verify { model } => look::verify(&place, model.as_ref(), global).await?,
                Models::Promote { model, version, alias, reason } => {
                    return moves::promote(&place, model, *version, alias, reason, global).await;
                }
                Models::Rollback { model, to, alias, reason } => {
                    return moves::roll_back(&place, model, *to, alias, reason, global).await;
                }
                Models::Unpin { model, alias, reason } => {
                    return moves::unpin(&place, model, alias, reason, global).await;
                }
                Models::Recover | Models::Import { .. } | Models::Export { .. } => {
                    unreachable!("it was carried out above")
                }
            };
            match &place {
                Place::Here(open) => deliver(open, exit).await,
                Place::There(_) => Ok(exit),
            }
        }
    }
}

/// What was owed to the store, by this command or one before.
async fn deliver(open: &Open, exit: Exit) -> Result<Exit, Trouble> {
    let owed = noctule_controller::outbox::deliver(&open.controller.store, &open.controller.depot).await?;
    for owed in owed {
        say_owed(&format!("{} ({})", owed.about, owed.error));
    }
    Ok(exit)
}

fn say_owed(what: &str) {
    anstream::eprintln!("{what} could not be written to the store yet; it stays owed");
}
