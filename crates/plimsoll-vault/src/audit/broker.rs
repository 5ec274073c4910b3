//! Tells every device, and whether one of them heard.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use crate::audit::device::Device;
use crate::audit::devices::Devices;
use crate::audit::entry::{Form, Record, hashed};
use crate::error::VaultError;
use crate::response::Response;

/// How long a request waits for a device to take its entry.
pub(crate) const ENTRY_TIMEOUT: Duration = Duration::from_secs(5);

type Live = BTreeMap<String, Arc<Device>>;

/// The devices at work.
#[derive(Debug)]
pub(crate) struct Broker {
    timeout: Duration,
    live: ArcSwap<Live>,
    /// One reconciliation at a time.
    reconciling: Mutex<()>,
}

impl Default for Broker {
    fn default() -> Self {
        Self::new(ENTRY_TIMEOUT)
    }
}

impl Broker {
    /// Without devices. `timeout` is how long an entry may take.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { timeout, live: ArcSwap::default(), reconciling: Mutex::default() }
    }

    /// Starts and stops devices until they are those of the table.
    pub(crate) fn reconcile(&self, devices: &Devices) {
        let _reconciling = self.reconciling.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.live.load();
        let mut next = Live::new();
        for (path, entry) in devices.iter() {
            let known = live.get(path).filter(|device| device.entry == *entry);
            match known.map_or_else(
                || Device::start(entry.clone()).map(Arc::new),
                |device| Ok(Arc::clone(device)),
            ) {
                Ok(device) => {
                    next.insert(path.clone(), device);
                }
                Err(error) => tracing::error!(path, %error, "an audit device cannot be started"),
            }
        }
        self.live.store(Arc::new(next));
    }

    /// Whether entries go nowhere.
    pub(crate) fn is_empty(&self) -> bool {
        self.live.load().is_empty()
    }

    /// Lets all files be opened anew: they were moved away.
    pub(crate) fn reopen(&self) {
        self.live.load().values().for_each(|device| device.reopen());
    }

    /// What a device writes in the place of a value.
    pub(crate) fn hash(&self, path: &str, value: &str) -> Option<String> {
        self.live.load().get(path).map(|device| hashed(&device.form.salt, value))
    }

    /// Records a request that is about to be executed.
    pub(crate) async fn request(
        &self,
        record: &Record<'_>,
        time: &str,
        error: Option<&str>,
    ) -> Result<(), VaultError> {
        self.tell(|form| form.request(record, time, error)).await
    }

    /// Records what is about to be answered.
    pub(crate) async fn response(
        &self,
        record: &Record<'_>,
        time: &str,
        response: Result<&Response, &str>,
    ) -> Result<(), VaultError> {
        self.tell(|form| form.response(record, time, response)).await
    }

    /// Waits for the first device that has written the entry.
    async fn tell(&self, line: impl Fn(&Form) -> Vec<u8>) -> Result<(), VaultError> {
        let live = self.live.load_full();
        if live.is_empty() {
            return Ok(());
        }
        let (written, mut answers) = mpsc::channel(live.len());
        for device in live.values() {
            device.offer(line(&device.form), &written);
        }
        drop(written);
        let heard = tokio::time::timeout(self.timeout, async {
            while let Some(is_written) = answers.recv().await {
                if is_written {
                    return true;
                }
            }
            false
        });
        match heard.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(failed("no audit device took the entry")),
            Err(_) => Err(failed("no audit device took the entry in time")),
        }
    }
}

fn failed(why: &str) -> VaultError {
    tracing::error!("{why}");
    VaultError::Internal(why.to_owned())
}
