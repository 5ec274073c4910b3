//! Dev mode: a disk whose speed can be changed while the server runs.

use std::sync::Arc;

use http::Method;
use http::request::Parts;
use serde_json::{Value, json};

use crate::face::{HttpResponse, json_response, message};
use crate::options::SlowDiskSpec;

/// Applies a specification to the running disk.
type Apply = Arc<dyn Fn(SlowDiskSpec) + Send + Sync>;

/// Meets no gate: whoever made the disk too slow must be able to make it fast again.
pub(crate) const SLOW_DISK_PATH: &str = "/v1/sys/internal/dev/slow-disk";

/// `POST /v1/sys/internal/dev/slow-disk {"spec": "sync=10ms,item=2ms"}`: only there
/// in dev mode, and open to everyone who reaches a dev server.
#[derive(Clone)]
pub(crate) struct SlowDiskControl(Apply);

impl SlowDiskControl {
    pub(crate) fn new(apply: impl Fn(SlowDiskSpec) + Send + Sync + 'static) -> Self {
        Self(Arc::new(apply))
    }

    pub(crate) fn answer(&self, parts: &Parts, body: &[u8]) -> HttpResponse {
        if parts.method != Method::POST && parts.method != Method::PUT {
            return message(405, "unsupported operation");
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        match body["spec"].as_str().unwrap_or_default().parse::<SlowDiskSpec>() {
            Ok(spec) => {
                (self.0)(spec);
                let set =
                    json!({ "sync_us": spec.sync.as_micros(), "item_us": spec.item.as_micros() });
                json_response(http::StatusCode::OK, &set)
            }
            Err(error) => message(400, &error.to_string()),
        }
    }
}
