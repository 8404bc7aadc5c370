//! The threads that an attempt computes with.

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::error::{Class, Classed};

#[derive(Debug, thiserror::Error)]
#[error("{threads} threads could not be started: {cause}")]
pub(crate) struct PoolError {
    threads: u32,
    cause: ThreadPoolBuildError,
}

impl Classed for PoolError {
    fn class(&self) -> Class {
        Class::Temporary
    }
}

/// A pool of its own, as large as `resources` say: the machine may have more threads than the step may use.
pub(crate) fn pool(threads: u32) -> Result<ThreadPool, PoolError> {
    ThreadPoolBuilder::new()
        .num_threads(threads.max(1) as usize)
        .build()
        .map_err(|cause| PoolError { threads, cause })
}
