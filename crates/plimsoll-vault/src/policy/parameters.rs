//! Which parameters a request may or must carry.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Values by parameter, in lower case; an empty list stands for any value, and
/// `*` for any parameter.
pub(crate) type Values = BTreeMap<String, Vec<Value>>;

/// Limits on parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Parameters {
    pub(crate) allowed: Values,
    pub(crate) denied: Values,
    pub(crate) required: Vec<String>,
}

impl Parameters {
    pub(crate) fn allow(&self, data: &Map<String, Value>) -> bool {
        if self.required.iter().any(|name| !data.contains_key(&name.to_lowercase())) {
            return false;
        }
        data.is_empty() || (!self.deny_any(data) && self.allow_all(data))
    }

    fn deny_any(&self, data: &Map<String, Value>) -> bool {
        if self.denied.is_empty() {
            return false;
        }
        self.denied.contains_key("*")
            || data.iter().any(|(name, value)| {
                self.denied.get(&name.to_lowercase()).is_some_and(|denied| matches(value, denied))
            })
    }

    fn allow_all(&self, data: &Map<String, Value>) -> bool {
        let others_allowed = self.allowed.contains_key("*");
        if self.allowed.is_empty() || (self.allowed.len() == 1 && others_allowed) {
            return true;
        }
        data.iter().all(|(name, value)| match self.allowed.get(&name.to_lowercase()) {
            Some(allowed) => matches(value, allowed),
            None => others_allowed,
        })
    }

    /// Adds the limits of another rule with the same pattern.
    pub(crate) fn merge(&mut self, other: &Self) {
        merge_values(&mut self.allowed, &other.allowed);
        merge_values(&mut self.denied, &other.denied);
        for name in &other.required {
            if !self.required.contains(name) {
                self.required.push(name.clone());
            }
        }
    }
}

/// "Any value" swallows the values of the other.
fn merge_values(values: &mut Values, other: &Values) {
    for (name, added) in other {
        match values.get_mut(name) {
            None => {
                values.insert(name.clone(), added.clone());
            }
            Some(known) if known.is_empty() || added.is_empty() => known.clear(),
            Some(known) => known.extend(added.iter().cloned()),
        }
    }
}

fn matches(value: &Value, patterns: &[Value]) -> bool {
    patterns.is_empty()
        || patterns.iter().any(|pattern| match (pattern, value) {
            (Value::String(pattern), Value::String(value)) => glob_matches(pattern, value),
            _ => pattern == value,
        })
}

/// `*` at either end stands for anything; a lone `*` is itself.
fn glob_matches(pattern: &str, value: &str) -> bool {
    if pattern.len() < 2 {
        return pattern == value;
    }
    let (head, tail) = (pattern.strip_prefix('*'), pattern.strip_suffix('*'));
    match (head, tail) {
        (Some(_), Some(_)) => value.contains(&pattern[1..pattern.len() - 1]),
        (Some(end), None) => value.ends_with(end),
        (None, Some(start)) => value.starts_with(start),
        (None, None) => pattern == value,
    }
}
