//! Userpass: people log in with a name and a password.
//!
//! bcrypt takes tens of milliseconds, so it is never computed in a decision:
//! [`Backend::prepare`] says what to compute, and the decision checks that what
//! was computed is still about what is stored. A name that nobody has costs the
//! same comparison, with a hash of a password that nobody knows.

use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::backend::{Answer, Backend, Call, Preparation, Prepared};
use crate::cidr;
use crate::context::Scope;
use crate::engines::fields::Fields;
use crate::engines::token_params::{Alias, TokenParams, set};
use crate::engines::{is_name, listing, unsupported_path};
use crate::error::VaultError;
use crate::request::Operation;
use crate::response::Response;

/// Costs that a hash made elsewhere may have: below, it is weak; above, a login
/// would keep a worker for seconds.
const COST_MIN: u32 = 5;
const COST_MAX: u32 = 12;

/// bcrypt looks at no more of a password.
const PASSWORD_BYTES_MAX: usize = 72;

/// Compared when the user does not exist: cost 10, of 32 random bytes that were
/// thrown away.
const NOBODYS_HASH: &str = "$2b$10$taU2NhJp.H10X27THYaYF.E5AhzXE2DVewDdyPSJBFX1ZIVGjzPDy";

const ALIASES: [Alias; 4] = [
    ("token_policies", "policies"),
    ("token_ttl", "ttl"),
    ("token_max_ttl", "max_ttl"),
    ("token_bound_cidrs", "bound_cidrs"),
];

/// The engine.
#[derive(Debug)]
pub struct UserPass;

/// What is stored of a user.
#[derive(Clone, Default, Serialize, Deserialize)]
struct User {
    password_hash: String,
    token: TokenParams,
}

impl Backend for UserPass {
    fn kind(&self) -> &'static str {
        "userpass"
    }

    fn is_login(&self, path: &str) -> bool {
        path.starts_with("login/")
    }

    fn has_roles(&self) -> bool {
        true
    }

    fn login_role(&self, call: &mut Call<'_, '_>) -> Result<Option<String>, VaultError> {
        Ok(call.path.strip_prefix("login/").filter(|name| is_name(name)).map(str::to_lowercase))
    }

    fn exists(&self, call: &mut Call<'_, '_>) -> Result<Option<bool>, VaultError> {
        match call.path.strip_prefix("users/") {
            Some(name) if is_name(name) => Ok(Some(load(&mut call.storage, name)?.is_some())),
            _ => Ok(None),
        }
    }

    fn prepare(&self, call: &mut Call<'_, '_>) -> Result<Preparation, VaultError> {
        if call.request.operation != Operation::Write {
            return Ok(Preparation::Nothing);
        }
        let segments: Vec<&str> = call.path.split('/').collect();
        match segments.as_slice() {
            ["login", name] if is_name(name) => prepare_login(call, name),
            ["users", name] | ["users", name, "password"] if is_name(name) => prepare_hash(call),
            _ => Ok(Preparation::Nothing),
        }
    }

    fn handle(&self, call: &mut Call<'_, '_>) -> Result<Answer, VaultError> {
        let segments: Vec<&str> = call.path.split('/').collect();
        let operation = call.request.operation;
        match (segments.as_slice(), operation) {
            (["users"] | ["users", ""], Operation::List) => listing::list(call, "", "user"),
            (["users"] | ["users", ""], _) => Err(VaultError::Unsupported),
            ([_, name] | [_, name, _], _) if !is_name(name) => Err(unsupported_path()),
            (["login", name], Operation::Write) => login(call, name),
            (["users", name], Operation::Write) => write(call, name),
            (["users", name], Operation::Read) => read(call, name),
            (["users", name], Operation::Delete) => {
                call.storage.delete(&key(name));
                Ok(Response::default().into())
            }
            (["users", name, "password"], Operation::Write) => write_password(call, name),
            (["users", name, "policies"], Operation::Write) => write_policies(call, name),
            (["login" | "users", _] | ["users", _, "password" | "policies"], _) => {
                Err(VaultError::Unsupported)
            }
            _ => Err(unsupported_path()),
        }
    }
}

fn key(name: &str) -> String {
    format!("user/{}", name.to_lowercase())
}

fn load(storage: &mut Scope<'_, '_>, name: &str) -> Result<Option<User>, VaultError> {
    storage.get(&key(name))
}

/// A user whose parameters are to be changed.
fn existing(call: &mut Call<'_, '_>, name: &str) -> Result<User, VaultError> {
    load(&mut call.storage, name)?.ok_or_else(|| VaultError::invalid("username does not exist"))
}

fn save(call: &mut Call<'_, '_>, name: &str, user: &User) -> Result<Answer, VaultError> {
    call.storage.put(&key(name), user)?;
    Ok(Response::default().into())
}

