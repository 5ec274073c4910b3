//! A real server on a loopback port, and what every test asks of it.

mod http;
mod panics;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;

use plimsoll_server::config::{Config, ListenerOptions};
use plimsoll_server::{DevOptions, Server, ServerError, ServerOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use self::http::{Answer, Call, connect, exchange, read_answer};
pub(crate) use self::panics::assert_no_panic;

/// The token of dev mode.
pub(crate) const ROOT: &str = "root";

/// A server that runs until it is dropped.
pub(crate) struct Running {
    server: Option<Server>,
    pub(crate) address: SocketAddr,
    pub(crate) dir: TempDir,
}

/// Questions that are asked before something that should happen never will: for a minute
/// at least, however quickly they are answered.
const QUESTIONS_MAX: u32 = 60_000;
/// Between two of them the processor is left to the server.
const QUESTION_INTERVAL: Duration = Duration::from_millis(1);

/// Asks until there is an answer: what the server does by itself has no event to
/// wait for.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let answer = (0..QUESTIONS_MAX).find_map(|_| {
        std::thread::sleep(QUESTION_INTERVAL);
        ask()
    });
    answer.unwrap_or_else(|| panic!("never: {what}"))
}

/// Any port of this machine.
pub(crate) fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Dev mode in `dir`, with `root` as its token.
pub(crate) fn dev_options(dir: PathBuf) -> ServerOptions {
    let mut config = Config::new(dir);
    config.listeners = vec![ListenerOptions::plain(any_port())];
    let dev = Some(DevOptions { root_token: Some(ROOT.to_owned()) });
    ServerOptions {
        config,
        config_file: None,
        dev,
        slow_disk: None,
        cpu_cost: None,
        disk_floor_bytes: None,
    }
}

/// The same directory as an operator would run it: nothing is unsealed by itself.
pub(crate) fn plain_options(dir: PathBuf) -> ServerOptions {
    ServerOptions { dev: None, ..dev_options(dir) }
}

/// Why a server does not start.
pub(crate) fn refused_start(options: &ServerOptions) -> ServerError {
    match Server::start(options) {
        Ok(server) => {
            server.stop();
            panic!("started")
        }
        Err(error) => error,
    }
}

impl Running {
    /// Dev mode in a fresh directory.
    pub(crate) fn dev() -> Self {
        Self::dev_with(|_| {})
    }

    /// Dev mode with something changed.
    pub(crate) fn dev_with(change: impl FnOnce(&mut ServerOptions)) -> Self {
        Self::in_dir(tempfile::tempdir().unwrap(), |dir| {
            let mut options = dev_options(dir);
            change(&mut options);
            options
        })
    }

    /// A server that nobody has initialised.
    pub(crate) fn fresh() -> Self {
        Self::in_dir(tempfile::tempdir().unwrap(), plain_options)
    }

    /// Runs on a directory that is there.
    pub(crate) fn in_dir(dir: TempDir, options: impl FnOnce(PathBuf) -> ServerOptions) -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(panics::count);
        let server = Server::start(&options(dir.path().to_owned())).unwrap();
        let address = server.addresses()[0];
        Self { server: Some(server), address, dir }
    }

    /// Stops it and gives back its directory.
    pub(crate) fn stop(mut self) -> TempDir {
        self.server.take().unwrap().stop();
        core::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }

    /// Stops it and starts it again, unsealed, with something changed.
    pub(crate) fn again_with(self, change: impl FnOnce(&mut ServerOptions)) -> Self {
        let key = self.server().dev_keys().unwrap().unseal_key.clone();
        let server = Self::in_dir(self.stop(), |dir| {
            let mut options = plain_options(dir);
            change(&mut options);
            options
        });
        server.post("sys/unseal", &json!({ "key": key })).is(200);
        server
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// A call that can be changed before it is sent.
    pub(crate) fn call(&self, method: &str, path: &str) -> Call {
        Call::new(self.address, method, path)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call("GET", path).token(ROOT).send()
    }

    pub(crate) fn list(&self, path: &str) -> Answer {
        self.call("LIST", path).token(ROOT).send()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path).token(ROOT).json(body).send()
    }

    /// Bytes as they stand, on a connection of their own.
    pub(crate) fn raw(&self, request: impl AsRef<[u8]>) -> Answer {
        exchange(self.address, request.as_ref())
    }

    /// `kv/`, version 1.
    pub(crate) fn mount_kv1(&self) {
        self.post("sys/mounts/kv", &json!({ "type": "kv" })).is(204);
    }

    /// A role of `approle/`; gives its RoleID.
    pub(crate) fn mount_role(&self, role: &Value) -> String {
        self.post("sys/auth/approle", &json!({ "type": "approle" })).is(204);
        self.post("auth/approle/role/r", role).is(204);
        self.get("auth/approle/role/r/role-id").is(200).text("/data/role_id")
    }

    /// A SecretID of that role.
    pub(crate) fn secret_id(&self) -> String {
        self.post("auth/approle/role/r/secret-id", &json!({})).is(200).text("/data/secret_id")
    }

    /// A token made from `body`.
    pub(crate) fn token(&self, body: &Value) -> String {
        self.post("auth/token/create", body).is(200).text("/auth/client_token")
    }

    /// Dev mode's disk from now on.
    pub(crate) fn slow_disk(&self, spec: &str) {
        self.post("sys/internal/dev/slow-disk", &json!({ "spec": spec })).is(200);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
        if !std::thread::panicking() {
            assert_no_panic();
        }
    }
}
