//! `noctule models`: published models, one file per verb that changes anything.

mod by_hand;
mod look;
mod recover;
mod transfer;

use crate::cli::{Global, Models};
use crate::exit::Exit;
use crate::home::Open;
use crate::report::Trouble;

pub async fn run(command: &Models, global: &Global) -> Result<Exit, Trouble> {
    // These two may be the first thing that is done with a store whose database is new.
    let open: Open = match command {
        Models::Recover => return recover::run(global).await,
        Models::Import { .. } => crate::home::Home::find(global.config.as_deref())?.open().await?,
        _ => super::open_existing(global).await?,
    };
    let controller = &open.controller;
    let exit = match command {
        Models::List => look::list(controller, global).await,
        Models::Show { model, version } => look::show(controller, model, *version, global).await,
        Models::History { model } => look::history(controller, model, global).await,
        Models::Verify { model } => look::verify(controller, model.as_ref(), global).await,
        Models::Promote { model, version, alias, reason } => {
            by_hand::promote(controller, model, *version, alias, reason, global).await
        }
        Models::Rollback { model, to, alias, reason } => {
            by_hand::roll_back(controller, model, *to, alias, reason, global).await
        }
        Models::Unpin { model, alias, reason } => {
            by_hand::unpin(controller, model, alias, reason, global).await
        }
        Models::Export { model, version, folder } => {
            transfer::export(controller, model, *version, folder, global).await
        }
        Models::Import { folder, name } => transfer::import(controller, folder, name.as_ref(), global).await,
        Models::Recover => unreachable!("it was carried out above"),
    };
    // What was owed to the store, by this command or one before.
    let owed = noctule_controller::outbox::deliver(&controller.store, &controller.depot).await?;
    for owed in owed {
        anstream::eprintln!(
            "{} could not be written to the store yet ({}); it stays owed",
            owed.about,
            owed.error
        );
    }
    exit
}
