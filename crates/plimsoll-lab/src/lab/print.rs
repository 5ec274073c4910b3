//! The table, for a terminal.

use std::path::Path;

use super::{CaseReport, LabReport};
use crate::rivals::{CATALOG, Mutant};

#[allow(clippy::print_stdout, reason = "what the command is for")]
fn line(text: &str) {
    println!("{text}");
}

pub(super) fn table(report: &LabReport) {
    if !report.cases.is_empty() {
        write_gate(report);
    }
    if !report.opaque.is_empty() {
        crate::opaque::table(&report.opaque).iter().for_each(|text| line(text));
    }
    let held = report.marks().filter(|mark| mark.holds).count();
    line(&format!("\n{held} of {} pass marks hold", report.marks().count()));
}

fn write_gate(report: &LabReport) {
    line(&format!(
        "{:<30}{:>8}{:>7}{:>7}{:>8}{:>8}{:>8}{:>7}  {:<22}{}",
        "case",
        "goodput",
        "p50",
        "p99",
        "1st s",
        "false",
        "reached",
        "queue",
        "best rival",
        "marks"
    ));
    line(&format!(
        "{:<30}{:>8}{:>7}{:>7}{:>8}{:>8}{:>8}{:>7}",
        "", "/oracle", "/S(B)", "/S(B)", "p99/S", "rejects", "ms", "/B"
    ));
    report.cases.iter().for_each(case);
    beaten(report);
    line("\nGoodput over the oracle's in percent, every controller:");
    matrix(report);
}

fn case(case: &CaseReport) {
    let Some(ours) = case.ours() else { return };
    let score = &ours.score;
    let best = case.best_rival().map_or(String::new(), |row| {
        format!("{} {:.1}", row.controller, row.score.goodput * 100.0)
    });
    let missed: Vec<_> = case.marks.iter().filter(|mark| !mark.holds).collect();
    let marks = if missed.is_empty() {
        format!("{} hold", case.marks.len())
    } else {
        let each = missed.iter().map(|m| format!("{} {:.4} not {:.4}", m.what, m.measured, m.mark));
        format!("MISSED: {}", each.collect::<Vec<_>>().join("; "))
    };
    line(&format!(
        "{:<30}{:>7.1}%{:>7.2}{:>7.2}{:>8.2}{:>7.2}%{:>8.0}{:>7.2}  {best:<22}{marks}",
        case.name,
        score.goodput * 100.0,
        score.p50_services,
        score.p99_services,
        score.first_second_p99_services,
        score.false_rejects * 100.0,
        score.reached_ms,
        score.queue_batches,
    ));
}

/// Where a rival at its default answers more in time: the exceptions.
fn beaten(report: &LabReport) {
    const NOTICEABLE: f64 = 0.005;
    for case in &report.cases {
        if let (Some(ours), Some(best)) = (case.ours(), case.best_rival())
            && best.score.goodput > ours.score.goodput + NOTICEABLE
        {
            line(&format!(
                "exception: {} {:.1} %, {} {:.1} %",
                case.name,
                ours.score.goodput * 100.0,
                best.controller,
                best.score.goodput * 100.0
            ));
        }
    }
}

fn matrix(report: &LabReport) {
    let Some(first) = report.cases.first() else { return };
    let names: Vec<_> = first
        .rows
        .iter()
        .filter(|row| row.setting.is_none() && !row.controller.starts_with("mutant"))
        .collect();
    let short = |name: &str| name.chars().take(9).collect::<String>();
    let heads: String = names.iter().map(|row| format!("{:>10}", short(&row.controller))).collect();
    line(&format!("{:<30}{heads}{:>14}", "", "best fixed"));
    for case in &report.cases {
        let cells: String = names
            .iter()
            .map(|head| {
                let same =
                    |row: &&super::Row| row.controller == head.controller && row.setting.is_none();
                let row = case.rows.iter().find(same);
                row.map_or(String::new(), |row| format!("{:>10.1}", row.score.goodput * 100.0))
            })
            .collect();
        let fixed = case.best_fixed.map_or(String::new(), |(batches, goodput)| {
            format!("{:.1} at {batches}B", goodput * 100.0)
        });
        line(&format!("{:<30}{cells}{fixed:>14}", case.name));
    }
}

pub(super) fn mutants(report: &LabReport) {
    line("\nPass marks that each mutant misses:");
    for mutant in Mutant::ALL {
        let (name, missed) = missed(report, mutant);
        line(&format!("  {name:<20}{missed}"));
    }
}

/// The mutants that no mark catches.
pub(super) fn escaped(report: &LabReport) -> Vec<String> {
    Mutant::ALL.into_iter().map(|m| missed(report, m)).filter(|m| m.1 == 0).map(|m| m.0).collect()
}

fn missed(report: &LabReport, mutant: Mutant) -> (String, usize) {
    let name = format!("mutant-{mutant:?}").to_lowercase();
    let rows = report.cases.iter().flat_map(|case| &case.rows);
    let missed: usize = rows.filter(|row| row.controller == name).map(|row| row.missed).sum();
    let opaque = report.opaque.iter().flat_map(|case| &case.rows);
    let more: usize = opaque.filter(|row| row.controller == name).map(|row| row.missed).sum();
    (name, missed + more)
}

pub(super) fn rivals() {
    for entry in CATALOG {
        line(&format!("{:<18}{}", entry.name, entry.source));
    }
}

pub(super) fn written(dir: &Path) {
    line(&format!("\n{} and lab.json are written", dir.join("lab.html").display()));
}

pub(super) fn compared(text: &str) {
    line(text);
}
