//! Refusing at home: client-side throttling as the SRE book has it.
//!
//! A server that refuses pays for every refusal. When it accepts less than one in
//! K of what is asked, the client refuses the excess itself, by chance, with
//! probability `max(0, (requests - K accepts) / (requests + 1))` over the last two
//! minutes. Refused at home counts as asked, so one request in K gets through to
//! find out whether the server has recovered.

use core::time::Duration;

/// Counted back from now.
const WINDOW: Duration = Duration::from_secs(120);
const SLOTS: u64 = 12;
const SLOT: Duration = Duration::from_secs(WINDOW.as_secs() / SLOTS);

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Which ten seconds since the beginning this counts.
    number: u64,
    requests: u32,
    accepts: u32,
}

/// Counts of the last two minutes.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    multiple: f64,
    slots: [Slot; SLOTS as usize],
}

impl Throttle {
    /// Lets through up to `multiple` times what the server accepts; the book's K
    /// is 2. Nothing below 1 and nothing that is not a number makes sense.
    pub fn new(multiple: f64) -> Option<Self> {
        let sensible = multiple.is_finite() && multiple >= 1.0;
        sensible.then(|| Self { multiple, slots: Default::default() })
    }

    /// Whether a request may be sent; counts it. `unit` is drawn from [0, 1).
    pub fn admit(&mut self, now: Duration, unit: f64) -> bool {
        let admitted = unit >= self.reject_probability(now);
        let slot = self.slot(now);
        slot.requests = slot.requests.saturating_add(1);
        admitted
    }

    /// The server took a request.
    pub fn accepted(&mut self, now: Duration) {
        let slot = self.slot(now);
        slot.accepts = slot.accepts.saturating_add(1);
    }

    /// How likely the next request is refused.
    pub fn reject_probability(&self, now: Duration) -> f64 {
        let current = number(now);
        let recent = self.slots.iter().filter(|slot| slot.number + SLOTS > current);
        let (requests, accepts) = recent.fold((0.0, 0.0), |(requests, accepts), slot| {
            (requests + f64::from(slot.requests), accepts + f64::from(slot.accepts))
        });
        ((requests - self.multiple * accepts) / (requests + 1.0)).max(0.0)
    }

    fn slot(&mut self, now: Duration) -> &mut Slot {
        let number = number(now);
        let slot = &mut self.slots[(number % SLOTS) as usize];
        if slot.number != number {
            *slot = Slot { number, ..Slot::default() };
        }
        slot
    }
}

fn number(now: Duration) -> u64 {
    now.as_secs() / SLOT.as_secs()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const AT: Duration = Duration::from_secs(1_000);

    fn after(requests: u32, accepts: u32) -> Throttle {
        let mut throttle = Throttle::new(2.0).unwrap();
        (0..requests).for_each(|_| assert!(throttle.admit(AT, 1.0)));
        (0..accepts).for_each(|_| throttle.accepted(AT));
        throttle
    }

    #[test]
    fn half_refused_is_still_all_sent() {
        assert_eq!(after(100, 50).reject_probability(AT), 0.0);
    }

    #[test]
    fn what_exceeds_twice_the_accepted_is_refused_at_home() {
        let probability = after(99, 10).reject_probability(AT);
        assert!((probability - 0.79).abs() < 1e-9, "{probability}");
        assert!(!after(99, 10).admit(AT, 0.5) && after(99, 10).admit(AT, 0.9));
    }

    #[test]
    fn two_minutes_later_it_is_forgotten() {
        assert!(after(100, 0).reject_probability(AT + Duration::from_secs(100)) > 0.9);
        assert_eq!(after(100, 0).reject_probability(AT + WINDOW), 0.0);
    }

    #[test]
    fn a_multiple_that_makes_no_sense_is_not_taken() {
        assert!([0.5, -1.0, f64::NAN, f64::INFINITY].iter().all(|k| Throttle::new(*k).is_none()));
    }
}
