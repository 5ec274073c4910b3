//! A request's parameters, read as leniently as Vault reads them: numbers and
//! flags may come as strings, lists as one string with commas.

use serde_json::{Map, Value};

use crate::cidr::parse_cidrs;
use crate::duration::duration_field;
use crate::error::VaultError;
use crate::request::Request;

/// The parameters of one request. A `null` counts as absent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub &'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The body of a request.
    pub(crate) fn of(request: &'a Request) -> Self {
        Self(&request.data)
    }

    /// The value of a field.
    pub(crate) fn value(self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    /// Whether the field is there.
    pub(crate) fn has(self, field: &str) -> bool {
        self.value(field).is_some()
    }

    /// A string.
    pub(crate) fn text(self, field: &str) -> Result<Option<String>, VaultError> {
        self.value(field).map(|value| weak_text(field, value)).transpose()
    }

    /// A string without surrounding white space; empty if it is absent.
    pub(crate) fn trimmed(self, field: &str) -> Result<String, VaultError> {
        Ok(self.text(field)?.map(|text| text.trim().to_owned()).unwrap_or_default())
    }

    /// A flag.
    pub(crate) fn flag(self, field: &str) -> Result<Option<bool>, VaultError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let flag = match value {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => number.as_f64().map(|number| number != 0.0),
            Value::String(text) => match text.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
                "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
                _ => None,
            },
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        flag.map(Some).ok_or_else(|| {
            unreadable(field, "'' cannot parse value as 'bool': strconv.ParseBool: invalid syntax")
        })
    }

    /// A whole number.
    pub(crate) fn integer(self, field: &str) -> Result<Option<i64>, VaultError> {
        self.value(field).map(|value| weak_integer(field, value)).transpose()
    }

    /// A number.
    pub(crate) fn float(self, field: &str) -> Result<Option<f64>, VaultError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => {
                text.trim().parse().ok().filter(|number: &f64| number.is_finite())
            }
            _ => None,
        };
        number.map(Some).ok_or_else(|| {
            unreadable(
                field,
                "'' cannot parse value as 'float': strconv.ParseFloat: invalid syntax",
            )
        })
    }

    /// A count: a whole number that is not negative. `refusal` is the error
    /// otherwise.
    pub(crate) fn count(self, field: &str, refusal: &str) -> Result<Option<u64>, VaultError> {
        self.integer(field)?
            .map(|number| u64::try_from(number).map_err(|_| VaultError::invalid(refusal)))
            .transpose()
    }

    /// A duration in seconds.
    pub(crate) fn seconds(self, field: &str) -> Result<Option<u64>, VaultError> {
        duration_field(self.0, field)
    }

    /// A list of strings.
    pub(crate) fn list(self, field: &str) -> Result<Option<Vec<String>>, VaultError> {
        let items = match self.value(field) {
            None => return Ok(None),
            Some(Value::Array(items)) => {
                items.iter().map(|item| weak_text(field, item)).collect::<Result<Vec<_>, _>>()?
            }
            Some(value) => weak_text(field, value)?.split(',').map(str::to_owned).collect(),
        };
        let items = items.iter().map(|item| item.trim().to_owned());
        Ok(Some(items.filter(|item| !item.is_empty()).collect()))
    }

    /// A list of policies in the form in which policies are compared: lower
    /// case, sorted, each once; nothing stands beside `root`.
    pub(crate) fn policies(self, field: &str) -> Result<Option<Vec<String>>, VaultError> {
        Ok(self.list(field)?.map(|names| {
            let mut names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
            names.sort_unstable();
            names.dedup();
            if names.iter().any(|name| name == "root") {
                names = vec!["root".to_owned()];
            }
            names
        }))
    }

    /// A list of address blocks.
    pub(crate) fn cidrs(self, field: &str) -> Result<Option<Vec<String>>, VaultError> {
        self.value(field).map(parse_cidrs).transpose()
    }

    /// An object.
    pub(crate) fn object(self, field: &str) -> Result<Option<&'a Map<String, Value>>, VaultError> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(other) => {
                let why = format!(
                    "'' expected type 'map[string]interface {{}}', got unconvertible type '{}'",
                    go_type(other)
                );
                Err(unreadable(field, &why))
            }
        }
    }

    /// A list of whole numbers.
    pub(crate) fn integers(self, field: &str) -> Result<Vec<i64>, VaultError> {
        match self.value(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.iter().map(|item| weak_integer(field, item)).collect()
            }
            Some(Value::String(text)) => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| weak_integer(field, &Value::from(item)))
                .collect(),
            Some(value) => Ok(vec![weak_integer(field, value)?]),
        }
    }
}

fn unreadable(field: &str, why: &str) -> VaultError {
    VaultError::invalid(format!(
        "Field validation failed: error converting input for field \"{field}\": {why}"
    ))
}

/// A string, number or flag as a string.
fn weak_text(field: &str, value: &Value) -> Result<String, VaultError> {
    scalar_text(value).ok_or_else(|| {
        let why = format!("'' expected type 'string', got unconvertible type '{}'", go_type(value));
        unreadable(field, &why)
    })
}

/// What a scalar becomes where a string is expected; a flag becomes a digit.
pub(crate) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(flag) => Some(u8::from(*flag).to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// What Go's decoder calls the type of a value.
pub(crate) const fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(_) => "json.Number",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn weak_integer(field: &str, value: &Value) -> Result<i64, VaultError> {
    integer_of(value).ok_or_else(|| {
        unreadable(field, "'' cannot parse value as 'int': strconv.ParseInt: invalid syntax")
    })
}

/// A whole number, also when it comes as a string or a flag.
pub(crate) fn integer_of(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::Number(number) => number.as_i64(),
        Value::String(text) if text.is_empty() => Some(0),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn data(value: &Value) -> Map<String, Value> {
        Map::from_iter([("f".to_owned(), value.clone())])
    }

    #[test]
    fn lists_come_as_arrays_or_with_commas() {
        for value in [json!(["a", " b", ""]), json!("a, b,")] {
            assert_eq!(Fields(&data(&value)).list("f").unwrap().unwrap(), ["a", "b"]);
        }
        assert_eq!(Fields(&data(&json!(null))).list("f").unwrap(), None);
        assert!(Fields(&data(&json!({"a": 1}))).list("f").is_err());
    }

    #[test]
    fn nothing_stands_beside_root_and_policies_are_lower_case() {
        let read = |value| Fields(&data(&value)).policies("f").unwrap().unwrap();
        assert_eq!(read(json!("p1,Q ,p1")), ["p1", "q"]);
        assert_eq!(read(json!(["a", "Root"])), ["root"]);
    }

    #[test]
    fn numbers_and_flags_come_as_strings_too() {
        assert_eq!(Fields(&data(&json!("7"))).integer("f").unwrap(), Some(7));
        assert_eq!(Fields(&data(&json!("true"))).flag("f").unwrap(), Some(true));
        assert!(Fields(&data(&json!("maybe"))).flag("f").is_err());
        assert!(Fields(&data(&json!(1.5))).integer("f").is_err());
        assert_eq!(Fields(&data(&json!("1, 2"))).integers("f").unwrap(), [1, 2]);
    }
}
