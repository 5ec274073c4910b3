//! The server: a group-commit queue in front of one disk.

use plimsoll::{Cost, write::WriteGateConfig};
use serde::Deserialize;

use super::Span;

/// S(b) = flush + item * b for a batch of b units, and what disturbs it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// s0: what a commit costs however small it is.
    pub flush: Span,
    /// s1: what each unit adds.
    pub item: Span,
    /// B: the most items in a batch.
    pub batch_items: u32,
    /// The most bytes in a batch; 4 KiB an item unless said otherwise.
    pub batch_bytes: Option<u64>,
    /// Sigma of the log-normal factor, of mean 1, on every commit.
    #[serde(default = "usual_jitter")]
    pub jitter: f64,
    /// Commits that take far longer than others.
    pub tail: Option<Tail>,
    /// Workers that do what comes before the queue; as many as are needed
    /// unless said otherwise.
    pub prestage_workers: Option<u32>,
}

/// Some commits take `scale` times as long, or far longer: Pareto.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// How many commits, 0 to 1.
    pub probability: f64,
    /// The least factor.
    pub scale: f64,
    /// The shape; smaller is wilder.
    pub alpha: f64,
    /// The largest factor.
    pub max: f64,
}

/// The disk is slower for a while.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slowdown {
    /// When it begins.
    pub at: Span,
    /// How long it lasts.
    #[serde(rename = "for")]
    pub lasting: Span,
    /// How many times slower.
    pub times: f64,
    /// How long it takes to get there, and back before the end.
    #[serde(default)]
    pub ramp: Span,
}

/// The disk does nothing for a while.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stall {
    /// When it begins.
    pub at: Span,
    /// How long it lasts.
    #[serde(rename = "for")]
    pub lasting: Span,
}

const fn usual_jitter() -> f64 {
    0.2
}

impl Server {
    /// A disk like any other, for laws that do not look at it.
    pub(crate) fn any() -> Self {
        Self {
            flush: Span::from_seconds(0.002),
            item: Span::from_seconds(0.000_02),
            batch_items: 64,
            batch_bytes: None,
            jitter: usual_jitter(),
            tail: None,
            prestage_workers: None,
        }
    }

    /// S(b) in seconds.
    pub fn service(&self, units: f64) -> f64 {
        self.flush.seconds() + self.item.seconds() * units
    }

    /// What the disk carries, in units per second.
    pub fn capacity(&self) -> f64 {
        let batch = f64::from(self.batch_items);
        batch / self.service(batch)
    }

    /// B_eff: beyond 95 % of the asymptotic rate, or a third of five seconds, a
    /// bigger batch buys latency. The yardstick of latencies is S(B_eff).
    pub fn batch_effective(&self) -> f64 {
        let (s0, s1) = (self.flush.seconds(), self.item.seconds());
        let knee = s0 / s1 * 0.95 / 0.05;
        let patience = (5.0 / 3.0 - s0) / s1;
        f64::from(self.batch_items).min(knee.min(patience).ceil().max(1.0))
    }

    /// S(B_eff) in seconds.
    pub fn full_service(&self) -> f64 {
        self.service(self.batch_effective())
    }

    /// By how much the heavy tail lengthens the mean commit.
    pub fn tail_mean(&self) -> f64 {
        self.tail.map_or(1.0, |tail| 1.0 + tail.probability * (tail.mean() - 1.0))
    }

    /// Bytes in a full batch.
    pub fn bytes_max(&self) -> u64 {
        self.batch_bytes.unwrap_or_else(|| u64::from(self.batch_items) * 4096)
    }

    /// The weight of a cost in the batch's own units.
    pub fn units(&self, cost: Cost) -> u32 {
        // Both limits were checked when the file was read.
        WriteGateConfig::default()
            .with_batch_max(self.batch_items, self.bytes_max())
            .map_or(cost.items, |config| config.units(cost))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let tail = self.tail.unwrap_or(Tail { probability: 0.0, scale: 1.0, alpha: 2.0, max: 1.0 });
        let rules = [
            (self.batch_items > 0, "server.batch_items must not be zero"),
            (self.bytes_max() > 0, "server.batch_bytes must not be zero"),
            (self.service(1.0) > 0.0, "server.flush and server.item must not both be zero"),
            ((0.0..=3.0).contains(&self.jitter), "server.jitter must lie within 0 and 3"),
            ((0.0..=1.0).contains(&tail.probability), "server.tail.probability is a share, 0 to 1"),
            (tail.scale >= 1.0 && tail.max >= tail.scale, "server.tail: 1 <= scale <= max"),
            (tail.alpha > 0.0 && tail.max.is_finite(), "server.tail.alpha must be positive"),
            (self.prestage_workers != Some(0), "server.prestage_workers must not be zero"),
        ];
        rules.iter().find(|rule| !rule.0).map_or(Ok(()), |rule| Err(rule.1.to_owned()))
    }
}

impl Tail {
    /// The mean factor of a commit in the tail.
    fn mean(&self) -> f64 {
        let (scale, alpha, max) = (self.scale, self.alpha, self.max);
        let beyond = (scale / max).powf(alpha);
        let below = if (alpha - 1.0).abs() < 1e-9 {
            scale * (max / scale).ln()
        } else {
            alpha / (alpha - 1.0) * (scale - max * beyond)
        };
        below + max * beyond
    }
}

impl Slowdown {
    /// The factor on the disk's times at `seconds`.
    pub fn factor(&self, seconds: f64) -> f64 {
        let (into, left) =
            (seconds - self.at.seconds(), self.at.seconds() + self.lasting.seconds() - seconds);
        if into < 0.0 || left <= 0.0 {
            return 1.0;
        }
        let ramp = self.ramp.seconds();
        let share = if ramp > 0.0 { (into.min(left) / ramp).min(1.0) } else { 1.0 };
        1.0 + (self.times - 1.0) * share
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if (0.01..=1e4).contains(&self.times) {
            Ok(())
        } else {
            Err("slowdown.times must lie within 0.01 and 10000".to_owned())
        }
    }
}
