//! From text to rules.

use serde::Deserialize;
use serde_json::Value;

use crate::duration::parse_duration;
use crate::policy::capability::Capabilities;
use crate::policy::hcl::{self, Item, Node};
use crate::policy::parameters::{Parameters, Values};
use crate::policy::store::StoredPolicy;

/// A parsed policy.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "StoredPolicy")]
pub struct Policy {
    pub(crate) rules: Vec<Rule>,
}

/// One `path` block.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) pattern: Pattern,
    pub(crate) permissions: Permissions,
}

/// Which paths a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pattern {
    /// This one.
    Exact(String),
    /// All that start so.
    Prefix(String),
    /// All whose segments match, `+` standing for any. If `is_prefix`, what
    /// follows the text may be anything.
    Segments { text: String, is_prefix: bool },
}

/// What a rule says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Permissions {
    pub(crate) capabilities: Capabilities,
    pub(crate) parameters: Parameters,
    /// Seconds. Nothing can be wrapped here: kept, so that they are told apart
    /// from a mistake.
    pub(crate) min_wrapping_ttl: u64,
    /// See `min_wrapping_ttl`.
    pub(crate) max_wrapping_ttl: u64,
}

const PATH_KEYS: [&str; 8] = [
    "comment",
    "policy",
    "capabilities",
    "allowed_parameters",
    "denied_parameters",
    "required_parameters",
    "min_wrapping_ttl",
    "max_wrapping_ttl",
];

impl TryFrom<StoredPolicy> for Policy {
    type Error = String;

    fn try_from(stored: StoredPolicy) -> Result<Self, String> {
        Self::parse(&stored.text)
    }
}

impl Policy {
    /// Parses HCL, or JSON if the text starts with a brace.
    ///
    /// # Errors
    /// What is wrong and where, in Vault's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_json = text.trim_start().starts_with('{');
        let items = if is_json {
            let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
            match Node::from_json(value) {
                Node::Object(items) => items,
                _ => return Err("root object expected".to_owned()),
            }
        } else {
            hcl::parse(text)?
        };
        refuse_unknown(&items, &["name", "path"])?;
        let mut rules = Vec::new();
        for item in items.into_iter().filter(|item| item.key == "path") {
            parse_paths(item, &mut rules)?;
        }
        Ok(Self { rules })
    }
}

/// `path "x" { ... }`, `path = { "x" = { ... } }` and JSON's lists of these.
fn parse_paths(item: Item, rules: &mut Vec<Rule>) -> Result<(), String> {
    match (item.labels.as_slice(), item.value) {
        ([path], Node::Object(items)) => rules.extend(parse_rule(path, items)?),
        ([], Node::Object(items)) => {
            for item in items {
                let labels = vec![item.key];
                parse_paths(Item { key: String::new(), labels, ..item }, rules)?;
            }
        }
        (labels, Node::List(nodes)) => {
            for value in nodes {
                let labels = labels.to_vec();
                parse_paths(Item { key: String::new(), labels, value, line: item.line }, rules)?;
            }
        }
        _ => return Err(format!("a \"path\" on line {} is not a block", item.line)),
    }
    Ok(())
}

/// `None` for a template: it can match nothing, as there are no entities.
fn parse_rule(path: &str, items: Vec<Item>) -> Result<Option<Rule>, String> {
    let in_path = |error: String| format!("path \"{path}\": {error}");
    refuse_unknown(&items, &PATH_KEYS).map_err(in_path)?;
    let pattern = parse_pattern(path).map_err(in_path)?;
    let mut permissions = Permissions::default();
    for item in items {
        permissions.set(item).map_err(in_path)?;
    }
    permissions.check().map_err(in_path)?;
    Ok((!path.contains("{{")).then_some(Rule { pattern, permissions }))
}

fn parse_pattern(path: &str) -> Result<Pattern, String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.contains("+*") {
        return Err(format!("path \"{path}\": invalid use of wildcards ('+*' is forbidden)"));
    }
    let (stem, is_prefix) = match path.strip_suffix('*') {
        Some(stem) => (stem, true),
        None => (path, false),
    };
    let stem = stem.to_owned();
    Ok(if path.split('/').any(|segment| segment == "+") {
        Pattern::Segments { text: stem, is_prefix }
    } else if is_prefix {
        Pattern::Prefix(stem)
    } else {
        Pattern::Exact(stem)
    })
}

