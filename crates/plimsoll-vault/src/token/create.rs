//! `auth/token/create` and `auth/token/create-orphan`: Vault's rules of who may
//! ask for what.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::context::Context;
use crate::error::VaultError;
use crate::response::Response;
use crate::token::entry::{TokenEntry, TokenKind};
use crate::token::issue::NewToken;
use crate::token::policies::{conversion_error, names_field, sanitized};
use crate::token::ttl::{Terms, Ttls, granted_ttl};
use crate::token::{TokenCall, TokenService};
use crate::{duration, policy};

/// Metadata of one token: pairs, and bytes of a key or value.
const META_PAIRS_MAX: usize = 64;
const META_BYTES_MAX: usize = 4096;
const ID_BYTES_MAX: usize = 512;

/// Policies that Vault keeps for itself.
const NOT_ASSIGNABLE: [&str; 2] = ["response-wrapping", "control-group"];

/// What the body asks for, parsed but not yet allowed.
#[derive(Debug)]
struct Wish {
    id: Option<String>,
    policies: Vec<String>,
    meta: BTreeMap<String, String>,
    no_parent: bool,
    no_default_policy: bool,
    renewable: bool,
    ttl: u64,
    explicit_max_ttl: u64,
    period: u64,
    display_name: String,
    num_uses: u64,
    kind: TokenKind,
}

impl TokenService {
    pub(super) fn create(
        &self,
        cx: &mut Context<'_>,
        call: &TokenCall<'_>,
        orphan: bool,
    ) -> Result<Response, VaultError> {
        let parent = &*call.caller.entry;
        if parent.kind == TokenKind::Batch {
            return Err(VaultError::invalid("batch tokens cannot create more tokens"));
        }
        if parent.num_uses > 0 {
            return Err(VaultError::invalid("restricted use token cannot generate child tokens"));
        }
        let wish = Wish::parse(&call.request.data)?;
        let mut warnings = Vec::new();
        let policies = wish.policies(parent, call.sudo)?;
        wish.check(&policies, call.sudo)?;
        let ttl = wish.granted_ttl(&policies, parent, call.ttls, &mut warnings)?;
        warn_of_missing(cx, &policies, &mut warnings)?;
        let is_orphan = orphan || wish.no_parent;
        let token = NewToken {
            id: wish.id.map(SecretString::from),
            policies,
            path: call.request.path.clone(),
            display_name: wish.display_name,
            meta: Some(wish.meta),
            num_uses: wish.num_uses,
            ttl,
            max_ttl: call.ttls.max,
            explicit_max_ttl: wish.explicit_max_ttl,
            period: wish.period,
            // What never ends has nothing to renew.
            renewable: wish.renewable && ttl > 0 && wish.kind == TokenKind::Service,
            parent: (!is_orphan).then(|| call.caller.hash.clone()),
            // Else a bound token could make itself an unbound one.
            bound_cidrs: parent.bound_cidrs.clone(),
            kind: wish.kind,
        };
        let issued = self.issue(cx, token)?;
        Ok(Response { auth: Some(issued.auth), warnings, ..Response::default() })
    }
}

impl Wish {
    fn parse(data: &Map<String, Value>) -> Result<Self, VaultError> {
        // The bao command line always sends the field, mostly empty.
        if text(data, "entity_alias")?.is_some_and(|alias| !alias.is_empty()) {
            return Err(VaultError::invalid(
                "'entity_alias' is only allowed in combination with token role",
            ));
        }
        let kind = match text(data, "type")?.as_deref() {
            None | Some("" | "service") => TokenKind::Service,
            Some("batch") => TokenKind::Batch,
            Some(_) => return Err(VaultError::invalid("invalid 'token_type' value")),
        };
        let ttl = match positive(data, "ttl")? {
            0 => positive(data, "lease")?,
            ttl => ttl,
        };
        Ok(Self {
            id: text(data, "id")?.filter(|id| !id.is_empty()),
            policies: names_field(data.get("policies"), "policies")?,
            meta: meta(data.get("meta"))?,
            no_parent: flag(data, "no_parent")?.unwrap_or(false),
            no_default_policy: flag(data, "no_default_policy")?.unwrap_or(false),
            renewable: flag(data, "renewable")?.unwrap_or(true),
            ttl,
            explicit_max_ttl: positive(data, "explicit_max_ttl")?,
            period: positive(data, "period")?,
            display_name: display_name(text(data, "display_name")?.as_deref()),
            num_uses: count(data.get("num_uses"))?,
            kind,
        })
    }

    /// Without `sudo`, at most those of the parent.
    fn policies(&self, parent: &TokenEntry, sudo: bool) -> Result<Vec<String>, VaultError> {
        let mut policies = if self.policies.is_empty() {
            parent.policies.clone()
        } else if sudo {
            sanitized(&self.policies, !self.no_default_policy)
        } else {
            let asked = sanitized(&self.policies, false);
            if !asked.iter().all(|policy| parent.policies.contains(policy)) {
                return Err(VaultError::invalid("child policies must be subset of parent"));
            }
            let has_default = parent.policies.iter().any(|policy| policy == "default");
            sanitized(&asked, has_default && !self.no_default_policy)
        };
        if self.no_default_policy {
            policies.retain(|policy| policy != "default");
        }
        if let Some(policy) = policies.iter().find(|name| NOT_ASSIGNABLE.contains(&name.as_str())) {
            return Err(VaultError::invalid(format!("cannot assign policy \"{policy}\"")));
        }
        if is_root(&policies) && !parent.is_root() {
            return Err(VaultError::invalid(
                "root tokens may not be created without parent token being root",
            ));
        }
        Ok(policies)
    }

