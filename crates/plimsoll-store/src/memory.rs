//! A store without a disk, for tests: every transaction is executed by the time
//! [`Store::submit`] returns.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::store::{
    Entry, Key, Range, Revision, Store, StoreError, Transact, Txn, View, compares_hold, settle,
};

/// What a transaction may be at most, in bytes.
const TXN_BYTES_MAX: u64 = 4 << 20;

/// The store; clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<Arc<State>>>,
}

/// The whole state, copied when it is written while a view of it is held.
#[derive(Clone, Debug, Default)]
struct State {
    entries: BTreeMap<Key, Entry>,
    revision: Revision,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Arc<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn execute(&self, transact: Transact) -> Result<Revision, StoreError> {
        let Transact { txn, mut decide, place } = transact;
        // Its work is done here and now: the place is given back.
        drop(place);
        let mut state = self.lock();
        let txn = settle(&**state, txn, &mut decide, TXN_BYTES_MAX)?;
        debug_assert!(compares_hold(&**state, &txn).unwrap_or(false));
        if !txn.is_empty() {
            Arc::make_mut(&mut state).apply(txn);
        }
        Ok(state.revision)
    }
}

impl State {
    fn apply(&mut self, txn: Txn) {
        self.revision += 1;
        let mod_revision = self.revision;
        for (key, value) in txn.puts {
            self.entries.insert(key, Entry { value, mod_revision });
        }
        for key in txn.deletes {
            self.entries.remove(&key);
        }
    }
}

impl View for State {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        Ok(self.entries.get(key).cloned())
    }

    fn range(&self, range: Range<'_>) -> Result<Vec<(Key, Entry)>, StoreError> {
        let entries = self.entries.range::<[u8], _>(range.bounds());
        let within = entries.take_while(|(key, _)| key.starts_with(range.prefix));
        Ok(within.take(range.keys_max).map(|(key, entry)| (key.clone(), entry.clone())).collect())
    }
}

impl Store for MemoryStore {
    fn view(&self) -> Arc<dyn View> {
        Arc::clone(&*self.lock()) as Arc<dyn View>
    }

    fn submit(&self, transact: Transact) -> oneshot::Receiver<Result<Revision, StoreError>> {
        let (sender, receiver) = oneshot::channel();
        // A receiver that is gone is not waiting.
        let _ = sender.send(self.execute(transact));
        receiver
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;

    use super::*;

    fn submit(store: &MemoryStore, txn: Txn) -> Result<Revision, StoreError> {
        let decide = Box::new(|_: &dyn View| Err(StoreError::Conflict));
        store.submit(Transact { txn, decide, place: None }).blocking_recv().unwrap()
    }

    fn put(key: &'static str, value: &'static str) -> Txn {
        Txn { puts: vec![(key.into(), value.into())], ..Txn::default() }
    }

    #[test]
    fn a_view_does_not_change() {
        let store = MemoryStore::new();
        submit(&store, put("a", "1")).unwrap();
        let view = store.view();
        submit(&store, Txn { deletes: vec!["a".into()], ..Txn::default() }).unwrap();
        assert_eq!(view.get(b"a").unwrap().map(|entry| entry.mod_revision), Some(1));
        assert_eq!(store.view().get(b"a").unwrap(), None);
    }

    #[test]
    fn a_lost_compare_is_decided_again_and_else_writes_nothing() {
        let store = MemoryStore::new();
        let losing = Txn { compares: vec![("a".into(), 9)], ..put("a", "1") };
        assert!(matches!(submit(&store, losing), Err(StoreError::Conflict)));
        assert_eq!(store.view().revision(), 0);
    }

    #[test]
    fn a_range_goes_on_after_the_last_key_of_a_page() {
        let store = MemoryStore::new();
        for key in ["o", "p/1", "p/2", "p/3", "q"] {
            submit(&store, put(key, "v")).unwrap();
        }
        let page = |after: &'static [u8]| {
            let range = Range { prefix: b"p/", after, keys_max: 2 };
            store.view().range(range).unwrap().into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert_eq!(page(b""), [Bytes::from("p/1"), Bytes::from("p/2")]);
        assert_eq!(page(b"p/2"), [Bytes::from("p/3")]);
    }
}
