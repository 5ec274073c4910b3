//! WeChat's DAGOR (Hao Zhou et al., "Overload Control for Scaling WeChat
//! Microservices", SoCC 2018), at one server.

use plimsoll::Class;

use super::{Dequeue, Limiter, View};

const USER_LEVELS: usize = 128;
const LEVELS: usize = Class::COUNT * USER_LEVELS;
const WINDOW_SECONDS: f64 = 1.0;
const WINDOW_REQUESTS: u32 = 2_000;
/// The wait after which a request is worth nothing.
const TASK_TIMEOUT: f64 = 0.5;

/// Business priority times 128 user levels; a histogram of the last window says
/// which level to admit so that 5 % fewer, or 1 % more, come in.
#[derive(Clone, Debug)]
pub(super) struct Dagor {
    target: f64,
    decrease: f64,
    increase: f64,
    /// Levels below this are admitted; the most important is 0.
    level: usize,
    arrived: Vec<u32>,
    admitted: u32,
    requests: u32,
    ends: f64,
    delays: f64,
    left: u32,
}

impl Dagor {
    pub(super) fn new(target: f64, decrease: f64, increase: f64) -> Self {
        Self {
            target,
            decrease,
            increase,
            level: LEVELS,
            arrived: vec![0; LEVELS],
            admitted: 0,
            requests: 0,
            ends: WINDOW_SECONDS,
            delays: 0.0,
            left: 0,
        }
    }

    fn close(&mut self, now: f64) {
        let overloaded = self.left > 0 && self.delays / f64::from(self.left) > self.target;
        let mut admitted = f64::from(self.admitted);
        if overloaded {
            let wanted = self.decrease * admitted;
            while admitted > wanted && self.level > 0 {
                self.level -= 1;
                admitted -= f64::from(self.arrived[self.level]);
            }
        } else {
            let wanted = admitted + self.increase * f64::from(self.requests);
            while admitted < wanted && self.level < LEVELS {
                admitted += f64::from(self.arrived[self.level]);
                self.level += 1;
            }
        }
        self.arrived.fill(0);
        (self.admitted, self.requests, self.left, self.delays) = (0, 0, 0, 0.0);
        self.ends = now + WINDOW_SECONDS;
    }
}

impl Limiter for Dagor {
    fn admit(&mut self, view: &View) -> bool {
        if view.now >= self.ends || self.requests >= WINDOW_REQUESTS {
            self.close(view.now);
        }
        let business = Class::COUNT - 1 - view.class.index();
        // The hash changes every hour in the original; runs are shorter.
        let user = (view.flow.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57) as usize;
        let level = business * USER_LEVELS + user;
        self.arrived[level] += 1;
        self.requests += 1;
        let admitted = level < self.level;
        self.admitted += u32::from(admitted);
        admitted
    }

    fn leaving(&mut self, _now: f64, delay: f64) -> Dequeue {
        self.delays += delay;
        self.left += 1;
        if delay > TASK_TIMEOUT { Dequeue::Drop } else { Dequeue::Serve }
    }
}
