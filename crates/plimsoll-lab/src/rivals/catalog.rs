//! Every rival by name: at its default, and at the settings hindsight may pick.

use super::{
    Limiter,
    aqm::{AdaptiveLifo, Codel, Pie},
    brpc::Brpc,
    dagor::Dagor,
    envoy::Envoy,
    failsafe::Failsafe,
    gradient::Gradient2,
    netflix::{Aimd, Vegas},
    pi::QueuePi,
    plain::{Closed, Coin, Fixed, PredictedWait, Unbounded},
};
use crate::{scenario::Server, sim::Chance};

/// A law with its numbers.
pub type Setting = Box<dyn Limiter>;

/// One published law.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name in tables.
    pub name: &'static str,
    /// Where its formula is published.
    pub source: &'static str,
    /// As its authors ship it.
    pub default: fn(&Server) -> Setting,
    /// What hindsight may choose from.
    pub tuned: fn(&Server) -> Vec<(String, Setting)>,
}

/// A controller that must fail the assertions, or they assert nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The gate that ships, deaf: no commit is ever reported to it.
    Frozen,
    /// Everybody enters.
    AlwaysAdmit,
    /// Nobody does.
    AlwaysReject,
    /// Every other, by chance.
    Random,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Frozen, Self::AlwaysAdmit, Self::AlwaysReject, Self::Random];

    /// Its law; the frozen gate has none of its own.
    pub fn setting(self) -> Option<Setting> {
        match self {
            Self::Frozen => None,
            Self::AlwaysAdmit => Some(Box::new(Unbounded)),
            Self::AlwaysReject => Some(Box::new(Closed)),
            Self::Random => Some(Box::new(Coin(Chance::new(1, 6)))),
        }
    }
}

/// Limits on the queue, in batches, among which the best fixed one is sought.
pub const FIXED_IN_BATCHES: [f64; 6] = [0.5, 1.0, 1.5, 2.5, 6.0, 16.0];

/// A queue of at most `batches` batches.
pub fn fixed(server: &Server, batches: f64) -> Setting {
    let waiting_max = (f64::from(server.batch_items) * batches).ceil().max(1.0) as u32;
    Box::new(Fixed { waiting_max })
}

fn list<const N: usize, P: std::fmt::Debug>(
    parameters: [P; N],
    build: impl Fn(&P) -> Setting,
) -> Vec<(String, Setting)> {
    parameters.iter().map(|p| (format!("{p:?}"), build(p))).collect()
}

