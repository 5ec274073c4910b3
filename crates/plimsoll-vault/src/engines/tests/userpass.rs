//! Facts about userpass.

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::support::{Mounted, refused};
use crate::backend::{Answer, Preparation, Prepared};
use crate::error::VaultError;
use crate::request::Operation;

const REFUSED: &str = "invalid username or password";

/// Does what the crypto pool does, with a cost that tests can afford.
fn ask(
    mounted: &mut Mounted,
    operation: Operation,
    path: &str,
    body: Value,
) -> Result<Answer, VaultError> {
    mounted.prepared = prepared(mounted, operation, path, &body)?;
    mounted.ask(operation, path, body)
}

fn prepared(
    mounted: &Mounted,
    operation: Operation,
    path: &str,
    body: &Value,
) -> Result<Prepared, VaultError> {
    Ok(match prepare(mounted, operation, path, body)? {
        Preparation::Nothing => Prepared::Nothing,
        Preparation::VerifyPassword { password, hash } => Prepared::PasswordVerified {
            matches: bcrypt::verify(password.expose_secret(), &hash).unwrap(),
            hash,
        },
        Preparation::HashPassword { password } => {
            Prepared::PasswordHashed { hash: bcrypt::hash(password.expose_secret(), 4).unwrap() }
        }
    })
}

fn prepare(
    mounted: &Mounted,
    operation: Operation,
    path: &str,
    body: &Value,
) -> Result<Preparation, VaultError> {
    let request = mounted.request(operation, path, body.clone());
    let backend = mounted.backend.clone();
    let (mount, nothing) = (mounted.mount.clone(), Prepared::Nothing);
    mounted.with_context(|context| {
        let mut call = crate::backend::Call {
            request: &request,
            path,
            mount: &mount,
            caller: None,
            storage: context.scope("mount/"),
            prepared: &nothing,
        };
        backend.prepare(&mut call)
    })
}

fn write(mounted: &mut Mounted, path: &str, body: Value) -> Result<Answer, VaultError> {
    ask(mounted, Operation::Write, path, body)
}

fn with_user() -> Mounted {
    let mut mounted = Mounted::new("userpass", "auth/userpass/", &[]);
    let body = json!({"password": "pw", "policies": "p1,p2", "ttl": "1h"});
    write(&mut mounted, "users/Alice", body).unwrap();
    mounted
}

#[test]
fn the_right_password_grants_what_the_user_has() {
    let mut mounted = with_user();
    let grant = write(&mut mounted, "login/ALICE", json!({"password": "pw"})).unwrap();
    let grant = grant.grant.unwrap();
    assert_eq!((grant.policies, grant.ttl), (vec!["p1".into(), "p2".into()], 3600));
    assert_eq!(grant.display_name, "alice");
    assert_eq!(grant.metadata, [("username".to_owned(), "alice".to_owned())].into());
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_the_same_refusal_at_the_same_cost() {
    let mut mounted = with_user();
    for path in ["login/alice", "login/nobody"] {
        let body = json!({"password": "wrong"});
        let preparation = prepare(&mounted, Operation::Write, path, &body).unwrap();
        assert!(matches!(preparation, Preparation::VerifyPassword { .. }));
        assert_eq!(refused(write(&mut mounted, path, body)), (400, REFUSED.into()));
    }
    let nobody = prepare(&mounted, Operation::Write, "login/nobody", &json!({"password": "x"}));
    let Ok(Preparation::VerifyPassword { hash, .. }) = nobody else { panic!("compared") };
    let parts: bcrypt::HashParts = hash.parse().unwrap();
    assert_eq!(parts.get_cost(), 10);
    let missing = write(&mut mounted, "login/alice", json!({}));
    assert_eq!(refused(missing), (400, "missing password".into()));
}

#[test]
fn a_password_that_changed_while_it_was_compared_is_refused() {
    let mut mounted = with_user();
    let body = json!({"password": "pw"});
    let verified = prepared(&mounted, Operation::Write, "login/alice", &body).unwrap();
    write(&mut mounted, "users/alice/password", json!({"password": "new"})).unwrap();
    mounted.prepared = verified;
    assert_eq!(refused(mounted.write("login/alice", body)), (400, REFUSED.into()));
}

#[test]
fn a_match_with_nobodys_hash_is_no_login() {
    let mut mounted = with_user();
    let nobody = prepare(&mounted, Operation::Write, "login/nobody", &json!({"password": "x"}));
    let Ok(Preparation::VerifyPassword { hash, .. }) = nobody else { panic!("compared") };
    mounted.prepared = Prepared::PasswordVerified { hash, matches: true };
    let login = mounted.write("login/nobody", json!({"password": "x"}));
    assert_eq!(refused(login), (400, REFUSED.into()));
}

#[test]
fn users_are_written_read_listed_and_deleted() {
    let mut mounted = with_user();
    let user = mounted.data("users/alice");
    assert_eq!((&user["policies"], &user["ttl"]), (&json!(["p1", "p2"]), &json!(3600)));
    assert_eq!(user.get("password_hash"), None);
    write(&mut mounted, "users/alice", json!({"token_ttl": "5m"})).unwrap();
    let user = mounted.data("users/alice");
    assert_eq!((user.get("ttl"), &user["token_ttl"]), (None, &json!(300)));
    write(&mut mounted, "users/alice/policies", json!({"policies": "x"})).unwrap();
    assert_eq!(mounted.data("users/alice")["token_policies"], json!(["x"]));
    assert_eq!(mounted.list("users"), ["alice"]);
    mounted.ask(Operation::Delete, "users/ALICE", Value::Null).unwrap();
    assert_eq!(refused(mounted.read("users/alice")), (404, String::new()));
}

#[test]
fn a_user_needs_exactly_one_kind_of_password() {
    let mut mounted = with_user();
    for (path, body, text) in [
        ("users/new", json!({}), "must provide either password or password_hash"),
        ("users/alice/password", json!({}), "must provide either password or password_hash"),
        (
            "users/alice/password",
            json!({"password": "a", "password_hash": "b"}),
            "only one of password or password_hash may be provided",
        ),
        (
            "users/alice/password",
            json!({"password_hash": "b"}),
            "password_hash is not a valid bcrypt hash",
        ),
        ("users/zz/password", json!({"password": "a"}), "username does not exist"),
        (
            "users/new",
            json!({"password": "x".repeat(73)}),
            "bcrypt: password length exceeds 72 bytes",
        ),
    ] {
        assert_eq!(refused(write(&mut mounted, path, body)), (400, text.to_owned()));
    }
    let hash = bcrypt::hash("elsewhere", 5).unwrap();
    write(&mut mounted, "users/bob", json!({"password_hash": hash})).unwrap();
    assert!(write(&mut mounted, "login/bob", json!({"password": "elsewhere"})).is_ok());
    assert_eq!(refused(write(&mut mounted, "login/a@b", json!({"password": "x"}))).0, 404);
}

#[test]
fn a_login_from_an_address_outside_the_users_is_denied() {
    let mut mounted = with_user();
    write(&mut mounted, "users/alice", json!({"token_bound_cidrs": "10.0.0.0/8"})).unwrap();
    let login = write(&mut mounted, "login/alice", json!({"password": "pw"}));
    assert_eq!(refused(login), (403, "permission denied".into()));
}
