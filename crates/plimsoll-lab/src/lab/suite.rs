//! All cases under all controllers, two at a time or as many as there are cores.

use std::{
    collections::HashMap,
    fs,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context as _, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    CaseReport, Contender, LabReport, Law, Row, RunOptions, Score, contest, page, pass_marks,
    plot::Curve, print,
};
use crate::{
    opaque,
    rivals::{CATALOG, FIXED_IN_BATCHES, Mutant},
    scenario::{self, Scenario},
};

macro_rules! shipped_scenarios {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../../lab/scenarios/", $name, ".toml")))),*]
    };
}

const SHIPPED: [(&str, &str); 16] = shipped_scenarios![
    "01-underload",
    "02-step",
    "03-slow-disk",
    "04-stall",
    "05-heavy-tail",
    "06-together",
    "07-retry-storm",
    "08-mixed-costs",
    "09-hogs",
    "10-priority",
    "11-cold-start",
    "12-drift",
    "13-extremes",
    "14-flood",
    "15-prestage",
    "16-manners",
];

/// The share of the best fixed limit's goodput that a smaller one must have.
const FIXED_ENOUGH: f64 = 0.97;
const FULL_SEEDS: u64 = 5;
/// In larger cases the fixed limits are not sought: they would take as long as
/// all else.
const FIXED_REQUESTS_MAX: f64 = 1e6;

/// The scenarios that ship, every case of them.
///
/// # Errors
/// One of them is none.
pub fn shipped() -> anyhow::Result<Vec<Scenario>> {
    let mut scenarios = Vec::new();
    for (name, text) in SHIPPED {
        scenarios.extend(scenario::parse(name, text)?);
    }
    Ok(scenarios)
}

#[derive(Clone, Debug)]
struct Job {
    case: usize,
    contender: Contender,
    setting: Option<String>,
    seed: u64,
}

#[derive(Debug)]
struct Done {
    job: Job,
    score: Score,
    curve: Option<Curve>,
}

pub(super) fn run(options: &RunOptions) -> anyhow::Result<()> {
    let (scenarios, opaque) = chosen(options)?;
    let count = options.seeds.unwrap_or(if options.full { FULL_SEEDS } else { 1 });
    let seeds: Vec<u64> = (options.seed..).take(count as usize).collect();
    let mut done = work(&scenarios, first_round(options, &scenarios, &seeds), options)?;
    if options.full {
        let again = second_round(&done, &seeds);
        done.extend(work(&scenarios, again, options)?);
    }
    let beside = opaque::Beside { rivals: !options.alone, mutants: options.mutants };
    let bar = bar(options, opaque.len())?;
    let ran = opaque::run(&opaque, &seeds, beside, &bar).map_err(|error| anyhow!(error))?;
    bar.finish_and_clear();
    let (cases, drawn): (Vec<_>, Vec<_>) = ran.into_iter().unzip();
    let report = LabReport {
        cases: scenarios.iter().enumerate().map(|(i, s)| case_report(i, s, &done)).collect(),
        opaque: cases,
        seeds,
    };
    print::table(&report);
    write(options, &report, &scenarios, &done, &drawn)?;
    if options.mutants {
        print::mutants(&report);
    }
    let missed = report.marks().filter(|mark| !mark.holds).count();
    if options.check && missed > 0 {
        bail!("{missed} pass marks are missed");
    }
    if options.check && options.mutants {
        let escaped = print::escaped(&report);
        if !escaped.is_empty() {
            bail!("no pass mark catches {}", escaped.join(", "));
        }
    }
    Ok(())
}

