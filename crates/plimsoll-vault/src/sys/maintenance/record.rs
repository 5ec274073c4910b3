//! The announced window, as it is stored.

use core::fmt;
use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use plimsoll::maintenance::{Extent, InvalidPlan, Plan};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::VaultError;

pub(crate) const MAINTENANCE_KEY: &str = "core/maintenance";

/// One window; whoever enforces it is told of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceRecord {
    mode: String,
    percentage: Option<u64>,
    begin_s: u64,
    end_s: Option<u64>,
    reason: String,
    status_page: Option<String>,
    /// Lets operators through; told once, when the window is announced.
    pub bypass_token: String,
}

impl fmt::Debug for MaintenanceRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaintenanceRecord").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl MaintenanceRecord {
    pub(crate) fn new(plan: &Plan, bypass_token: String) -> Self {
        let percentage = match plan.extent {
            Extent::Percentage(share) => Some(share.into()),
            _ => None,
        };
        Self {
            mode: plan.extent.name().to_owned(),
            percentage,
            begin_s: since_epoch(plan.begin),
            end_s: plan.end.map(since_epoch),
            reason: plan.reason.to_string(),
            status_page: plan.status_page.as_deref().map(str::to_owned),
            bypass_token,
        }
    }

    /// The window, whether or not it is over.
    ///
    /// # Errors
    /// It was written by another version, whose windows make no sense to this one.
    pub fn plan(&self) -> Result<Plan, InvalidPlan> {
        let begin = at(self.begin_s);
        let extent = Extent::parse(&self.mode, self.percentage)?;
        let plan = Plan::new(extent, begin, self.end_s.map(at), begin)?.because(&self.reason)?;
        match &self.status_page {
            Some(page) => plan.explained_at(page),
            None => Ok(plan),
        }
    }

    pub(crate) fn read(context: &mut Context<'_>) -> Result<Option<Self>, VaultError> {
        context.get(MAINTENANCE_KEY)
    }

    pub(crate) fn write(&self, context: &mut Context<'_>) -> Result<(), VaultError> {
        context.put(MAINTENANCE_KEY, self)
    }

    pub(crate) fn remove(context: &mut Context<'_>) {
        context.delete(MAINTENANCE_KEY);
    }
}

fn since_epoch(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Seconds since 1970; what no calendar holds is its end.
pub(crate) fn at(seconds: u64) -> SystemTime {
    /// The last second of the year 9999.
    const LAST_S: u64 = 253_402_300_799;
    UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_S))
}
