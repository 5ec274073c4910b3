//! Several clients in one load, each from an address of its own.

use std::{
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

use crate::schedule::Schedule;

/// The most flows in one load.
const FLOWS_MAX: u32 = 1_000;

/// Clients that share a schedule; written `NAME[@SOURCE][*COUNT]=SCHEDULE`.
///
/// With a count, each client has the whole schedule to itself and the source
/// addresses count up from the one given. On Linux all of 127.0.0.0/8 can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// What the report calls it.
    pub name: String,
    /// The address it comes from; `None` leaves that to the system.
    pub source: Option<IpAddr>,
    /// How many such clients there are, 1 to 1,000.
    pub count: u32,
    /// When each of them asks.
    pub schedule: Schedule,
}

impl Flow {
    /// One client from wherever the system chooses.
    pub fn single(schedule: Schedule) -> Self {
        Self { name: "all".to_owned(), source: None, count: 1, schedule }
    }

    /// The flows one by one.
    pub(crate) fn expand(&self) -> impl Iterator<Item = Self> + '_ {
        (0..self.count).map(|index| Self {
            name: if self.count == 1 {
                self.name.clone()
            } else {
                format!("{}-{}", self.name, index + 1)
            },
            source: self.source.map(|source| offset(source, index)),
            count: 1,
            schedule: self.schedule.clone(),
        })
    }
}

fn offset(source: IpAddr, by: u32) -> IpAddr {
    match source {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().wrapping_add(by)).into(),
        IpAddr::V6(v6) => {
            std::net::Ipv6Addr::from_bits(v6.to_bits().wrapping_add(by.into())).into()
        }
    }
}

impl FromStr for Flow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is not of the form NAME[@SOURCE][*COUNT]=SCHEDULE");
        let (who, schedule) = text.split_once('=').ok_or_else(form)?;
        let schedule = schedule.parse().map_err(|error| format!("{error}"))?;
        let (who, count) = match who.split_once('*') {
            Some((who, count)) => (who, count.parse().map_err(|_| form())?),
            None => (who, 1),
        };
        if !(1..=FLOWS_MAX).contains(&count) {
            return Err(format!("{count} flows: there may be 1 to {FLOWS_MAX}"));
        }
        let (name, source) = match who.split_once('@') {
            Some((name, source)) => (name, Some(source.parse().map_err(|_| form())?)),
            None => (who, None),
        };
        if name.is_empty() {
            return Err(form());
        }
        Ok(Self { name: name.to_owned(), source, count, schedule })
    }
}
