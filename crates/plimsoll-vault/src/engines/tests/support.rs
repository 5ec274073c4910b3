//! A server reduced to one mount, with a clock that the test moves.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_store::{MemoryStore, Store as _, Txn};
use serde_json::{Map, Value};

use crate::backend::{Answer, Backend, Call, Caller, MountView, Prepared};
use crate::context::{Context, UnixTime};
use crate::error::VaultError;
use crate::request::{Operation, Request};
use crate::testing::{Plain, commit, keys};

/// One mount of one engine.
pub(super) struct Mounted {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) mount: MountView,
    pub(super) store: MemoryStore,
    pub(super) now: Duration,
    pub(super) remote: IpAddr,
    pub(super) caller: Option<Caller>,
    pub(super) prepared: Prepared,
}

/// A decision that has not been committed.
pub(super) struct Decided {
    pub(super) answer: Answer,
    pub(super) txn: Txn,
}

impl Mounted {
    pub(super) fn new(kind: &str, path: &str, options: &[(&str, &str)]) -> Self {
        let options: BTreeMap<String, String> =
            options.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Self {
            backend: crate::engines::backend_for(kind, &options).unwrap(),
            mount: MountView {
                path: path.to_owned(),
                accessor: format!("{kind}_1"),
                options,
                default_lease_ttl: 2_764_800,
                max_lease_ttl: 2_764_800,
            },
            store: MemoryStore::new(),
            now: Duration::new(1_763_766_294, 5),
            remote: [127, 0, 0, 1].into(),
            caller: Some(caller("one")),
            prepared: Prepared::Nothing,
        }
    }

    /// Decides against the current state without committing.
    pub(super) fn decide(
        &self,
        operation: Operation,
        path: &str,
        body: Value,
    ) -> Result<Decided, VaultError> {
        let request = self.request(operation, path, body);
        let view = self.store.view();
        let mut context = Context::new(&*view, &Plain, UnixTime(self.now));
        let answer = {
            let (path, _) = path.split_once('?').unwrap_or((path, ""));
            let mut call = self.call(&request, path, &mut context);
            self.backend.handle(&mut call)?
        };
        Ok(Decided { answer, txn: context.into_txn() })
    }

    pub(super) fn request(&self, operation: Operation, path: &str, body: Value) -> Request {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Request {
            operation,
            path: format!("{}{path}", self.mount.path),
            data: body.as_object().cloned().unwrap_or_default(),
            query: pairs.map(|(key, value)| (key.into(), value.into())).collect(),
            token: None,
            remote: self.remote,
            id: String::new(),
        }
    }

    pub(super) fn call<'c, 'v>(
        &'c self,
        request: &'c Request,
        path: &'c str,
        context: &'c mut Context<'v>,
    ) -> Call<'c, 'v> {
        Call {
            request,
            path,
            mount: &self.mount,
            caller: self.caller.as_ref(),
            storage: context.scope("mount/"),
            prepared: &self.prepared,
        }
    }

    /// Something that a request does not reach, in a transaction of its own.
    pub(super) fn with_context<T>(&self, f: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let view = self.store.view();
        let mut context = Context::new(&*view, &Plain, UnixTime(self.now));
        let result = f(&mut context);
        assert!(self.commit(context.into_txn()), "nobody else writes");
        result
    }

    /// Commits a decision, if nothing that it read has changed.
    pub(super) fn commit(&self, txn: Txn) -> bool {
        commit(&self.store, txn)
    }

    /// Decides and commits.
    pub(super) fn ask(
        &self,
        operation: Operation,
        path: &str,
        body: Value,
    ) -> Result<Answer, VaultError> {
        let decided = self.decide(operation, path, body)?;
        assert!(self.commit(decided.txn), "nobody else writes");
        Ok(decided.answer)
    }

    pub(super) fn write(&self, path: &str, body: Value) -> Result<Answer, VaultError> {
        self.ask(Operation::Write, path, body)
    }

    /// A write that succeeds, and the data it answers.
    pub(super) fn written(&self, path: &str, body: Value) -> Map<String, Value> {
        self.write(path, body).unwrap().response.data.unwrap_or_default()
    }

    pub(super) fn read(&self, path: &str) -> Result<Answer, VaultError> {
        self.ask(Operation::Read, path, Value::Null)
    }

    /// The data of a read that finds something.
    pub(super) fn data(&self, path: &str) -> Value {
        self.read(path).unwrap().response.data.map_or(Value::Null, Value::Object)
    }

    pub(super) fn list(&self, path: &str) -> Vec<String> {
        match self.ask(Operation::List, path, Value::Null) {
            Ok(answer) => {
                serde_json::from_value(answer.response.data.unwrap()["keys"].clone()).unwrap()
            }
            Err(VaultError::NotFound(_)) => Vec::new(),
            Err(error) => panic!("{error}"),
        }
    }

    /// The keys in the store that start with `prefix`.
    pub(super) fn stored(&self, prefix: &str) -> Vec<String> {
        let keys = keys(&self.store).into_iter();
        keys.filter_map(|key| Some(key.strip_prefix("mount/")?.to_owned()))
            .filter(|key| key.starts_with(prefix))
            .collect()
    }
}

pub(super) fn caller(token_hash: &str) -> Caller {
    Caller { token_hash: token_hash.to_owned(), display_name: "test".to_owned() }
}

/// What a refusal says, with its status.
pub(super) fn refused(result: Result<Answer, VaultError>) -> (u16, String) {
    let error = result.map(|answer| answer.response).unwrap_err();
    (error.status(), error.to_string())
}
