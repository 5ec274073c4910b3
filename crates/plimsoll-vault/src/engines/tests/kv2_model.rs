//! kv version 2 against a model: a list of versions, each with a state.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::kv2::kv2;
use super::support::Mounted;
use crate::error::VaultError;
use crate::request::Operation;

#[derive(Clone, Debug)]
enum Step {
    Put { cas: Option<u64> },
    DeleteCurrent,
    Delete(Vec<u64>),
    Undelete(Vec<u64>),
    Destroy(Vec<u64>),
    KeepOnly(u64),
    DeleteKey,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Live(usize),
    Deleted(usize),
    Destroyed,
    Dropped,
}

/// One key as a client imagines it. `versions[0]` is version 1.
#[derive(Default)]
struct Model {
    versions: Vec<State>,
    max_versions: u64,
}

impl Model {
    /// Whether the step is accepted.
    fn apply(&mut self, number: usize, step: &Step) -> bool {
        let all = |numbers: &[u64]| -> Vec<usize> {
            numbers.iter().filter_map(|n| usize::try_from(*n).ok()?.checked_sub(1)).collect()
        };
        match step {
            Step::Put { cas } if cas.is_some_and(|cas| cas != self.versions.len() as u64) => {
                return false;
            }
            Step::Put { .. } => {
                self.versions.push(State::Live(number));
                let kept = if self.max_versions == 0 { 10 } else { self.max_versions as usize };
                let dropped = self.versions.len().saturating_sub(kept);
                self.versions[..dropped].fill(State::Dropped);
            }
            Step::DeleteCurrent => self.change(&[self.versions.len().wrapping_sub(1)], deleted),
            Step::Delete(numbers) => self.change(&all(numbers), deleted),
            Step::Undelete(numbers) => self.change(&all(numbers), |state| match state {
                State::Deleted(data) => State::Live(data),
                other => other,
            }),
            Step::Destroy(numbers) => self.change(&all(numbers), |state| match state {
                State::Dropped => State::Dropped,
                _ => State::Destroyed,
            }),
            Step::KeepOnly(max_versions) => self.max_versions = *max_versions,
            Step::DeleteKey => *self = Self::default(),
        }
        true
    }

    fn change(&mut self, indices: &[usize], f: impl Fn(State) -> State) {
        for index in indices {
            if let Some(state) = self.versions.get_mut(*index) {
                *state = f(*state);
            }
        }
    }
}

fn deleted(state: State) -> State {
    match state {
        State::Live(data) => State::Deleted(data),
        other => other,
    }
}

fn request(number: usize, step: &Step) -> (Operation, &'static str, Value) {
    let write = |path, body| (Operation::Write, path, body);
    match step {
        Step::Put { cas: None } => write("data/k", json!({"data": {"n": number}})),
        Step::Put { cas } => {
            write("data/k", json!({"data": {"n": number}, "options": {"cas": cas}}))
        }
        Step::DeleteCurrent => (Operation::Delete, "data/k", Value::Null),
        Step::Delete(versions) => write("delete/k", json!({"versions": versions})),
        Step::Undelete(versions) => write("undelete/k", json!({"versions": versions})),
        Step::Destroy(versions) => write("destroy/k", json!({"versions": versions})),
        Step::KeepOnly(max_versions) => write("metadata/k", json!({"max_versions": max_versions})),
        Step::DeleteKey => (Operation::Delete, "metadata/k", Value::Null),
    }
}

fn seen(kv: &Mounted, version: usize) -> State {
    let response = match kv.read(&format!("data/k?version={version}")) {
        Ok(answer) => answer.response,
        Err(VaultError::NotFound(_)) => return State::Dropped,
        Err(error) => panic!("{error}"),
    };
    let data = response.data.unwrap();
    match response.status {
        None => State::Live(data["data"]["n"].as_u64().unwrap() as usize),
        Some(_) if data["metadata"]["destroyed"] == true => State::Destroyed,
        // What it holds is seen when it is undeleted.
        Some(_) => State::Deleted(0),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let numbers = || proptest::collection::vec(0..16_u64, 1..4);
    let step = prop_oneof![
        8 => proptest::option::weighted(0.3, 0..8_u64).prop_map(|cas| Step::Put { cas }),
        2 => Just(Step::DeleteCurrent),
        2 => numbers().prop_map(Step::Delete),
        3 => numbers().prop_map(Step::Undelete),
        2 => numbers().prop_map(Step::Destroy),
        1 => (0..5_u64).prop_map(Step::KeepOnly),
        1 => Just(Step::DeleteKey),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #[test]
    fn versions_are_what_the_model_says(steps in steps()) {
        let mut kv = kv2();
        let mut model = Model::default();
        for (number, step) in steps.iter().enumerate() {
            kv.now += core::time::Duration::from_nanos(1);
            let (operation, path, body) = request(number, step);
            prop_assert_eq!(kv.ask(operation, path, body).is_ok(), model.apply(number, step));
            for (index, state) in model.versions.iter().enumerate() {
                let expected = match state {
                    State::Deleted(_) => State::Deleted(0),
                    other => *other,
                };
                prop_assert_eq!(seen(&kv, index + 1), expected, "version {}", index + 1);
            }
            let with_data = |state: &&State| matches!(state, State::Live(_) | State::Deleted(_));
            let stored = model.versions.iter().filter(with_data).count();
            prop_assert_eq!(kv.stored("versions/").len(), stored, "no data is left behind");
        }
    }
}
