//! The model card: what a model is and what it was made of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use noctule_gate::TableIdentity;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the layout that this program writes and reads.
pub const LAYOUT: u32 = 1;

/// The content of `card.json`. It has no time of training and no run in it, so that the same training gives the same
/// model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    pub layout: u32,
    pub form: Form,
    /// A name for people, such as `ials`.
    pub algorithm: String,
    /// Names the training: the same in the card and in the metadata of both factor files.
    pub fingerprint: String,
    /// Everything that decided the result, as the trainer calls it.
    #[serde(default)]
    pub parameters: BTreeMap<String, Value>,
    #[serde(default)]
    pub data: DataFacts,
    /// What came of the training, such as the number of epochs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub training: BTreeMap<String, Value>,
    /// How ids in CSV id maps are to be read. Parquet id maps say it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<IdTypes>,
}

/// How a model scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// By the inner product of a user's and an item's factors.
    Factors,
    /// By the counts of `items`, the same for every user.
    Counts,
}

/// What a model was trained on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DataFacts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// The tables that were trained on.
    #[serde(default)]
    pub read: Vec<TableIdentity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// The latest time among the rows trained on. Without it the model can only be compared on a test set that was cut
    /// from the same rows.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdTypes {
    pub user: IdType,
    pub item: IdType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdType {
    Integer,
    Text,
}

impl Card {
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a card has only text keys");
        bytes.push(b'\n');
        bytes
    }
}