impl Permissions {
    fn set(&mut self, item: Item) -> Result<(), String> {
        let key = item.key.as_str();
        if !item.labels.is_empty() {
            return Err(format!("\"{key}\" on line {} has a label", item.line));
        }
        match (key, item.value) {
            ("comment", _) => {}
            ("policy", Node::Scalar(Value::String(name))) => {
                self.capabilities |= Capabilities::of_legacy_policy(&name)
                    .ok_or_else(|| format!("invalid policy \"{name}\""))?;
            }
            ("capabilities", Node::List(names)) => {
                for name in strings(names, key)? {
                    self.capabilities |= Capabilities::parse(&name)
                        .ok_or_else(|| format!("invalid capability \"{name}\""))?;
                }
            }
            ("allowed_parameters", value) => add_values(&mut self.parameters.allowed, value, key)?,
            ("denied_parameters", value) => add_values(&mut self.parameters.denied, value, key)?,
            ("required_parameters", Node::List(names)) => {
                self.parameters.required.extend(strings(names, key)?);
            }
            ("min_wrapping_ttl", Node::Scalar(ttl)) => self.min_wrapping_ttl = seconds(&ttl)?,
            ("max_wrapping_ttl", Node::Scalar(ttl)) => self.max_wrapping_ttl = seconds(&ttl)?,
            _ => return Err(format!("\"{key}\" on line {} is of the wrong type", item.line)),
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), String> {
        if self.max_wrapping_ttl > 0 && self.max_wrapping_ttl < self.min_wrapping_ttl {
            return Err("max_wrapping_ttl cannot be less than min_wrapping_ttl".to_owned());
        }
        if self.capabilities.contains(Capabilities::DENY) {
            *self = Self { capabilities: Capabilities::DENY, ..Self::default() };
        }
        Ok(())
    }

    /// Adds what another rule with the same pattern says: `deny` leaves nothing
    /// else.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.capabilities.contains(Capabilities::DENY) {
            return;
        }
        if other.capabilities.contains(Capabilities::DENY) {
            *self = other.clone();
            return;
        }
        self.capabilities |= other.capabilities;
        self.parameters.merge(&other.parameters);
        self.min_wrapping_ttl = lesser(self.min_wrapping_ttl, other.min_wrapping_ttl);
        self.max_wrapping_ttl = lesser(self.max_wrapping_ttl, other.max_wrapping_ttl);
    }
}

/// 0 is "not set".
fn lesser(one: u64, other: u64) -> u64 {
    if one == 0 || other == 0 { one.max(other) } else { one.min(other) }
}

fn refuse_unknown(items: &[Item], known: &[&str]) -> Result<(), String> {
    let unknown: Vec<String> = items
        .iter()
        .filter(|item| !known.contains(&item.key.as_str()))
        .map(|item| format!("\t* invalid key \"{}\" on line {}\n", item.key, item.line))
        .collect();
    match unknown.len() {
        0 => Ok(()),
        1 => Err(format!("1 error occurred:\n{}\n", unknown.concat())),
        count => Err(format!("{count} errors occurred:\n{}\n", unknown.concat())),
    }
}

fn strings(nodes: Vec<Node>, key: &str) -> Result<Vec<String>, String> {
    let text = |node| match node {
        Node::Scalar(Value::String(text)) => Ok(text),
        _ => Err(format!("\"{key}\" must be a list of strings")),
    };
    nodes.into_iter().map(text).collect()
}

fn seconds(value: &Value) -> Result<u64, String> {
    parse_duration(value).map_err(|error| error.to_string())
}

/// `{ name = [values] }`, or a list of these.
fn add_values(values: &mut Values, node: Node, key: &str) -> Result<(), String> {
    match node {
        Node::Object(items) => {
            for item in items {
                let Node::List(nodes) = item.value else {
                    return Err(format!("\"{}\" in \"{key}\" must be a list", item.key));
                };
                let listed = nodes.into_iter().map(Node::into_json).collect();
                values.insert(item.key.to_lowercase(), listed);
            }
            Ok(())
        }
        Node::List(nodes) => nodes.into_iter().try_for_each(|node| match node {
            Node::Object(_) => add_values(values, node, key),
            _ => Err(format!("\"{key}\" must be a map of lists")),
        }),
        Node::Scalar(_) => Err(format!("\"{key}\" must be a map of lists")),
    }
}
