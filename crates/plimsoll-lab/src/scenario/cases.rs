//! From a file to its cases.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;
use toml::{Table, Value};

use super::{Clients, Expect, Measure, Scenario, Server, Slowdown, Stall};

/// Why a file is no scenario, in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// It could not be read.
    #[error("cannot read {path}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML, or not a scenario.
    #[error("{name}: {reason}")]
    Invalid {
        /// The scenario's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    title: String,
    server: Server,
    clients: BTreeMap<String, Clients>,
    #[serde(default)]
    slowdown: Vec<Slowdown>,
    #[serde(default)]
    stall: Vec<Stall>,
    measure: Measure,
    #[serde(default)]
    expect: Expect,
}

const CASES_MAX: usize = 100;
/// A run of a day would take longer than anybody waits for it.
const SECONDS_MAX: f64 = 7_200.0;
const REQUESTS_MAX: f64 = 2e8;

/// Reads a scenario file.
///
/// # Errors
/// It cannot be read or is no scenario.
pub fn load(path: &Path) -> Result<Vec<Scenario>, ScenarioError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ScenarioError::Read { path: path.display().to_string(), source })?;
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    parse(&stem.to_string_lossy(), &text)
}

/// Reads the cases of a scenario called `name`.
///
/// # Errors
/// The text is no scenario.
pub fn parse(name: &str, text: &str) -> Result<Vec<Scenario>, ScenarioError> {
    tables(name, text)?.into_iter().map(|(name, table)| named(&name, build(&name, table))).collect()
}

/// What was built from the case of that name, or what is wrong with it.
pub(crate) fn named<T>(name: &str, built: Result<T, String>) -> Result<T, ScenarioError> {
    built.map_err(|reason| ScenarioError::Invalid {
        name: name.to_owned(),
        reason: reason.lines().map(str::trim).collect::<Vec<_>>().join(" "),
    })
}

/// The cases of a file by name, each merged over what they share.
pub(crate) fn tables(name: &str, text: &str) -> Result<Vec<(String, Table)>, ScenarioError> {
    let invalid = |name: &str, reason: &str| named::<Vec<_>>(name, Err(reason.to_owned()));
    let mut base: Table = named(
        name,
        text.parse().map_err(|error: toml::de::Error| {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            format!("line {line}: {}", error.message())
        }),
    )?;
    let overrides = match base.remove("case") {
        None => return Ok(vec![(name.to_owned(), base)]),
        Some(Value::Array(cases)) if !cases.is_empty() && cases.len() <= CASES_MAX => cases,
        Some(_) => {
            let reason = format!("case is a list of 1 to {CASES_MAX} tables, [[case]]");
            return invalid(name, &reason);
        }
    };
    let mut cases = Vec::new();
    for value in overrides {
        let Value::Table(mut change) = value else {
            return invalid(name, "a case is a table");
        };
        let Some(Value::String(case)) = change.remove("name") else {
            return invalid(name, "every [[case]] needs a name");
        };
        cases.push((format!("{name}/{case}"), merge(base.clone(), change)));
    }
    Ok(cases)
}

/// `change` over `base`, table by table. A table of another `kind` shares nothing
/// with the one before it.
fn merge(mut base: Table, change: Table) -> Table {
    if change.get("kind").is_some_and(|kind| base.get("kind") != Some(kind)) {
        return change;
    }
    for (key, value) in change {
        let merged = match (base.remove(&key), value) {
            (Some(Value::Table(base)), Value::Table(change)) => Value::Table(merge(base, change)),
            (_, value) => value,
        };
        base.insert(key, merged);
    }
    base
}

fn build(name: &str, table: Table) -> Result<Scenario, String> {
    let case = Case::deserialize(table).map_err(|error| error.to_string())?;
    case.server.check()?;
    if case.clients.is_empty() || case.clients.len() > 64 {
        return Err("between 1 and 64 groups of clients are needed".to_owned());
    }
    for (group, clients) in &case.clients {
        clients.check(group, &case.server)?;
    }
    case.slowdown.iter().try_for_each(Slowdown::check)?;
    let measure = case.measure;
    if measure.from >= measure.until || measure.within.nanos() == 0 {
        return Err("measure: from < until, and within more than zero".to_owned());
    }
    let scenario = Scenario {
        name: name.to_owned(),
        title: case.title,
        server: case.server,
        clients: case.clients.into_iter().collect(),
        slowdowns: case.slowdown,
        stalls: case.stall,
        measure,
        expect: case.expect,
    };
    bounded(&scenario).map(|()| scenario)
}

fn bounded(scenario: &Scenario) -> Result<(), String> {
    if scenario.seconds() > SECONDS_MAX {
        return Err(format!("it runs for more than {SECONDS_MAX} s"));
    }
    let requests = scenario.requests();
    if requests > REQUESTS_MAX {
        return Err(format!("{requests:.0} requests are more than {REQUESTS_MAX}"));
    }
    Ok(())
}
