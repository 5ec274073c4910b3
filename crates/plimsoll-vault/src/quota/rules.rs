//! Rate limits as whoever counts requests needs them: found by path, without
//! looking at those that do not apply.

use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use plimsoll::quota::Limit;

use crate::quota::config::QuotaConfig;
use crate::quota::entry::{GroupBy, RateLimit, RateLimits};
use crate::quota::scope::Precedence;

/// What the violations of a quota are counted under.
pub const VIOLATIONS_NAME: &str = "quota.rate_limit.violation";

/// One rate limit.
#[derive(Debug)]
#[non_exhaustive]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// Names what was counted for it.
    pub id: u64,
    /// Whom it keeps apart.
    pub group_by: GroupBy,
    /// What is allowed.
    pub limit: Limit,
    /// What is allowed to callers who are not known, if they are told apart.
    pub secondary: Limit,
    /// Requests it has refused since the start.
    violations: AtomicU64,
}

impl Rule {
    fn new(name: &str, quota: &RateLimit, before: &Rules) -> Option<Self> {
        let limit = quota.limit(quota.rate).ok()?;
        let secondary = match quota.group_by.has_secondary() {
            true => quota.limit(quota.secondary_rate).ok()?,
            false => limit,
        };
        let violations = before.iter().find(|rule| &*rule.name == name);
        let violations = AtomicU64::new(violations.map_or(0, |rule| rule.violations()));
        let (name, id, group_by) = (Arc::from(name), quota.id, quota.group_by);
        Some(Self { name, id, group_by, limit, secondary, violations })
    }

    /// It has refused a request.
    pub fn violated(&self) {
        self.violations.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests it has refused since the start.
    pub fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }
}

type Group = Vec<Arc<Rule>>;

/// All rate limits and what is exempt from them.
#[derive(Debug, Default)]
pub struct Rules {
    all: Group,
    global: Group,
    mounts: HashMap<String, Group>,
    /// By what stands in front of the `*`, and the lengths of those, longest first.
    prefixes: HashMap<String, Group>,
    prefix_lengths: Vec<usize>,
    paths: HashMap<String, Group>,
    /// By mount and role.
    roles: HashMap<String, HashMap<String, Group>>,
    exempt: HashSet<String>,
    exempt_prefixes: Vec<String>,
    response_headers: bool,
    audit_logging: bool,
}

impl Rules {
    pub(crate) fn compile(quotas: &RateLimits, config: &QuotaConfig, before: &Self) -> Self {
        let mut rules = Self {
            response_headers: config.enable_rate_limit_response_headers,
            audit_logging: config.enable_rate_limit_audit_logging,
            ..Self::default()
        };
        for (name, quota) in quotas.iter() {
            if let Some(rule) = Rule::new(name, quota, before) {
                rules.add(quota, Arc::new(rule));
            }
        }
        rules.prefix_lengths = rules.prefixes.keys().map(String::len).collect();
        rules.prefix_lengths.sort_unstable_by(|a, b| b.cmp(a));
        rules.prefix_lengths.dedup();
        let exempt = &config.rate_limit_exempt_paths;
        for path in exempt.iter().chain(&config.absolute_rate_limit_exempt_paths) {
            let path = path.trim_matches('/');
            match path.strip_suffix('*') {
                Some(prefix) => rules.exempt_prefixes.push(prefix.to_owned()),
                None => drop(rules.exempt.insert(path.to_owned())),
            }
        }
        rules
    }

    fn add(&mut self, quota: &RateLimit, rule: Arc<Rule>) {
        self.all.push(Arc::clone(&rule));
        let scope = &quota.scope;
        let path = scope.path();
        let group = match scope.precedence() {
            Precedence::Global => &mut self.global,
            Precedence::Mount => self.mounts.entry(path).or_default(),
            Precedence::Prefix(_) => {
                self.prefixes.entry(path.trim_end_matches('*').to_owned()).or_default()
            }
            Precedence::Path => self.paths.entry(path).or_default(),
            Precedence::Role => {
                let roles = self.roles.entry(path).or_default();
                roles.entry(scope.role.clone()).or_default()
            }
        };
        group.push(rule);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.all.iter().map(|rule| &**rule)
    }

    /// Whether there is nothing to count.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether a path is exempt.
    pub fn is_exempt(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.exempt.contains(path)
            || self.exempt_prefixes.iter().any(|prefix| path.starts_with(prefix))
    }

    /// Whether answers tell clients what is left.
    pub const fn response_headers(&self) -> bool {
        self.response_headers
    }

    /// Whether refusals go to the audit log.
    pub const fn audit_logging(&self) -> bool {
        self.audit_logging
    }

    /// Whether it depends on a login's role which rules apply to a path.
    pub fn needs_role(&self, path: &str) -> bool {
        !self.roles.is_empty() && mounts(path).any(|mount| self.roles.contains_key(mount))
    }

    /// The rules that apply to a request: those of the most specific scope.
    pub fn matching(&self, path: &str, role: Option<&str>) -> &[Arc<Rule>] {
        if let Some(role) = role
            && let Some(group) =
                mounts(path).find_map(|mount| self.roles.get(mount).and_then(|of| of.get(role)))
        {
            return group;
        }
        if let Some(group) = self.paths.get(path.trim_end_matches('/')) {
            return group;
        }
        let prefixes = self.prefix_lengths.iter().filter_map(|length| path.get(..*length));
        if let Some(group) = prefixes.filter_map(|prefix| self.prefixes.get(prefix)).next() {
            return group;
        }
        let mount = || mounts(path).find_map(|mount| self.mounts.get(mount));
        // A mount's own path, without the slash.
        let bare = || self.mounts.get(&format!("{path}/"));
        let group = (!self.mounts.is_empty()).then(|| mount().or_else(bare)).flatten();
        group.unwrap_or(&self.global)
    }
}

/// What could be a path's mount: all of it up to each slash.
fn mounts(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..=at])
}
