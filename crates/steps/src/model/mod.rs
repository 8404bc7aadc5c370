//! The documented layout of a model artifact: `docs/guides/model-layout.md`.
//!
//! A model is a folder of files: `card.json` says what it is, `items.parquet` lists the items it knows with how often
//! each occurred in training, and a factor model adds `users.parquet`, `users.safetensors` and `items.safetensors`.
//! Row i of a factor table belongs to row i of the id table beside it. Both factor tables and the card carry one
//! fingerprint, and a reader refuses files of different trainings.

mod card;
mod factors;
mod ids;
mod read;
mod write;

pub use card::{Card, DataFacts, Form, IdType, IdTypes, LAYOUT};
pub use factors::FactorSizes;
pub use ids::{IdIndex, Ids};
pub use read::{Model, ModelError};
pub use write::write;

use ndarray::Array2;

pub(crate) const CARD: &str = "card.json";
pub(crate) const ITEMS: &str = "items.parquet";
pub(crate) const ITEMS_CSV: &str = "items.csv";
pub(crate) const USERS: &str = "users.parquet";
pub(crate) const USERS_CSV: &str = "users.csv";
pub(crate) const ITEM_FACTORS: &str = "items.safetensors";
pub(crate) const USER_FACTORS: &str = "users.safetensors";
/// The tensor of a factor file, and the key of its metadata that names the training.
pub(crate) const TENSOR: &str = "factors";
pub(crate) const FINGERPRINT: &str = "fingerprint";

/// What a model knows of users and items.
#[derive(Debug, Clone, PartialEq)]
pub struct Tables {
    pub items: Ids,
    /// Interactions of each item in training: what a user whom the model does not know is shown, most first.
    pub counts: Vec<u64>,
    /// `None` for a model that scores items by their counts alone.
    pub factors: Option<FactorTables>,
}

/// One row per user and per item; the score of an item for a user is the inner product of their rows.
#[derive(Debug, Clone, PartialEq)]
pub struct FactorTables {
    pub users: Ids,
    pub user_factors: Array2<f32>,
    pub item_factors: Array2<f32>,
}