    fn check(&self, policies: &[String], sudo: bool) -> Result<(), VaultError> {
        let refuse = |message: &str| Err(VaultError::invalid(message));
        if self.kind == TokenKind::Batch {
            if is_root(policies) {
                return refuse("batch tokens cannot be root tokens");
            }
            for (is_set, field) in [
                (self.num_uses > 0, "num_uses"),
                (self.explicit_max_ttl > 0, "explicit_max_ttl"),
                (self.period > 0, "period"),
                (self.id.is_some(), "id"),
            ] {
                if is_set {
                    return refuse(&format!("batch tokens cannot have \"{field}\" set"));
                }
            }
        }
        if let Some(id) = &self.id {
            if !sudo {
                return refuse("root or sudo privileges required to specify token id");
            }
            if id.contains('.') {
                return refuse("custom token ID cannot have a '.' in the value");
            }
            if id.len() > ID_BYTES_MAX {
                return refuse("custom token ID is too long");
            }
        }
        if self.no_parent && !sudo {
            return refuse("root or sudo privileges required to create orphan token");
        }
        if self.period > 0 && !sudo {
            return refuse("root or sudo privileges required to create periodic token");
        }
        Ok(())
    }

    /// Seconds; 0 for a root token that never ends.
    fn granted_ttl(
        &self,
        policies: &[String],
        parent: &TokenEntry,
        ttls: Ttls,
        warnings: &mut Vec<String>,
    ) -> Result<u64, VaultError> {
        let is_endless =
            is_root(policies) && self.ttl == 0 && self.period == 0 && self.explicit_max_ttl == 0;
        if is_endless {
            if parent.expires_ms.is_some() {
                return Err(VaultError::invalid(
                    "expiring root tokens cannot create non-expiring root tokens",
                ));
            }
            return Ok(0);
        }
        let terms = Terms {
            ttl: self.ttl,
            period: self.period,
            explicit_max_ttl: self.explicit_max_ttl,
            ..Terms::default()
        };
        granted_ttl(terms, ttls, warnings)
    }
}

fn is_root(policies: &[String]) -> bool {
    policies.iter().any(|policy| policy == "root")
}

fn warn_of_missing(
    cx: &mut Context<'_>,
    policies: &[String],
    warnings: &mut Vec<String>,
) -> Result<(), VaultError> {
    for name in policies {
        if !policy::exists(cx, name)? {
            warnings.push(format!("Policy \"{name}\" does not exist"));
        }
    }
    Ok(())
}

fn text(data: &Map<String, Value>, field: &str) -> Result<Option<String>, VaultError> {
    match data.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(conversion_error(field, "a string")),
    }
}

fn flag(data: &Map<String, Value>, field: &str) -> Result<Option<bool>, VaultError> {
    match data.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(Value::String(text)) => match text.as_str() {
            "" => Ok(None),
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Some(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Some(false)),
            _ => Err(conversion_error(field, "a boolean")),
        },
        Some(Value::Number(number)) => Ok(Some(number.as_u64() != Some(0))),
        Some(_) => Err(conversion_error(field, "a boolean")),
    }
}

fn positive(data: &Map<String, Value>, field: &str) -> Result<u64, VaultError> {
    let is_negative = match data.get(field) {
        Some(Value::String(text)) => text.trim_start().starts_with('-'),
        Some(Value::Number(number)) => number.as_f64().is_some_and(|number| number < 0.0),
        _ => false,
    };
    if is_negative {
        return Err(VaultError::invalid(format!("{field} must be positive")));
    }
    Ok(duration::duration_field(data, field)?.unwrap_or(0))
}

fn count(value: Option<&Value>) -> Result<u64, VaultError> {
    let count = match value {
        None | Some(Value::Null) => Some(0),
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) if text.is_empty() => Some(0),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    let count = count.ok_or_else(|| conversion_error("num_uses", "an integer"))?;
    u64::try_from(count).map_err(|_| VaultError::invalid("number of uses cannot be negative"))
}

fn meta(value: Option<&Value>) -> Result<BTreeMap<String, String>, VaultError> {
    let pairs = match value {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(pairs)) => pairs,
        Some(_) => return Err(conversion_error("meta", "a map of strings")),
    };
    if pairs.len() > META_PAIRS_MAX {
        return Err(VaultError::invalid(format!("more than {META_PAIRS_MAX} pairs in \"meta\"")));
    }
    let mut meta = BTreeMap::new();
    for (key, value) in pairs {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => return Err(conversion_error("meta", "a map of strings")),
        };
        if key.len() > META_BYTES_MAX || value.len() > META_BYTES_MAX {
            return Err(VaultError::invalid(format!(
                "a key or value of \"meta\" is longer than {META_BYTES_MAX} bytes"
            )));
        }
        meta.insert(key.clone(), value);
    }
    Ok(meta)
}

/// `token`, or `token-` and what of the name is letters, digits and dashes.
fn display_name(name: Option<&str>) -> String {
    const NAME_CHARS_MAX: usize = 512;
    let name: String = name
        .unwrap_or_default()
        .chars()
        .take(NAME_CHARS_MAX)
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' })
        .collect();
    format!("token-{name}").trim_end_matches('-').to_owned()
}
