//! Near-duplicate items.
