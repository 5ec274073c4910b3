//! A random history of creations and revocations beside a model.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What a random history of creations and revocations must leave usable, by a
/// model that knows only parents and children.
#[derive(Clone, Debug)]
enum Step {
    Create { parent: usize, orphan: bool },
    Revoke(usize),
    RevokeOrphan(usize),
    Work,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12_usize, any::<bool>()).prop_map(|(parent, orphan)| Step::Create { parent, orphan }),
        2 => (0..12_usize).prop_map(Step::Revoke),
        2 => (0..12_usize).prop_map(Step::RevokeOrphan),
        1 => Just(Step::Work),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn exactly_the_tokens_without_a_revoked_ancestor_are_let_in(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let server = server();
        let before = data_keys(&server);
        // Id, parent, alive.
        let mut model: Vec<(String, Option<usize>, bool)> = Vec::new();
        let (first, _) = server.create("root", json!({"policies": ["maker"]}));
        model.push((first, None, true));
        for step in steps {
            match step {
                Step::Create { parent, orphan } => {
                    let parent = parent % model.len();
                    let path = if orphan { "auth/token/create-orphan" } else { "auth/token/create" };
                    let created = server.write(&model[parent].0.clone(), path, json!({}));
                    prop_assert_eq!(created.is_ok(), model[parent].2);
                    if let Ok(created) = created {
                        let id = created.auth.unwrap().client_token;
                        model.push((id, (!orphan).then_some(parent), true));
                    }
                }
                Step::Revoke(index) => {
                    let index = index % model.len();
                    let body = json!({"token": model[index].0});
                    server.write("root", "auth/token/revoke", body).unwrap();
                    if model[index].2 {
                        model[index].2 = false;
                        for child in index + 1..model.len() {
                            let is_below = model[child].1.is_some_and(|parent| !model[parent].2);
                            model[child].2 &= !is_below;
                        }
                    }
                }
                Step::RevokeOrphan(index) => {
                    let index = index % model.len();
                    let body = json!({"token": model[index].0});
                    let revoked = server.write("root", "auth/token/revoke-orphan", body);
                    prop_assert_eq!(revoked.is_ok(), model[index].2);
                    model[index].2 = false;
                    for entry in &mut model {
                        entry.1 = entry.1.filter(|parent| *parent != index);
                    }
                }
                Step::Work => drop(server.work(3)),
            }
            for (id, _, alive) in &model {
                prop_assert_eq!(server.accepts(id), *alive);
            }
        }
        for (id, ..) in &model {
            server.write("root", "auth/token/revoke", json!({"token": id})).unwrap();
        }
        server.work(3);
        prop_assert_eq!(data_keys(&server), before, "nothing is left behind");
    }
}
