//! The page: what was run, how to read it, and a plot and a table per case.

use std::fmt::Write as _;

use super::{
    CaseReport, LabReport, Row,
    plot::{self, Curve},
};
use crate::{
    opaque::{Drawn, OpaqueCase},
    rivals::CATALOG,
    scenario::{PassMark, Scenario},
};

pub(super) fn html(
    report: &LabReport,
    scenarios: &[Scenario],
    curves: &[Vec<&Curve>],
    drawn: &[Vec<Drawn>],
) -> anyhow::Result<String> {
    let (mut visible, mut opaque, mut sections) = (String::new(), String::new(), String::new());
    for ((case, scenario), curves) in report.cases.iter().zip(scenarios).zip(curves) {
        overview_row(&mut visible, case)?;
        section(&mut sections, case, scenario, curves)?;
    }
    for (case, drawn) in report.opaque.iter().zip(drawn) {
        opaque_row(&mut opaque, case)?;
        opaque_section(&mut sections, case, drawn)?;
    }
    let mut sources = String::new();
    for entry in CATALOG {
        writeln!(sources, "<li><b>{}</b> {}</li>", escape(entry.name), escape(entry.source))?;
    }
    Ok(format!(
        include_str!("page/frame.html"),
        seeds = report.seeds.len(),
        first_seed = report.seeds.first().copied().unwrap_or(0),
        cases = report.cases.len() + report.opaque.len(),
        held = report.marks().filter(|mark| mark.holds).count(),
        marks = report.marks().count(),
        visible =
            overview(&visible, |rows| format!(include_str!("page/visible.html"), rows = rows)),
        opaque = overview(&opaque, |rows| format!(include_str!("page/opaque.html"), rows = rows)),
        sections = sections,
        sources = sources,
    ))
}

/// What a table says, and how to read it; nothing if it has no rows.
fn overview(rows: &str, page: impl FnOnce(&str) -> String) -> String {
    if rows.is_empty() { String::new() } else { page(rows) }
}

fn overview_row(out: &mut String, case: &CaseReport) -> anyhow::Result<()> {
    let Some(ours) = case.ours() else { return Ok(()) };
    let best = case.best_rival().map_or(String::new(), |row| {
        format!("{} {}", escape(&row.controller), percent(row.score.goodput))
    });
    let fixed = case
        .best_fixed
        .map_or(String::new(), |(batches, goodput)| format!("{batches} B: {}", percent(goodput)));
    let missed = case.marks.iter().filter(|mark| !mark.holds).count();
    let class = if missed > 0 { " class=\"missed\"" } else { "" };
    writeln!(
        out,
        "<tr{class}><td><a href=\"#{id}\">{id}</a></td><td>{}</td><td>{:.2}</td><td>{}</td><td>{best}</td><td>{fixed}</td><td>{} of {}</td></tr>",
        percent(ours.score.goodput),
        ours.score.p99_services,
        percent(ours.score.false_rejects),
        case.marks.len() - missed,
        case.marks.len(),
        id = escape(&case.name),
    )?;
    Ok(())
}

fn opaque_row(out: &mut String, case: &OpaqueCase) -> anyhow::Result<()> {
    let Some(ours) = case.rows.first() else { return Ok(()) };
    let rivals = case.rows.iter().skip(1).filter(|row| !row.controller.starts_with("mutant"));
    let best = rivals.max_by(|a, b| a.goodput.total_cmp(&b.goodput)).map_or(String::new(), |row| {
        format!("{} {} at {:.1}", escape(&row.controller), percent(row.goodput), row.p99)
    });
    let missed = case.marks.iter().filter(|mark| !mark.holds).count();
    let class = if missed > 0 { " class=\"missed\"" } else { "" };
    writeln!(
        out,
        "<tr{class}><td><a href=\"#{id}\">{id}</a></td><td>{}</td><td>{:.2}</td><td>{:.0} ms</td><td>{}</td><td>{best}</td><td>{} in flight: {:.0}/s, {:.0} ms</td><td>{} of {}</td></tr>",
        percent(ours.goodput),
        ours.p99,
        ours.p99_ms,
        percent(ours.refused),
        case.best_limit,
        case.best_goodput,
        case.best_p99_ms,
        case.marks.len() - missed,
        case.marks.len(),
        id = escape(&case.name),
    )?;
    Ok(())
}

