//! dedup
use crate::{StepResult, attempt::Attempt};
pub async fn run(_attempt: &mut Attempt, _settings: noctule_spec::kinds::dedup::Settings) -> StepResult { unreachable!() }
