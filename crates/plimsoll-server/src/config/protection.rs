//! What the gates do with their verdicts: all of them, or each for itself.

use std::collections::BTreeMap;

use plimsoll::{Gate, Mode};
use plimsoll_daemon::config::values::boolean;
use serde::Deserialize;

/// The gates of a server, by the names under which they appear in refusals and metrics.
const GATES: [Gate; 8] = [
    Gate::Write,
    Gate::Cpu,
    Gate::Crypto,
    Gate::Reads,
    Gate::Memory,
    Gate::Disk,
    Gate::Leases,
    Gate::Connections,
];

/// A mode for all gates, and a lower one for some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// What a gate does unless it has a mode of its own. None does more than this.
    pub mode: Mode,
    gates: Vec<(Gate, Mode)>,
}

impl Default for Protection {
    fn default() -> Self {
        Self { mode: Mode::Enforce, gates: Vec::new() }
    }
}

impl Protection {
    /// What `gate` does.
    pub fn of(&self, gate: Gate) -> Mode {
        let own = self.gates.iter().find(|(named, _)| *named == gate);
        own.map_or(self.mode, |(_, own)| self.mode.min(*own))
    }

    /// Gives `gate` a mode of its own.
    pub fn set(&mut self, gate: Gate, mode: Mode) {
        self.gates.retain(|(named, _)| *named != gate);
        self.gates.push((gate, mode));
    }
}

/// `adaptive_overload_protection` in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Block {
    #[serde(default, deserialize_with = "boolean")]
    disable_write_controller: bool,
    mode: Option<String>,
    #[serde(default)]
    gates: BTreeMap<String, String>,
}

impl TryFrom<Block> for Protection {
    type Error = String;

    fn try_from(block: Block) -> Result<Self, String> {
        let parse = |text: &str| text.parse::<Mode>().map_err(|error| error.to_string());
        let mut protection = Self::default();
        for (name, mode) in &block.gates {
            let gate = GATES.into_iter().find(|gate| gate.name() == name);
            let names = || GATES.map(Gate::name).join(", ");
            let gate = gate.ok_or_else(|| format!("no gate {name:?}: there are {}", names()))?;
            protection.set(gate, parse(mode)?);
        }
        if let Some(mode) = block.mode {
            protection.mode = parse(&mode)?;
        }
        if block.disable_write_controller {
            protection.mode = Mode::Off;
        }
        Ok(protection)
    }
}
