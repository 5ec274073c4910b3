//! A server reduced to tokens and leases, with a clock that the test moves.
#![allow(clippy::unwrap_used)]

use core::time::Duration;
use std::collections::BTreeMap;

use plimsoll_store::{MemoryStore, Store as _, Txn};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::context::{Context, UnixTime};
use crate::error::VaultError;
use crate::lease::{self, LeaseCall};
use crate::policy::Acl;
use crate::request::{Operation, Request};
use crate::response::Response;
use crate::testing::{Plain, commit, keys};
use crate::token::{TokenCall, TokenService, Ttls};

pub(crate) struct Server {
    pub(crate) store: MemoryStore,
    pub(crate) now_ms: u64,
    pub(crate) tokens: TokenService,
    pub(crate) ttls: Ttls,
    pub(crate) remote: core::net::IpAddr,
}

impl Server {
    /// With a root token `root`.
    pub(crate) fn new() -> Self {
        let server = Self {
            store: MemoryStore::new(),
            now_ms: 1_700_000_000_000,
            tokens: TokenService::new(&[1; 32], &[2; 32]),
            ttls: Ttls { default: 1000, max: 10_000 },
            remote: [127, 0, 0, 1].into(),
        };
        let tokens = server.tokens.clone();
        server.commit(|cx| tokens.issue_root(cx, Some("root".into()))).unwrap();
        server
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now_ms += seconds * 1000;
    }

    /// Decides and applies.
    pub(crate) fn commit<T>(
        &self,
        decide: impl FnOnce(&mut Context<'_>) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let (result, txn) = self.decide(decide)?;
        assert!(self.apply(txn), "nobody else writes");
        Ok(result)
    }

    pub(crate) fn decide<T>(
        &self,
        decide: impl FnOnce(&mut Context<'_>) -> Result<T, VaultError>,
    ) -> Result<(T, Txn), VaultError> {
        let now = UnixTime(Duration::from_millis(self.now_ms));
        let view = self.store.view();
        let mut cx = Context::new(&*view, &Plain, now);
        let result = decide(&mut cx)?;
        Ok((result, cx.into_txn()))
    }

    /// False if a compare was lost.
    pub(crate) fn apply(&self, txn: Txn) -> bool {
        commit(&self.store, txn)
    }

    /// A request to `auth/token/` or `sys/leases/`, as a pipeline would run it.
    pub(crate) fn ask(
        &self,
        token: &str,
        operation: Operation,
        path: &str,
        body: Value,
    ) -> Result<Response, VaultError> {
        let (response, txn) = self.decide_ask(token, operation, path, body)?;
        assert!(self.apply(txn), "nobody else writes");
        response
    }

    /// The outer error is that of the authentication, the inner of the request.
    pub(crate) fn decide_ask(
        &self,
        token: &str,
        operation: Operation,
        path: &str,
        body: Value,
    ) -> Result<(Result<Response, VaultError>, Txn), VaultError> {
        let request = self.request(token, operation, path, body);
        let tokens = &self.tokens;
        self.decide(|cx| {
            let id = request.token.as_ref().unwrap();
            let caller = tokens.authenticate(cx, id, request.remote)?;
            let savepoint = cx.savepoint();
            let acl = Acl::load(cx, &caller.entry.policies)?;
            let sudo = acl.has_sudo(path);
            let response = match path.strip_prefix("auth/token/") {
                Some(below) => {
                    let ttls = self.ttls;
                    let call =
                        TokenCall { request: &request, path: below, caller: &caller, sudo, ttls };
                    tokens.handle(cx, &call)
                }
                None => {
                    let below = path.strip_prefix("sys/").unwrap();
                    lease::handle(cx, &LeaseCall { request: &request, path: below, sudo })
                }
            };
            if response.is_err() {
                cx.roll_back(savepoint);
            }
            tokens.finish(cx, &caller)?;
            Ok(response)
        })
    }

    fn request(&self, token: &str, operation: Operation, path: &str, body: Value) -> Request {
        Request {
            operation,
            path: path.to_owned(),
            data: body.as_object().cloned().unwrap_or_default(),
            query: BTreeMap::new(),
            token: Some(SecretString::from(token.to_owned())),
            remote: self.remote,
            id: String::new(),
        }
    }

    pub(crate) fn write(
        &self,
        token: &str,
        path: &str,
        body: Value,
    ) -> Result<Response, VaultError> {
        self.ask(token, Operation::Write, path, body)
    }

    /// A child's id and accessor.
    pub(crate) fn create(&self, token: &str, body: Value) -> (String, String) {
        let auth = self.write(token, "auth/token/create", body).unwrap().auth.unwrap();
        (auth.client_token, auth.accessor)
    }

    /// Whether a token is let in. A counted use is not counted.
    pub(crate) fn accepts(&self, token: &str) -> bool {
        self.decide(|cx| self.tokens.authenticate(cx, &token.into(), self.remote)).is_ok()
    }

    pub(crate) fn lookup(&self, token: &str) -> Map<String, Value> {
        let body = serde_json::json!({ "token": token });
        self.write("root", "auth/token/lookup", body).unwrap().data.unwrap()
    }

    /// Runs the background work until there is none.
    pub(crate) fn work(&self, items_max: usize) -> usize {
        let mut steps = 0;
        while self.commit(|cx| lease::step(cx, items_max)).unwrap() > 0 {
            steps += 1;
            assert!(steps < 10_000, "the background work never ends");
        }
        steps
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        keys(&self.store)
    }
}

/// What a refusal says, with its status.
pub(crate) fn refused<T: core::fmt::Debug>(result: Result<T, VaultError>) -> (u16, String) {
    let error = result.unwrap_err();
    (error.status(), error.to_string())
}