fn opaque_section(out: &mut String, case: &OpaqueCase, drawn: &[Drawn]) -> anyhow::Result<()> {
    let Some((_, best)) = drawn.first() else { return Ok(()) };
    let curves: Vec<_> = drawn.iter().map(|(name, run)| Curve::opaque(name, run, best)).collect();
    writeln!(
        out,
        "<section id=\"{0}\"><h3>{0}</h3><p>{1}</p>",
        escape(&case.name),
        escape(&case.title)
    )?;
    out.push_str(&plot::svg(&curves.iter().collect::<Vec<_>>())?);
    out.push_str("<details><summary>Scores</summary><table><tr><th>controller<th>goodput<th>p99<th>p99, ms<th>refused<th>marks missed</tr>");
    for row in &case.rows {
        let class = if row.controller == "plimsoll" { " class=\"ours\"" } else { "" };
        writeln!(
            out,
            "<tr{class}><td>{}<td>{}<td>{:.2}<td>{:.1}<td>{}<td>{}</tr>",
            escape(&row.controller),
            percent(row.goodput),
            row.p99,
            row.p99_ms,
            percent(row.refused),
            row.missed
        )?;
    }
    out.push_str("</table>");
    marks(out, &case.marks)?;
    out.push_str("</details></section>\n");
    Ok(())
}

/// A table of pass marks, if there are any.
fn marks(out: &mut String, marks: &[PassMark]) -> anyhow::Result<()> {
    if marks.is_empty() {
        return Ok(());
    }
    out.push_str("<table><tr><th>pass mark<th>measured<th>mark<th></tr>");
    for mark in marks {
        let holds = if mark.holds { "holds" } else { "<b>missed</b>" };
        let what = escape(&mark.what);
        writeln!(
            out,
            "<tr><td>{what}<td>{:.4}<td>{:.4}<td>{holds}</tr>",
            mark.measured, mark.mark
        )?;
    }
    out.push_str("</table>");
    Ok(())
}

fn section(
    out: &mut String,
    case: &CaseReport,
    scenario: &Scenario,
    curves: &[&Curve],
) -> anyhow::Result<()> {
    let server = &scenario.server;
    writeln!(
        out,
        "<section id=\"{0}\"><h3>{0}</h3><p>{1}",
        escape(&case.name),
        escape(&case.title)
    )?;
    writeln!(
        out,
        "<span class=\"server\">flush {:.3} ms, {:.1} &micro;s an item, batches of {}: {:.0}/s; in time means within {:.0} ms</span></p>",
        server.flush.seconds() * 1e3,
        server.item.seconds() * 1e6,
        server.batch_items,
        server.capacity(),
        scenario.measure.within.seconds() * 1e3,
    )?;
    out.push_str(&plot::svg(curves)?);
    out.push_str("<details><summary>Scores</summary><table><tr><th>controller<th>goodput<th>p50<th>p99<th>p99.9<th>p99, first second<th>refused<th>false rejects<th>reached<th>longest queue<th>oscillation<th>Jain<th>success<th>amplification<th>zombies<th>displaced</tr>");
    for row in &case.rows {
        score_row(out, row)?;
    }
    out.push_str("</table>");
    marks(out, &case.marks)?;
    out.push_str("</details></section>\n");
    Ok(())
}

fn score_row(out: &mut String, row: &Row) -> anyhow::Result<()> {
    let score = &row.score;
    let setting = row.setting.as_ref().map_or(String::new(), |s| format!(" tuned: {}", escape(s)));
    let class = if row.controller == "plimsoll" { " class=\"ours\"" } else { "" };
    let spread = if row.goodput_interval > 0.0 {
        format!(" &plusmn; {:.1}", row.goodput_interval * 100.0)
    } else {
        String::new()
    };
    writeln!(
        out,
        "<tr{class}><td>{}{setting}<td>{}{spread}<td>{:.2}<td>{:.2}<td>{:.2}<td>{:.2}<td>{}<td>{}<td>{:.0} ms<td>{:.2} B<td>{:.3}<td>{:.3}<td>{}<td>{:.2}<td>{}<td>{:.3}</tr>",
        escape(&row.controller),
        percent(score.goodput),
        score.p50_services,
        score.p99_services,
        score.p999_services,
        score.first_second_p99_services,
        percent(score.refused),
        percent(score.false_rejects),
        score.reached_ms,
        score.queue_batches,
        score.oscillation,
        score.jain,
        percent(score.success),
        score.amplification,
        percent(score.zombies),
        score.displaced,
    )?;
    Ok(())
}

fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
