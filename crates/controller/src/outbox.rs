//! Messages to the store that promotions leave behind: the alias's pointer, and the promotion's record.
//!
//! They are written in the promoting transaction and delivered afterwards, as often as it takes. Delivering one twice
//! is the same as once: a pointer of a lower sequence never replaces a higher one, and a record is written once.

use std::time::Duration;

use noctule_artifacts::version::{AliasPointer, PromotionRecord};
use noctule_depot::Depot;
use noctule_registry::{Promotion, Version, pointer};
use noctule_store::{Message, Store};

use crate::error::ControllerError;

const POINTER: &str = "pointer";
const RECORD: &str = "promotion-record";

/// The messages that go with a promotion.
pub fn announce(promotion: &Promotion, version: &Version) -> Vec<Message> {
    let about = format!("{}@{}", promotion.model, promotion.alias);
    vec![
        Message { kind: RECORD.to_owned(), about: about.clone(), payload: promotion.to_record().to_json() },
        Message { kind: POINTER.to_owned(), about, payload: pointer::pointer(promotion, version).to_json() },
    ]
}

/// Messages that could not be delivered now; they stay owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    pub about: String,
    pub error: String,
}

/// Delivers every message that is due.
pub async fn deliver(store: &Store, depot: &Depot) -> Result<Vec<Owed>, ControllerError> {
    let mut owed = Vec::new();
    for kind in [RECORD, POINTER] {
        loop {
            let claimed = store.claim_messages(kind, Duration::from_secs(60), 32).await?;
            if claimed.is_empty() {
                break;
            }
            for waiting in claimed {
                match send(depot, kind, &waiting.message.payload).await {
                    Ok(()) => store.settle_message(waiting.id).await?,
                    Err(error) => {
                        let pause = Duration::from_secs(5 << waiting.tries.min(6));
                        store.fail_message(waiting.id, &error, pause).await?;
                        owed.push(Owed { about: waiting.message.about, error });
                    }
                }
            }
        }
    }
    Ok(owed)
}

async fn send(depot: &Depot, kind: &str, payload: &[u8]) -> Result<(), String> {
    if kind == RECORD {
        let record = PromotionRecord::from_json(payload).map_err(|error| error.to_string())?;
        return depot.record_promotion(&record).await.map_err(|error| error.to_string());
    }
    let pointer = AliasPointer::from_json(payload).map_err(|error| error.to_string())?;
    depot.point(&pointer).await.map(drop).map_err(|error| error.to_string())
}
