#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn the_scenarios_that_ship_are_scenarios() {
    assert!(shipped().unwrap().len() > 20);
}
