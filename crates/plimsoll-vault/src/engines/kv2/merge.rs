//! JSON merge patches (RFC 7396), and documents without their values.

use serde_json::{Map, Value};

/// Applies a patch: `null` removes, objects are merged, all else replaces. The
/// parser has bounded the depth.
pub(super) fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, change) in patch {
        match change {
            Value::Null => {
                target.remove(key);
            }
            Value::Object(change) => {
                let slot = target.entry(key.clone()).or_insert(Value::Null);
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(inner) = slot {
                    merge(inner, change);
                }
            }
            other => {
                target.insert(key.clone(), other.clone());
            }
        }
    }
}

/// The same keys with `null` for every value, down to `depth` levels; 0 is all
/// of them.
pub(super) fn without_values(data: &Map<String, Value>, depth: u64) -> Map<String, Value> {
    let inner = |value: &Value| match value {
        Value::Object(below) if depth != 1 && !below.is_empty() => {
            Value::Object(without_values(below, depth.saturating_sub(1)))
        }
        _ => Value::Null,
    };
    data.iter().map(|(key, value)| (key.clone(), inner(value))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    /// The examples of RFC 7396, appendix A, of which both sides are objects.
    #[test]
    fn patches_do_what_rfc_7396_says() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = target.as_object().unwrap().clone();
            merge(&mut merged, patch.as_object().unwrap());
            assert_eq!(Value::Object(merged), result, "{target} + {patch}");
        }
    }

    #[test]
    fn values_are_left_out_down_to_a_depth() {
        let data = json!({"x": {"y": 1, "e": {}, "z": {"w": 1}}, "l": [1]});
        let subkeys = |depth| Value::Object(without_values(data.as_object().unwrap(), depth));
        assert_eq!(subkeys(0), json!({"x": {"y": null, "e": null, "z": {"w": null}}, "l": null}));
        assert_eq!(subkeys(1), json!({"x": null, "l": null}));
        assert_eq!(subkeys(2), json!({"x": {"y": null, "e": null, "z": null}, "l": null}));
    }
}
