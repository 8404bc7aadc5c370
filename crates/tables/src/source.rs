//! placeholder
#[derive(Debug, thiserror::Error)]
pub enum SourceError {}
impl SourceError { pub fn class(&self) -> crate::Class { crate::Class::Other } }
