//! `role/:name/<setting>`: each parameter of a role by itself.

use serde_json::{Map, Value};

use crate::backend::{Answer, Call};
use crate::engines::approle::role::{self, Role};
use crate::engines::fields::Fields;
use crate::engines::token_params::TokenParams;
use crate::engines::unsupported_path;
use crate::error::VaultError;
use crate::request::Operation;
use crate::response::Response;

/// One of them.
struct Setting {
    /// The last segment of its path.
    path: &'static str,
    /// The parameters that are read and written there, the main one first.
    fields: &'static [&'static str],
    /// The error if none of them is given; without one, nothing changes.
    missing: Option<&'static str>,
    /// Sets it back.
    reset: Option<fn(&mut Role)>,
}

const SETTINGS: [Setting; 13] = [
    Setting {
        path: "policies",
        fields: &["token_policies", "policies"],
        missing: Some("missing token_policies"),
        reset: Some(|role| {
            role.token.policies.clear();
            role.token.aliases.remove("policies");
        }),
    },
    Setting {
        path: "period",
        fields: &["token_period", "period"],
        missing: Some("missing period"),
        reset: Some(|role| {
            role.token.period = 0;
            role.token.aliases.remove("period");
        }),
    },
    Setting {
        path: "bind-secret-id",
        fields: &["bind_secret_id"],
        missing: Some("missing bind_secret_id"),
        reset: Some(|role| role.bind_secret_id = true),
    },
    Setting {
        path: "secret-id-num-uses",
        fields: &["secret_id_num_uses"],
        missing: Some("missing secret_id_num_uses"),
        reset: Some(|role| role.secret_id_num_uses = 0),
    },
    Setting {
        path: "secret-id-ttl",
        fields: &["secret_id_ttl"],
        missing: Some("missing secret_id_ttl"),
        reset: Some(|role| role.secret_id_ttl = 0),
    },
    Setting {
        path: "token-num-uses",
        fields: &["token_num_uses"],
        missing: Some("missing token_num_uses"),
        reset: Some(|role| role.token.num_uses = 0),
    },
    Setting {
        path: "token-ttl",
        fields: &["token_ttl"],
        missing: Some("missing token_ttl"),
        reset: Some(|role| role.token.ttl = 0),
    },
    Setting {
        path: "token-max-ttl",
        fields: &["token_max_ttl"],
        missing: Some("missing token_max_ttl"),
        reset: Some(|role| role.token.max_ttl = 0),
    },
    Setting {
        path: "secret-id-bound-cidrs",
        fields: &["secret_id_bound_cidrs"],
        missing: None,
        reset: Some(|role| role.secret_id_bound_cidrs = None),
    },
    Setting {
        path: "bound-cidr-list",
        fields: &["bound_cidr_list"],
        missing: None,
        reset: Some(|role| role.secret_id_bound_cidrs = None),
    },
    Setting {
        path: "token-bound-cidrs",
        fields: &["token_bound_cidrs"],
        missing: None,
        reset: Some(|role| role.token.bound_cidrs = TokenParams::default().bound_cidrs),
    },
    Setting {
        path: "role-id",
        fields: &["role_id"],
        missing: Some("missing role_id"),
        reset: None,
    },
    Setting { path: "local-secret-ids", fields: &["local_secret_ids"], missing: None, reset: None },
];

/// Reads, writes or resets one parameter.
pub(super) fn handle(
    call: &mut Call<'_, '_>,
    name: &str,
    path: &str,
) -> Result<Answer, VaultError> {
    let setting =
        SETTINGS.iter().find(|setting| setting.path == path).ok_or_else(unsupported_path)?;
    let role = role::by_name(&mut call.storage, name)?;
    match call.request.operation {
        Operation::Read => {
            let role = role.ok_or_else(VaultError::not_found)?;
            Ok(read(&role, setting).into())
        }
        Operation::Write if path != "local-secret-ids" => {
            let role = role.ok_or_else(unsupported_path)?;
            write(call, Role::clone(&role), setting)
        }
        Operation::Delete => {
            let reset = setting.reset.ok_or(VaultError::Unsupported)?;
            let Some(role) = role else { return Ok(Response::default().into()) };
            let mut role = Role::clone(&role);
            reset(&mut role);
            // Nothing is read from an empty body; the checks are what counts.
            role.update(Fields(&Map::new()), call.mount.max_lease_ttl)?;
            save(call, &role)
        }
        Operation::Write | Operation::List | Operation::Patch => Err(VaultError::Unsupported),
    }
}

fn read(role: &Role, setting: &Setting) -> Response {
    let mut known = role.describe();
    known.insert("role_id".into(), role.role_id.clone().into());
    known.insert("bound_cidr_list".into(), role.secret_id_bound_cidrs.clone().into());
    let mut response = Response::data(picked(&known, setting));
    if setting.path == "bound-cidr-list" {
        response.warnings.push(
            "The \"bound_cidr_list\" field is deprecated and will be removed. Please use \
             \"secret_id_bound_cidrs\" instead."
                .to_owned(),
        );
    }
    response
}

fn write(call: &mut Call<'_, '_>, mut role: Role, setting: &Setting) -> Result<Answer, VaultError> {
    let fields = Fields::of(call.request);
    let is_given = setting.fields.iter().any(|field| fields.has(field));
    match setting.missing {
        Some(missing) if !is_given => return Err(VaultError::invalid(missing)),
        _ if !is_given => return Ok(Response::default().into()),
        _ => {}
    }
    let previous_role_id = role.role_id.clone();
    let only = picked(&call.request.data, setting);
    role.update(Fields(&only), call.mount.max_lease_ttl)?;
    role.store(&mut call.storage, Some(&previous_role_id))?;
    Ok(Response::default().into())
}

fn save(call: &mut Call<'_, '_>, role: &Role) -> Result<Answer, VaultError> {
    role.store(&mut call.storage, Some(&role.role_id))?;
    Ok(Response::default().into())
}

/// What of `data` belongs to the setting.
fn picked(data: &Map<String, Value>, setting: &Setting) -> Map<String, Value> {
    let field = |name: &&str| Some(((*name).to_owned(), data.get(*name)?.clone()));
    setting.fields.iter().filter_map(field).collect()
}