/// The published laws.
pub const CATALOG: &[Entry] = &[
    Entry {
        name: "unbounded",
        source: "what most servers do",
        default: |_| Box::new(Unbounded),
        tuned: |_| Vec::new(),
    },
    Entry {
        name: "fixed-10000",
        source: "a bounded queue, tail drop",
        default: |_| Box::new(Fixed { waiting_max: 10_000 }),
        tuned: |server| {
            let batches =
                FIXED_IN_BATCHES.map(|batches| (format!("{batches}B"), fixed(server, batches)));
            batches.into_iter().collect()
        },
    },
    Entry {
        name: "aimd",
        source: "Netflix concurrency-limits, AIMDLimit.java",
        default: |_| Box::new(Aimd::default()),
        tuned: |server| {
            let batch = f64::from(server.batch_items);
            list([2.0, 2.5, 3.0, 4.0], |batches| {
                Box::new(Aimd { max: (batch * batches).max(20.0), ..Aimd::default() })
            })
        },
    },
    Entry {
        name: "vegas",
        source: "Netflix concurrency-limits, VegasLimit.java",
        default: |_| Box::new(Vegas::new(20.0, 1_000.0, 30.0)),
        tuned: |_| {
            list([(100.0, 1_000.0, 30.0), (1_000.0, 10_000.0, 30.0), (200.0, 1_000.0, 1e9)], |p| {
                Box::new(Vegas::new(p.0, p.1, p.2))
            })
        },
    },
    Entry {
        name: "gradient2",
        source: "Netflix concurrency-limits, Gradient2Limit.java in 1 s windows",
        default: |_| Box::new(Gradient2::new(20.0, 200.0, 1.5, 4.0, 1.0)),
        tuned: |server| {
            let batch = f64::from(server.batch_items);
            list([(1.0, 1.5), (2.0, 1.5), (2.0, 2.0), (2.5, 3.0)], |&(batches, tolerance)| {
                let min = (batch * batches).max(20.0);
                Box::new(Gradient2::new(min, min * 10.0, tolerance, 4.0, 1.0))
            })
        },
    },
    Entry {
        name: "gradient2-vault",
        source: "the same with a limit of 100 to 5000, as in Vault 1.16",
        default: |_| Box::new(Gradient2::new(100.0, 5_000.0, 1.5, 4.0, 1.0)),
        tuned: |_| Vec::new(),
    },
    Entry {
        name: "envoy",
        source: "Envoy adaptive concurrency, gradient_controller.cc, p90",
        default: |_| Box::new(Envoy::new(0.9, 0.25, 60.0, 1_000.0)),
        tuned: |_| {
            list([(0.5, 0.25), (0.9, 1.0), (0.5, 1.0), (0.9, 3.0)], |p| {
                Box::new(Envoy::new(p.0, p.1, 60.0, 10_000.0))
            })
        },
    },
    Entry {
        name: "failsafe",
        source: "failsafe-go, adaptivelimiter.go",
        default: |_| Box::new(Failsafe::new(20.0, 1.0, 200.0, 1.0)),
        tuned: |server| {
            let batch = f64::from(server.batch_items);
            list([1.0, 2.0, 2.5, 3.0], |batches| {
                let limit = (batch * batches).max(20.0);
                Box::new(Failsafe::new(limit, batch, limit, 1.0))
            })
        },
    },
    Entry {
        name: "brpc",
        source: "Apache brpc, auto_concurrency_limiter.cpp",
        default: |_| Box::new(Brpc::new(40.0, 200, 50.0)),
        tuned: |_| {
            list([(200.0, 200, 50.0), (1_000.0, 1_000, 50.0), (400.0, 1_000, 1e9)], |p| {
                Box::new(Brpc::new(p.0, p.1, p.2))
            })
        },
    },
    Entry {
        name: "codel",
        source: "RFC 8289 as in folly, Codel.cpp, 5/100 ms",
        default: |_| Box::new(Codel::new(0.005, 0.1)),
        tuned: |server| {
            let service = server.service(f64::from(server.batch_items));
            list([0.5, 1.0, 1.5, 2.0], |services| {
                Box::new(Codel::new(service * services, (service * services * 20.0).max(0.02)))
            })
        },
    },
    Entry {
        name: "lifo-codel",
        source: "Facebook, Fail at Scale (ACM Queue 2015), 5/100 ms",
        default: |_| Box::new(AdaptiveLifo::new(0.005, 0.1)),
        tuned: |server| {
            let service = server.service(f64::from(server.batch_items));
            list([(1.0, 20.0), (1.5, 20.0), (2.0, 20.0), (1.5, 10.0), (2.0, 5.0)], |p| {
                Box::new(AdaptiveLifo::new(service * p.0, service * p.1))
            })
        },
    },
    Entry {
        name: "pie",
        source: "RFC 8033, 15 ms",
        default: |_| Box::new(Pie::new(0.015, 0.015)),
        tuned: |server| {
            let service = server.service(f64::from(server.batch_items));
            list([0.5, 1.0, 2.0, 4.0], |services| {
                Box::new(Pie::new(service * services, service * services))
            })
        },
    },
    Entry {
        name: "dagor",
        source: "DAGOR (SoCC 2018), 20 ms, 1 s or 2000 requests",
        default: |_| Box::new(Dagor::new(0.02, 0.95, 0.01)),
        tuned: |server| {
            let service = server.service(f64::from(server.batch_items));
            list([(1.0, 0.9), (2.0, 0.9), (1.0, 0.7), (4.0, 0.8)], |p| {
                Box::new(Dagor::new(service * p.0, p.1, 0.03))
            })
        },
    },
    Entry {
        name: "pi-500ms",
        source: "PI on the queue, gains of Uber's Cinnamon: Vault's shape",
        default: |server| Box::new(QueuePi::new(0.5, 0.1, 1.4, f64::from(server.batch_items))),
        tuned: |server| {
            let batch = f64::from(server.batch_items);
            list([(0.05, 0.1, 1.4), (0.05, 0.5, 5.0), (0.02, 0.2, 5.0), (0.01, 0.2, 2.0)], |p| {
                Box::new(QueuePi::new(p.0, p.1, p.2, batch))
            })
        },
    },
    Entry {
        name: "predicted-wait",
        source: "Bouncer (SIGMOD 2024) for one type of request, 50 ms",
        default: |server| {
            let batch = f64::from(server.batch_items);
            Box::new(PredictedWait { slo: 0.05, batch, commit: 0.0 })
        },
        tuned: |server| {
            let batch = f64::from(server.batch_items);
            let service = server.service(batch);
            list([1.2, 1.5, 2.2, 3.2, 5.0], |services| {
                Box::new(PredictedWait { slo: service * services, batch, commit: 0.0 })
            })
        },
    },
];
