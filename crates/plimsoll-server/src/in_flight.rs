//! Requests under way, for `sys/in-flight-req`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use http::request::Parts;
use http::{Method, Uri};
use plimsoll_daemon::clock::{rfc3339, wall};
use serde_json::{Map, Value, json};

/// One request.
#[derive(Debug)]
struct Entry {
    started: SystemTime,
    remote: IpAddr,
    /// Both are cheap to clone: they share what was parsed.
    uri: Uri,
    method: Method,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct InFlight(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    entries: HashMap<u64, Entry>,
}

/// A request is in flight for as long as this lives.
#[derive(Debug)]
pub(crate) struct Flying {
    table: Arc<InFlight>,
    id: u64,
}

impl InFlight {
    pub(crate) fn enter(self: &Arc<Self>, parts: &Parts, remote: IpAddr) -> Flying {
        let entry =
            Entry { started: wall(), remote, uri: parts.uri.clone(), method: parts.method.clone() };
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = table.next;
        table.next += 1;
        table.entries.insert(id, entry);
        Flying { table: Arc::clone(self), id }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entries.len()
    }

    /// Vault's bare map: no envelope.
    pub(crate) fn report(&self) -> Value {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let report: Map<String, Value> = table
            .entries
            .iter()
            .map(|(id, entry)| {
                let value = json!({
                    "start_time": rfc3339(entry.started),
                    "client_remote_address": entry.remote.to_string(),
                    "request_path": entry.uri.path(),
                    "request_method": entry.method.as_str(),
                    "client_id": "",
                });
                (format!("{id:032x}"), value)
            })
            .collect();
        Value::Object(report)
    }
}

impl Drop for Flying {
    fn drop(&mut self) {
        let mut table = self.table.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.entries.remove(&self.id);
    }
}