fn chosen(options: &RunOptions) -> anyhow::Result<(Vec<Scenario>, Vec<opaque::Scenario>)> {
    let all = options.all || options.full;
    let mut scenarios = if all { shipped()? } else { Vec::new() };
    let mut opaque = if all { opaque::shipped()? } else { Vec::new() };
    for path in &options.scenarios {
        match opaque::load(path) {
            Some(cases) => opaque.extend(cases?),
            None => scenarios.extend(scenario::load(path)?),
        }
    }
    if let Some(only) = &options.only {
        scenarios.retain(|scenario| scenario.name.contains(only));
        opaque.retain(|scenario| scenario.name.contains(only));
    }
    if scenarios.is_empty() && opaque.is_empty() {
        bail!("no scenario is called that");
    }
    Ok((scenarios, opaque))
}

fn bar(options: &RunOptions, runs: usize) -> anyhow::Result<ProgressBar> {
    let bar = if options.quiet { ProgressBar::hidden() } else { ProgressBar::new(runs as u64) };
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} runs, {eta} left  {msg}")?);
    Ok(bar)
}

fn first_round(options: &RunOptions, scenarios: &[Scenario], seeds: &[u64]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (case, scenario) in scenarios.iter().enumerate() {
        let mut add = |contender, setting: Option<String>, seeds: &[u64]| {
            for &seed in seeds {
                jobs.push(Job { case, contender, setting: setting.clone(), seed });
            }
        };
        add(Contender::Gate(options.law), None, seeds);
        if options.mutants {
            for mutant in Mutant::ALL {
                add(Contender::Mutant(mutant), None, &seeds[..1]);
            }
        }
        if options.alone {
            if scenario.expect.below_unbounded_max.is_some() {
                add(Contender::Rival(&CATALOG[0]), None, seeds);
            }
            continue;
        }
        for entry in CATALOG {
            add(Contender::Rival(entry), None, seeds);
            if options.full {
                for (index, (setting, _)) in (entry.tuned)(&scenario.server).into_iter().enumerate()
                {
                    add(Contender::Tuned(entry, index), Some(setting), &seeds[..1]);
                }
            }
        }
        // In --full the bounded queue is tuned over the same limits.
        if !options.full && scenario.requests() < FIXED_REQUESTS_MAX {
            for batches in FIXED_IN_BATCHES {
                add(Contender::Fixed(batches), None, &seeds[..1]);
            }
        }
    }
    jobs
}

/// The best setting of every rival in every case, at the other seeds.
fn second_round(done: &[Done], seeds: &[u64]) -> Vec<Job> {
    let mut best: HashMap<(usize, String), &Done> = HashMap::new();
    for candidate in done.iter().filter(|done| done.job.setting.is_some()) {
        let key = (candidate.job.case, candidate.job.contender.name());
        let better = best.get(&key).is_none_or(|b| candidate.score.goodput > b.score.goodput);
        if better {
            best.insert(key, candidate);
        }
    }
    let mut jobs = Vec::new();
    for done in best.into_values() {
        for &seed in &seeds[1..] {
            jobs.push(Job { seed, ..done.job.clone() });
        }
    }
    jobs.sort_by_key(|job| (job.case, job.contender.name(), job.seed));
    jobs
}

/// Runs the jobs on every core; the results are in the order of the jobs.
fn work(scenarios: &[Scenario], jobs: Vec<Job>, options: &RunOptions) -> anyhow::Result<Vec<Done>> {
    let bar = bar(options, jobs.len())?;
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let results = Mutex::new(Vec::new());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores.min(jobs.len()) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { break };
                    let result = one(&scenarios[job.case], job.clone());
                    failed.fetch_or(result.is_err(), Ordering::Relaxed);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                    bar.set_message(scenarios[job.case].name.clone());
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result.map_err(|error| anyhow!(error))).collect()
}

fn one(scenario: &Scenario, job: Job) -> Result<Done, String> {
    let (score, record, oracle) = contest(scenario, &job.contender, job.seed)?;
    let drawn = matches!(job.contender, Contender::Gate(_) | Contender::Rival(_));
    let curve = drawn.then(|| Curve::new(&job.contender.name(), &record, &oracle));
    Ok(Done { job, score, curve })
}

