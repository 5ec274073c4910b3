//! All cases under all controllers, and the table.

use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use super::{
    Contender, Record, Scenario, Score, best_fixed, contest, contest::RIVALS, parse, pass_marks,
};
use crate::scenario::{PassMark, ScenarioError};

/// One case and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpaqueCase {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub title: String,
    /// The best fixed limit in hindsight at the first seed,
    pub best_limit: u32,
    /// its answers in time per second,
    pub best_goodput: f64,
    /// and its 99th percentile, in milliseconds.
    pub best_p99_ms: f64,
    /// One row per controller, ours first.
    pub rows: Vec<OpaqueRow>,
    /// The marks of the case against ours, at every seed.
    pub marks: Vec<PassMark>,
}

/// One controller in one case; means over the seeds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpaqueRow {
    /// Which.
    pub controller: String,
    /// Answers in time over the best fixed limit's.
    pub goodput: f64,
    /// 99th percentile over the best fixed limit's.
    pub p99: f64,
    /// The same in milliseconds.
    pub p99_ms: f64,
    /// Requests refused, over all.
    pub refused: f64,
    /// How many marks it misses, over all seeds.
    pub missed: usize,
}

/// A run at the first seed, for the plot: whose, and what happened.
pub(crate) type Drawn = (String, Record);

/// What is to be run beside the gate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside {
    pub(crate) rivals: bool,
    pub(crate) mutants: bool,
}

/// Reads a file, if it is a scenario of this kind.
pub(crate) fn load(path: &Path) -> Option<Result<Vec<Scenario>, ScenarioError>> {
    let text = std::fs::read_to_string(path).ok()?;
    let table: toml::Table = text.parse().ok()?;
    table.contains_key("upstream").then(|| {
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        parse(&stem.to_string_lossy(), &text)
    })
}

/// Runs every case on every core; the results are in the order of the cases.
pub(crate) fn run(
    scenarios: &[Scenario],
    seeds: &[u64],
    beside: Beside,
    bar: &ProgressBar,
) -> Result<Vec<(OpaqueCase, Vec<Drawn>)>, String> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(scenario) = scenarios.get(index) else { break };
                    let result = one(scenario, seeds, beside);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                    bar.set_message(scenario.name.clone());
                    bar.inc(1);
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn one(
    scenario: &Scenario,
    seeds: &[u64],
    beside: Beside,
) -> Result<(OpaqueCase, Vec<Drawn>), String> {
    let first = seeds.first().copied().unwrap_or(1);
    let (best, record) = best_fixed(scenario, first)?;
    let mut case = OpaqueCase {
        name: scenario.name.clone(),
        title: scenario.title.clone(),
        best_limit: best.limit,
        best_goodput: best.score.goodput,
        best_p99_ms: best.score.p99_ms,
        rows: Vec::new(),
        marks: Vec::new(),
    };
    let mut drawn = vec![("best fixed limit".to_owned(), record)];
    // The limit is sought once, and run again with the arrivals of every seed.
    let mut bests = vec![best.clone()];
    for &seed in seeds.iter().skip(1) {
        let record = contest(scenario, &Contender::Fixed(best.limit), seed)?;
        bests.push(super::BestFixed { score: Score::new(scenario, &record), ..best });
    }
    let mut contenders = vec![Contender::Gate];
    if beside.rivals {
        contenders.extend(RIVALS.map(Contender::Rival));
    }
    if beside.mutants {
        let mutants = [Contender::Frozen, Contender::AlwaysAdmit, Contender::AlwaysReject];
        contenders.extend(mutants);
    }
    for contender in contenders {
        let mut row = OpaqueRow {
            controller: contender.name(),
            goodput: 0.0,
            p99: 0.0,
            p99_ms: 0.0,
            refused: 0.0,
            missed: 0,
        };
        for (&seed, best) in seeds.iter().zip(&bests) {
            let record = contest(scenario, &contender, seed)?;
            let score = Score::new(scenario, &record);
            let marks = pass_marks(scenario, &score, best);
            row.missed += marks.iter().filter(|mark| !mark.holds).count();
            let n = seeds.len() as f64;
            row.goodput += score.goodput / best.score.goodput / n;
            row.p99 += score.p99_ms / best.score.p99_ms.max(1e-3) / n;
            row.p99_ms += score.p99_ms / n;
            row.refused += score.refused / n;
            if contender == Contender::Gate {
                case.marks.extend(marks);
            }
            if seed == first {
                drawn.push((contender.name(), record));
            }
        }
        case.rows.push(row);
    }
    Ok((case, drawn))
}

/// The table, line by line.
pub(crate) fn table(cases: &[OpaqueCase]) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        "Before upstreams that cannot be seen, over the best fixed limit in hindsight:".to_owned(),
        format!(
            "{:<34}{:>7}{:>11}{:>9}{:>9}{:>7}{:>9}{:>9}  {}",
            "case", "limit", "its answers", "its p99", "goodput", "p99", "p99", "refused", "marks"
        ),
    ];
    for case in cases {
        let Some(ours) = case.rows.first() else { continue };
        let missed: Vec<_> = case.marks.iter().filter(|mark| !mark.holds).collect();
        let marks = if missed.is_empty() {
            format!("{} hold", case.marks.len())
        } else {
            let each =
                missed.iter().map(|m| format!("{} {:.3} not {:.3}", m.what, m.measured, m.mark));
            format!("MISSED: {}", each.collect::<Vec<_>>().join("; "))
        };
        lines.push(format!(
            "{:<34}{:>7}{:>9.0}/s{:>6.0} ms{:>9.3}{:>7.2}{:>6.0} ms{:>7.2} %  {marks}",
            case.name.trim_start_matches("opaque-"),
            case.best_limit,
            case.best_goodput,
            case.best_p99_ms,
            ours.goodput,
            ours.p99,
            ours.p99_ms,
            ours.refused * 100.0,
        ));
    }
    lines.extend(matrix(cases));
    lines
}

/// Goodput and 99th percentile of every controller.
fn matrix(cases: &[OpaqueCase]) -> Vec<String> {
    let Some(first) = cases.first().filter(|case| case.rows.len() > 1) else { return Vec::new() };
    let short =
        |name: &str| name.trim_start_matches("mutant-").chars().take(10).collect::<String>();
    let heads: String =
        first.rows.iter().map(|row| format!("{:>13}", short(&row.controller))).collect();
    let mut lines =
        vec![String::new(), format!("{:<34}{heads}", "goodput x p99, both over the best's")];
    for case in cases {
        let cells: String = case
            .rows
            .iter()
            .map(|row| format!("{:>13}", format!("{:.2}x{:.1}", row.goodput, row.p99)))
            .collect();
        lines.push(format!("{:<34}{cells}", case.name.trim_start_matches("opaque-")));
    }
    let missed = |index: usize| {
        let rows = cases.iter().filter_map(|case| case.rows.get(index));
        rows.map(|row| row.missed).sum::<usize>()
    };
    let cells: String =
        (0..first.rows.len()).map(|index| format!("{:>13}", missed(index))).collect();
    lines.push(format!("{:<34}{cells}", "marks missed"));
    lines
}
