//! What a change did.

use std::{fs, path::Path};

use anyhow::Context as _;

use super::{LabReport, Row, print::compared};

/// Changes smaller than this are noise.
const NOISE: f64 = 0.002;

pub(super) fn run(before: &Path, after: &Path) -> anyhow::Result<()> {
    let (before, after) = (read(before)?, read(after)?);
    let mut changes = 0;
    for case in &after.cases {
        let Some(old) = before.cases.iter().find(|old| old.name == case.name) else {
            compared(&format!("{:<30} is new", case.name));
            continue;
        };
        for row in &case.rows {
            let same = |old: &&Row| old.controller == row.controller && old.setting == row.setting;
            if let Some(old) = old.rows.iter().find(same) {
                changes += compare(&case.name, old, row);
            }
        }
    }
    for case in &before.cases {
        if !after.cases.iter().any(|new| new.name == case.name) {
            compared(&format!("{:<30} is gone", case.name));
        }
    }
    compared(&format!("{changes} scores changed"));
    Ok(())
}

fn compare(case: &str, old: &Row, new: &Row) -> usize {
    type Of = fn(&super::Score) -> f64;
    let scores: [(&str, Of); 7] = [
        ("goodput", |s| s.goodput),
        ("p99/S", |s| s.p99_services),
        ("first second p99/S", |s| s.first_second_p99_services),
        ("false rejects", |s| s.false_rejects),
        ("quiet", |s| s.quiet),
        ("displaced", |s| s.displaced),
        ("amplification", |s| s.amplification),
    ];
    let mut changes = 0;
    for (name, of) in scores {
        let (was, is) = (of(&old.score), of(&new.score));
        if (is - was).abs() > NOISE * was.abs().max(1.0) {
            compared(&format!("{case:<30}{:<18}{name:<20}{was:>9.4} -> {is:>9.4}", new.controller));
            changes += 1;
        }
    }
    changes
}

fn read(path: &Path) -> anyhow::Result<LabReport> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is no result of the lab", path.display()))
}
