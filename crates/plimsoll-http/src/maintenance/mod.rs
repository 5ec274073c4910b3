//! Closed on purpose.

mod plan;

pub use crate::maintenance::plan::{
    AHEAD_MAX, Extent, InvalidPlan, Phase, Plan, REASON_BYTES_MAX, WINDOW_MAX,
};
