//! Closed on purpose: maintenance windows.
//!
//! An operator announces a window ([`Plan`]): all of the service, its writes, a
//! share of the requests, or all of it for good. [`Maintenance`] holds what is
//! announced, and the layer acts on it:
//!
//! - *Before* the window every answer carries a notice, so that a client's logs
//!   know before its users do: `Scheduled-Maintenance`, a Date with parameters
//!   (RFC 9651) beside `Link: rel="status"` (RFC 8631). There is no registered field
//!   for this: `Sunset` (RFC 8594) announces an end and not a pause, so it is sent
//!   for what will be retired; `Warning` is obsolete; `Retry-After` has no meaning
//!   on a success.
//! - *In* the window what is closed is refused with 503 and the time that is left,
//!   or with 410 for good.
//! - An operator's tools pass with `Plimsoll-Maintenance-Bypass`.
//!
//! Which requests are never closed (health, metrics, the API that ends the window)
//! and which are writes, the service says itself ([`Access`]).

mod bypass;
mod layer;
mod notice;
mod state;
mod status;
#[cfg(test)]
mod tests;
mod words;

pub use crate::maintenance::bypass::{Bypass, InvalidBypass};
pub use crate::maintenance::layer::{Access, BYPASS_HEADER, Maintained, MaintenanceLayer};
pub use crate::maintenance::notice::SCHEDULED_MAINTENANCE;
pub use crate::maintenance::state::{Announced, Maintenance};
pub use crate::maintenance::status::{Indicator, status_document};
pub(crate) use crate::maintenance::words::{describe, message};
pub use plimsoll::maintenance::{Extent, InvalidPlan, Phase, Plan};
