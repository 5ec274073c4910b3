//! The result of a run, as it is written and compared.

use serde::{Deserialize, Serialize};

use super::Score;
use crate::{opaque::OpaqueCase, scenario::PassMark};

/// Everything a run found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LabReport {
    /// The seeds.
    pub seeds: Vec<u64>,
    /// What was run, in order.
    pub cases: Vec<CaseReport>,
    /// The cases before upstreams that cannot be seen.
    #[serde(default)]
    pub opaque: Vec<OpaqueCase>,
}

impl LabReport {
    /// As JSON, a case a line: a change shows in the cases that it changed.
    ///
    /// # Errors
    /// A number that JSON has no words for.
    pub fn json(&self) -> serde_json::Result<String> {
        fn lines<T: Serialize>(cases: &[T]) -> serde_json::Result<String> {
            let lines: Result<Vec<_>, _> = cases.iter().map(serde_json::to_string).collect();
            Ok(lines?.join(",\n"))
        }
        let seeds = serde_json::to_string(&self.seeds)?;
        let (cases, opaque) = (lines(&self.cases)?, lines(&self.opaque)?);
        Ok(format!("{{\"seeds\":{seeds},\n\"cases\":[\n{cases}\n],\n\"opaque\":[\n{opaque}\n]}}\n"))
    }

    /// Every pass mark against ours.
    pub fn marks(&self) -> impl Iterator<Item = &PassMark> {
        let opaque = self.opaque.iter().flat_map(|case| &case.marks);
        self.cases.iter().flat_map(|case| &case.marks).chain(opaque)
    }
}

/// One case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseReport {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub title: String,
    /// The smallest fixed limit, in batches, with 97 % of the best one's
    /// goodput, and that goodput.
    pub best_fixed: Option<(f64, f64)>,
    /// One row per controller, ours first.
    pub rows: Vec<Row>,
    /// The marks of the case against ours.
    pub marks: Vec<PassMark>,
}

/// One controller in one case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Which.
    pub controller: String,
    /// At which setting, if hindsight chose one.
    pub setting: Option<String>,
    /// Its mean scores over the seeds.
    pub score: Score,
    /// Half the 95 % interval of the mean goodput over the seeds.
    pub goodput_interval: f64,
    /// How many pass marks it misses.
    pub missed: usize,
}

impl CaseReport {
    /// Our row.
    pub fn ours(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.controller == "plimsoll")
    }

    /// The rival with the most goodput at its default.
    pub fn best_rival(&self) -> Option<&Row> {
        let rivals = self.rows.iter().filter(|row| {
            row.setting.is_none()
                && row.controller != "plimsoll"
                && !row.controller.starts_with("mutant")
        });
        rivals.max_by(|a, b| a.score.goodput.total_cmp(&b.score.goodput))
    }
}
