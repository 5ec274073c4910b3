//! The lab: the gate that ships, its rivals and the oracle in the same storms.
//!
//! Every scenario is run in the simulator of [`crate::sim`] under every
//! controller, scored against the best that anyone could have done, and shown as
//! a table, as JSON and as one page with a plot per scenario. Scenarios carry
//! their own pass marks; mutants that must miss some of them show that the marks
//! mean something.

mod compare;
mod contest;
mod options;
mod oracle;
mod page;
mod plot;
mod print;
mod report;
mod score;
mod suite;
#[cfg(test)]
mod tests;
mod verdict;

pub use self::{
    contest::{Contender, contest},
    options::{LabOptions, Law, RunOptions},
    oracle::Oracle,
    report::{CaseReport, LabReport, Row},
    score::Score,
    suite::shipped,
    verdict::pass_marks,
};

use self::options::LabCommand;

/// Does what was asked.
///
/// # Errors
/// A scenario is none, a file cannot be read or written, or a pass mark is missed
/// that `--check` asked about.
pub fn run(options: &LabOptions) -> anyhow::Result<()> {
    match &options.command {
        LabCommand::Run(run) => suite::run(run),
        LabCommand::Compare { before, after } => compare::run(before, after),
        LabCommand::List => {
            print::rivals();
            Ok(())
        }
    }
}
