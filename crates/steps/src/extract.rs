//! extract
use crate::{StepResult, attempt::Attempt};
pub async fn run(_attempt: &mut Attempt, _settings: noctule_spec::kinds::extract::Settings) -> StepResult { unreachable!() }
