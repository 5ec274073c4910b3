//! The `token_*` parameters that all auth methods share: what the tokens are
//! like that a role or a user is granted.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::backend::Grant;
use crate::engines::fields::Fields;
use crate::error::VaultError;

/// What kind of token is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TokenType {
    /// As the mount says.
    #[default]
    Default,
    /// Stored, renewable, revocable.
    Service,
    /// Carries everything in itself; cannot be renewed.
    Batch,
}

impl TokenType {
    const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Service => "service",
            Self::Batch => "batch",
        }
    }

    fn parse(text: &str) -> Result<Self, VaultError> {
        match text {
            "" | "default" => Ok(Self::Default),
            "service" => Ok(Self::Service),
            "batch" => Ok(Self::Batch),
            _ => Err(VaultError::invalid(format!("invalid 'token_type' value \"{text}\""))),
        }
    }
}

/// Parameters of the tokens to be granted. Durations are in seconds, 0 is the
/// mount's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TokenParams {
    pub(crate) bound_cidrs: Vec<String>,
    pub(crate) explicit_max_ttl: u64,
    pub(crate) max_ttl: u64,
    pub(crate) no_default_policy: bool,
    pub(crate) num_uses: u64,
    pub(crate) period: u64,
    pub(crate) policies: Vec<String>,
    pub(crate) strictly_bind_ip: bool,
    pub(crate) token_type: TokenType,
    pub(crate) ttl: u64,
    /// The deprecated names under which something was given. Clients that write
    /// them expect to read them.
    pub(crate) aliases: BTreeSet<String>,
}

/// A parameter and the deprecated name that it may also have.
pub(crate) type Alias = (&'static str, &'static str);

impl TokenParams {
    /// Takes over what is given; what is absent stays.
    ///
    /// # Errors
    /// Something is unreadable, or the result contradicts itself.
    pub(crate) fn update(
        &mut self,
        fields: Fields<'_>,
        aliases: &[Alias],
    ) -> Result<(), VaultError> {
        let source = |name| self.source(fields, name, aliases);
        let (policies, period) = (source("token_policies"), source("token_period"));
        let (ttl, max_ttl) = (source("token_ttl"), source("token_max_ttl"));
        let bound_cidrs = source("token_bound_cidrs");
        self.remember_aliases(fields, aliases);

        set(&mut self.bound_cidrs, fields.cidrs(bound_cidrs)?);
        set(&mut self.explicit_max_ttl, fields.seconds("token_explicit_max_ttl")?);
        set(&mut self.max_ttl, fields.seconds(max_ttl)?);
        set(&mut self.no_default_policy, fields.flag("token_no_default_policy")?);
        let negative = "'token_num_uses' cannot be negative";
        set(&mut self.num_uses, fields.count("token_num_uses", negative)?);
        set(&mut self.period, fields.seconds(period)?);
        // The deprecated name normalises, the new one does not.
        let names = match policies {
            "token_policies" => fields.list(policies)?,
            _ => fields.policies(policies)?,
        };
        set(&mut self.policies, names);
        set(&mut self.strictly_bind_ip, fields.flag("token_strictly_bind_ip")?);
        let token_type = fields.text("token_type")?.map(|text| TokenType::parse(&text));
        set(&mut self.token_type, token_type.transpose()?);
        set(&mut self.ttl, fields.seconds(ttl)?);
        self.check()
    }

    /// Which of the two names a parameter is read from.
    fn source(&self, fields: Fields<'_>, name: &'static str, aliases: &[Alias]) -> &'static str {
        match aliases.iter().find(|(known, _)| *known == name) {
            Some((_, alias)) if !fields.has(name) && fields.has(alias) => alias,
            _ => name,
        }
    }

    fn remember_aliases(&mut self, fields: Fields<'_>, aliases: &[Alias]) {
        for (name, alias) in aliases {
            if fields.has(alias) {
                self.aliases.insert((*alias).to_owned());
            } else if fields.has(name) {
                self.aliases.remove(*alias);
            }
        }
    }

    fn check(&self) -> Result<(), VaultError> {
        let refusal = if self.token_type == TokenType::Batch && self.period != 0 {
            "'token_type' cannot be 'batch' or 'default_batch' when set to generate periodic tokens"
        } else if self.token_type == TokenType::Batch && self.num_uses != 0 {
            "'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens with \
             limited use count"
        } else if self.max_ttl > 0 && self.ttl > self.max_ttl {
            "'token_ttl' cannot be greater than 'token_max_ttl'"
        } else if self.strictly_bind_ip && !self.bound_cidrs.is_empty() {
            "'token_strictly_bind_ip' conflicts with 'token_bound_cidrs'; set only one"
        } else {
            return Ok(());
        };
        Err(VaultError::invalid(refusal))
    }

    /// Adds the parameters to an answer.
    pub(crate) fn describe(&self, data: &mut Map<String, Value>, aliases: &[Alias]) {
        let pairs: [(&str, Value); 10] = [
            ("token_bound_cidrs", self.bound_cidrs.clone().into()),
            ("token_explicit_max_ttl", self.explicit_max_ttl.into()),
            ("token_max_ttl", self.max_ttl.into()),
            ("token_no_default_policy", self.no_default_policy.into()),
            ("token_num_uses", self.num_uses.into()),
            ("token_period", self.period.into()),
            ("token_policies", self.policies.clone().into()),
            ("token_strictly_bind_ip", self.strictly_bind_ip.into()),
            ("token_ttl", self.ttl.into()),
            ("token_type", self.token_type.name().into()),
        ];
        for (name, value) in pairs {
            let alias = aliases.iter().find(|(known, _)| *known == name);
            if let Some((_, alias)) = alias.filter(|(_, alias)| self.shows(alias, &value)) {
                data.insert((*alias).to_owned(), value.clone());
            }
            data.insert(name.to_owned(), value);
        }
    }

    /// A deprecated name is shown if it was written and says anything.
    fn shows(&self, alias: &str, value: &Value) -> bool {
        let says_nothing = value.as_u64() == Some(0) || value.as_array().is_some_and(Vec::is_empty);
        self.aliases.contains(alias) && !says_nothing
    }

    /// What a login from `remote` is granted.
    pub(crate) fn grant(&self, remote: IpAddr) -> Grant {
        Grant {
            policies: self.policies.clone(),
            no_default_policy: self.no_default_policy,
            ttl: self.ttl,
            max_ttl: self.max_ttl,
            period: self.period,
            explicit_max_ttl: self.explicit_max_ttl,
            num_uses: self.num_uses,
            bound_cidrs: if self.strictly_bind_ip {
                vec![remote.to_canonical().to_string()]
            } else {
                self.bound_cidrs.clone()
            },
            token_type: match self.token_type {
                TokenType::Default => String::new(),
                other => other.name().to_owned(),
            },
            ..Grant::default()
        }
    }
}

/// Overwrites `target` if there is a new value.
pub(crate) fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}
