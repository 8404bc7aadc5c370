//! The state machine from outside: cases told one by one, and random events in any order.

mod cancel;
mod chaos;
mod failures;
mod order;
mod publish;
mod rerun;
mod rig;
