//! `alerts`: who is told, and about what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Span;

/// Who is told, and about what.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// A channel that gets messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<Slack>,
    /// How old the champion may grow before somebody is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub champion_age: Option<Span>,
}

/// A Slack channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slack {
    /// The channel, such as `#recs`.
    #[schemars(length(min = 1))]
    pub channel: String,
    /// The bot's token, by its name among the secrets.
    pub token: SecretName,
}

/// A secret, written `{secret: slack-token}`: its name, never its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-noctule-secret" = true))]
pub struct SecretName {
    /// The secret's name, as the configuration file lists it.
    #[schemars(extend("x-noctule" = "secret"))]
    pub secret: String,
}