/// What a login compares: the user's hash, or nobody's.
fn prepare_login(call: &mut Call<'_, '_>, name: &str) -> Result<Preparation, VaultError> {
    let password = password(call)?.ok_or_else(|| VaultError::invalid("missing password"))?;
    let user = load(&mut call.storage, name)?;
    let hash = user.map_or_else(|| NOBODYS_HASH.to_owned(), |user| user.password_hash);
    Ok(Preparation::VerifyPassword { password, hash })
}

/// The new password of a user, if there is one to be hashed.
fn prepare_hash(call: &Call<'_, '_>) -> Result<Preparation, VaultError> {
    let Some(password) = password(call)? else { return Ok(Preparation::Nothing) };
    if password.expose_secret().len() > PASSWORD_BYTES_MAX {
        return Err(VaultError::invalid(format!(
            "bcrypt: password length exceeds {PASSWORD_BYTES_MAX} bytes"
        )));
    }
    Ok(Preparation::HashPassword { password })
}

fn password(call: &Call<'_, '_>) -> Result<Option<SecretString>, VaultError> {
    let password = Fields::of(call.request).text("password")?;
    Ok(password.filter(|password| !password.is_empty()).map(SecretString::from))
}

fn login(call: &mut Call<'_, '_>, name: &str) -> Result<Answer, VaultError> {
    let name = name.to_lowercase();
    let refusal = || VaultError::invalid("invalid username or password");
    let Prepared::PasswordVerified { hash, matches: true } = call.prepared else {
        return Err(refusal());
    };
    // The password may have been changed since it was compared.
    let user = load(&mut call.storage, &name)?
        .filter(|user| user.password_hash == *hash)
        .ok_or_else(refusal)?;
    if !cidr::allowed(&user.token.bound_cidrs, call.request.remote) {
        return Err(VaultError::permission_denied());
    }
    let mut grant = user.token.grant(call.request.remote);
    grant.display_name.clone_from(&name);
    grant.metadata.insert("username".to_owned(), name);
    Ok(Answer { response: Response::default(), grant: Some(grant) })
}

fn write(call: &mut Call<'_, '_>, name: &str) -> Result<Answer, VaultError> {
    let known = load(&mut call.storage, name)?;
    let hash = new_hash(call)?;
    if known.is_none() && hash.is_none() {
        return Err(no_password());
    }
    let mut user = known.unwrap_or_default();
    set(&mut user.password_hash, hash);
    user.token.update(Fields::of(call.request), &ALIASES)?;
    save(call, name, &user)
}

fn write_password(call: &mut Call<'_, '_>, name: &str) -> Result<Answer, VaultError> {
    let mut user = existing(call, name)?;
    user.password_hash = new_hash(call)?.ok_or_else(no_password)?;
    save(call, name, &user)
}

fn write_policies(call: &mut Call<'_, '_>, name: &str) -> Result<Answer, VaultError> {
    let mut user = existing(call, name)?;
    let data = &call.request.data;
    let mut only = Map::new();
    for field in ["token_policies", "policies"] {
        if let Some(value) = data.get(field) {
            only.insert(field.to_owned(), value.clone());
        }
    }
    user.token.update(Fields(&only), &ALIASES)?;
    save(call, name, &user)
}

fn no_password() -> VaultError {
    VaultError::invalid("must provide either password or password_hash")
}

/// The hash that a request brings or that was made of the password it brings.
fn new_hash(call: &Call<'_, '_>) -> Result<Option<String>, VaultError> {
    let given = Fields::of(call.request).text("password_hash")?.filter(|hash| !hash.is_empty());
    match (password(call)?, given) {
        (Some(_), Some(_)) => {
            Err(VaultError::invalid("only one of password or password_hash may be provided"))
        }
        (None, Some(given)) => check_hash(&given).map(|()| Some(given)),
        (None, None) => Ok(None),
        (Some(_), None) => match call.prepared {
            Prepared::PasswordHashed { hash } => Ok(Some(hash.clone())),
            Prepared::Nothing | Prepared::PasswordVerified { .. } => {
                Err(VaultError::Internal("the password was not hashed".to_owned()))
            }
        },
    }
}

fn check_hash(hash: &str) -> Result<(), VaultError> {
    let refusal = match bcrypt::HashParts::from_str(hash).map(|parts| parts.get_cost()) {
        Err(_) => "password_hash is not a valid bcrypt hash".to_owned(),
        Ok(cost) if cost < COST_MIN => {
            format!("bcrypt cost of {cost} is too low, want {COST_MIN} at minimum")
        }
        Ok(cost) if cost > COST_MAX => {
            format!("bcrypt cost of {cost} exceeds maximum cost of {COST_MAX}")
        }
        Ok(_) => return Ok(()),
    };
    Err(VaultError::invalid(refusal))
}

fn read(call: &mut Call<'_, '_>, name: &str) -> Result<Answer, VaultError> {
    let user = load(&mut call.storage, name)?.ok_or_else(VaultError::not_found)?;
    let mut data = Map::new();
    user.token.describe(&mut data, &ALIASES);
    Ok(Response::data(data).into())
}