fn case_report(case: usize, scenario: &Scenario, done: &[Done]) -> CaseReport {
    let here = || done.iter().filter(|done| done.job.case == case);
    let mut names: Vec<(String, Option<String>)> = Vec::new();
    for done in here() {
        let key = (done.job.contender.name(), done.job.setting.clone());
        if !matches!(done.job.contender, Contender::Fixed(_)) && !names.contains(&key) {
            names.push(key);
        }
    }
    let unbounded: Vec<_> =
        here().filter(|d| d.job.contender.name() == "unbounded").map(|d| d.score.goodput).collect();
    let unbounded = (!unbounded.is_empty()).then(|| mean(&unbounded));
    let mut marks = Vec::new();
    let mut rows: Vec<Row> = Vec::new();
    for (controller, setting) in names {
        let same = |d: &&Done| d.job.contender.name() == controller && d.job.setting == setting;
        let scores: Vec<_> = here().filter(same).map(|done| done.score.clone()).collect();
        let goodput: Vec<_> = scores.iter().map(|score| score.goodput).collect();
        let score = Score::mean(&scores);
        let row_marks = pass_marks(scenario, &score, unbounded);
        let missed = row_marks.iter().filter(|mark| !mark.holds).count();
        if controller == "plimsoll" {
            marks = row_marks;
        }
        rows.push(Row { controller, setting, score, goodput_interval: interval(&goodput), missed });
    }
    best_settings_only(&mut rows);
    CaseReport {
        name: scenario.name.clone(),
        title: scenario.title.clone(),
        best_fixed: best_fixed(here()),
        rows,
        marks,
    }
}

/// Of every rival's settings, the one with the most goodput.
fn best_settings_only(rows: &mut Vec<Row>) {
    let mut best: HashMap<String, f64> = HashMap::new();
    for row in rows.iter().filter(|row| row.setting.is_some()) {
        let most = best.entry(row.controller.clone()).or_insert(f64::MIN);
        *most = most.max(row.score.goodput);
    }
    rows.retain(|row| {
        row.setting.is_none() || best.get(&row.controller) == Some(&row.score.goodput)
    });
}

fn best_fixed<'a>(done: impl Iterator<Item = &'a Done>) -> Option<(f64, f64)> {
    let limits: Vec<_> = done
        .filter_map(|done| match (&done.job.contender, &done.job.setting) {
            (Contender::Fixed(batches), _) => Some((*batches, done.score.goodput)),
            (Contender::Tuned(entry, index), _) if entry.name == "fixed-10000" => {
                Some((FIXED_IN_BATCHES[*index], done.score.goodput))
            }
            _ => None,
        })
        .collect();
    let most = limits.iter().map(|(_, goodput)| *goodput).fold(f64::MIN, f64::max);
    limits.into_iter().find(|(_, goodput)| *goodput >= FIXED_ENOUGH * most)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Half the 95 % interval of the mean, by Student's t.
fn interval(values: &[f64]) -> f64 {
    const T: [f64; 10] = [0.0, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26];
    let n = values.len();
    if n < 2 {
        return 0.0;
    }
    let mean = mean(values);
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    T.get(n - 1).copied().unwrap_or(2.0) * (variance / n as f64).sqrt()
}

fn write(
    options: &RunOptions,
    report: &LabReport,
    scenarios: &[Scenario],
    done: &[Done],
    drawn: &[Vec<opaque::Drawn>],
) -> anyhow::Result<()> {
    let dir = &options.out_dir;
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let put = |name: &str, content: String| {
        let path = dir.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    };
    let mut curves: Vec<Vec<&Curve>> = vec![Vec::new(); scenarios.len()];
    for done in done.iter().filter(|done| done.job.seed == options.seed) {
        curves[done.job.case].extend(&done.curve);
    }
    put("lab.json", report.json()?)?;
    put("lab.html", page::html(report, scenarios, &curves, drawn)?)?;
    print::written(dir);
    Ok(())
}

impl Law {
    /// Whether it is the one that ships.
    pub fn ships(&self) -> bool {
        *self == Self::default()
    }
}
