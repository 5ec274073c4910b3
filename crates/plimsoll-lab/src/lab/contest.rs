//! Who competes, and one run of it.

use plimsoll::write::WriteGateConfig;

use super::{Law, Oracle, Score};
use crate::{
    rivals::{Entry, Mutant, Rival, Setting, fixed},
    scenario::{Scenario, Server},
    sim::{Commit, Controller, Offer, Record, Refusal, Shipping, simulate},
};

/// A controller to be.
#[derive(Clone, Copy, Debug)]
pub enum Contender {
    /// The gate that ships, perhaps with other constants.
    Gate(Law),
    /// A rival as its authors ship it.
    Rival(&'static Entry),
    /// A rival at its setting of that number.
    Tuned(&'static Entry, usize),
    /// A queue of so many batches.
    Fixed(f64),
    /// A controller that must fail.
    Mutant(Mutant),
}

impl Contender {
    /// Its name in tables.
    pub fn name(&self) -> String {
        match self {
            Self::Gate(_) => "plimsoll".to_owned(),
            Self::Rival(entry) | Self::Tuned(entry, _) => entry.name.to_owned(),
            Self::Fixed(batches) => format!("fixed-{batches}B"),
            Self::Mutant(mutant) => format!("mutant-{mutant:?}").to_lowercase(),
        }
    }

    fn build(&self, server: &Server) -> Result<Box<dyn Controller>, String> {
        let rival = |setting: Setting| -> Box<dyn Controller> {
            Box::new(Rival::new(setting, server.batch_items))
        };
        Ok(match self {
            Self::Gate(law) => Box::new(shipping(server, law)?),
            Self::Rival(entry) => rival((entry.default)(server)),
            Self::Tuned(entry, index) => {
                let mut settings = (entry.tuned)(server);
                if *index >= settings.len() {
                    return Err(format!("{} has no setting {index}", entry.name));
                }
                rival(settings.swap_remove(*index).1)
            }
            Self::Fixed(batches) => rival(fixed(server, *batches)),
            Self::Mutant(mutant) => match mutant.setting() {
                Some(setting) => rival(setting),
                None => Box::new(Deaf(shipping(server, &Law::default())?)),
            },
        })
    }
}

fn shipping(server: &Server, law: &Law) -> Result<Shipping, String> {
    let config = WriteGateConfig::default()
        .with_batch_max(server.batch_items, server.bytes_max())
        .and_then(|config| law.apply(config))
        .map_err(|error| error.to_string())?;
    Ok(Shipping::new(config, law.retry_after))
}

/// Runs a scenario under a contender and scores it.
///
/// # Errors
/// The scenario asks for what cannot be generated.
pub fn contest(
    scenario: &Scenario,
    contender: &Contender,
    seed: u64,
) -> Result<(Score, Record, Oracle), String> {
    let mut controller = contender.build(&scenario.server)?;
    let record = simulate(scenario, controller.as_mut(), seed)?;
    let oracle = Oracle::new(scenario, &record);
    Ok((Score::new(scenario, &record, &oracle), record, oracle))
}

/// The gate without ears: it is never told of a commit.
#[derive(Debug)]
struct Deaf(Shipping);

impl Controller for Deaf {
    fn arrive(&mut self, now: plimsoll::Timestamp, id: u32, offer: &Offer) -> Result<(), Refusal> {
        self.0.arrive(now, id, offer)
    }

    fn enqueue(&mut self, now: plimsoll::Timestamp, id: u32) -> Result<(), Refusal> {
        self.0.enqueue(now, id)
    }

    fn abandoned(&mut self, now: plimsoll::Timestamp, id: u32) {
        self.0.abandoned(now, id);
    }

    fn take(&mut self, now: plimsoll::Timestamp, batch: &mut Vec<u32>) {
        self.0.take(now, batch);
    }

    fn committed(&mut self, _: plimsoll::Timestamp, _: &Commit<'_>) {}

    fn turned_away(&mut self, out: &mut Vec<(u32, Refusal)>) {
        self.0.turned_away(out);
    }

    fn waiting_units(&self, now: plimsoll::Timestamp) -> u64 {
        self.0.waiting_units(now)
    }
}
