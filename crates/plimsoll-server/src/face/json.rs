//! JSON, counted as it inflates.
//!
//! Two bytes of text can become seventy of memory, so the size of a body says little
//! about what decoding it takes. What it has become is counted while it is decoded, and
//! decoding ends where the memory gate says so.

use core::cell::{Cell, RefCell};
use core::fmt;

use plimsoll::capacity::Held;
use plimsoll::{Rejection, Timestamp};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// One body, decoded: more is refused with 413.
pub(crate) const DECODED_BYTES_MAX: u64 = 64 << 20;
/// Decoded bytes for which nobody is asked: those of nearly every request.
const FREE_BYTES: u64 = 16 << 10;
/// Asked for at a time.
const STEP_BYTES: u64 = 256 << 10;

/// A value in an array, which grows by doubling.
const ELEMENT_BYTES: u64 = 2 * size_of::<Value>() as u64;
/// A field of an object: its part of a tree node that may be half empty.
const FIELD_BYTES: u64 = 2 * (size_of::<String>() + size_of::<Value>()) as u64;
/// The first field of an object brings a node for eleven.
const NODE_BYTES: u64 = 11 * FIELD_BYTES / 2;
/// What an allocation takes besides.
const ALLOCATION_BYTES: u64 = 16;

/// Why a body was not decoded.
#[derive(Debug)]
pub(crate) enum Undecoded {
    /// It is not JSON.
    Syntax(serde_json::Error),
    /// It becomes more than any request may.
    TooLarge,
    /// It becomes more than there is room for.
    Rejected(Rejection),
}

/// Counts against what a request holds of the memory gate.
pub(crate) struct Meter<'h> {
    held: Option<RefCell<&'h mut Held>>,
    now: Timestamp,
    decoded_bytes: Cell<u64>,
    asked_bytes: Cell<u64>,
    stopped: Cell<Option<Option<Rejection>>>,
}

impl<'h> Meter<'h> {
    pub(crate) fn new(held: &'h mut Held, now: Timestamp) -> Self {
        Self {
            held: Some(RefCell::new(held)),
            now,
            decoded_bytes: Cell::new(0),
            asked_bytes: Cell::new(FREE_BYTES),
            stopped: Cell::new(None),
        }
    }

    /// Nobody asks for more than any request may have.
    pub(crate) const fn unlimited() -> Self {
        Self {
            held: None,
            now: Timestamp::ZERO,
            decoded_bytes: Cell::new(0),
            asked_bytes: Cell::new(DECODED_BYTES_MAX),
            stopped: Cell::new(None),
        }
    }

    pub(crate) fn decode(&self, body: &[u8]) -> Result<Value, Undecoded> {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let value = Node(self).deserialize(&mut deserializer);
        let value = value.and_then(|value| deserializer.end().map(|()| value));
        value.map_err(|error| match self.stopped.get() {
            None => Undecoded::Syntax(error),
            Some(None) => Undecoded::TooLarge,
            Some(Some(rejection)) => Undecoded::Rejected(rejection),
        })
    }

    fn count<E: Error>(&self, bytes: u64) -> Result<(), E> {
        let decoded = self.decoded_bytes.get() + bytes;
        self.decoded_bytes.set(decoded);
        if decoded <= self.asked_bytes.get() {
            return Ok(());
        }
        if decoded > DECODED_BYTES_MAX {
            self.stopped.set(Some(None));
            return Err(E::custom("too large when decoded"));
        }
        let more = (decoded - self.asked_bytes.get()).max(STEP_BYTES);
        self.asked_bytes.set(self.asked_bytes.get() + more);
        let Some(held) = &self.held else { return Ok(()) };
        held.borrow_mut().grow(self.now, more).map_err(|rejection| {
            self.stopped.set(Some(Some(rejection)));
            E::custom("no memory to decode it")
        })
    }

    fn count_text<E: Error>(&self, text: &str) -> Result<(), E> {
        self.count(text.len() as u64 + ALLOCATION_BYTES)
    }
}

/// A value that is counted.
#[derive(Clone, Copy)]
struct Node<'m, 'h>(&'m Meter<'h>);

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.0.count_text(text)?;
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            self.0.count(ELEMENT_BYTES)?;
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let bytes = if object.is_empty() { NODE_BYTES } else { FIELD_BYTES };
            self.0.count(bytes)?;
            self.0.count_text(&name)?;
            object.insert(name, fields.next_value_seed(self)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use plimsoll::capacity::CapacityGate;
    use plimsoll::{Class, Mode};

    use super::*;

    const NOW: Timestamp = Timestamp::ZERO;

    fn gate(bytes_max: u64) -> CapacityGate {
        CapacityGate::memory(bytes_max, Mode::Enforce).expect("not zero")
    }

    fn decode(gate: &CapacityGate, body: &str) -> Result<Value, Undecoded> {
        let mut held = gate.hold(NOW, Class::Normal, 0).expect("nothing yet");
        Meter::new(&mut held, NOW).decode(body.as_bytes())
    }

    #[test]
    fn what_is_decoded_is_what_serde_decodes() {
        for body in [
            r#"{"a":[1,-2,2.5,true,false,null,"x\u0041",{"b":{}}],"a2":"","c":18446744073709551615}"#,
            r#"{"twice":1,"twice":2}"#,
            "[]",
            "null",
            " 1 ",
        ] {
            let expected: Value = serde_json::from_str(body).expect("valid");
            assert_eq!(decode(&gate(1 << 20), body).expect("valid"), expected, "{body}");
        }
        for body in ["", "{", "[1,]", "{} {}", "\"\\ud800\"", "1e999"] {
            assert!(matches!(decode(&gate(1 << 20), body), Err(Undecoded::Syntax(_))), "{body}");
        }
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(matches!(decode(&gate(1 << 20), &deep), Err(Undecoded::Syntax(_))));
    }

    #[test]
    fn a_body_that_inflates_is_refused_where_the_room_ends() {
        let bomb = format!("[{}{{\"\":0}}]", "{\"\":0},".repeat(100_000));
        let gate = gate(10 << 20);
        let _other = gate.hold(NOW, Class::Normal, 1).expect("room");
        assert!(matches!(decode(&gate, &bomb), Err(Undecoded::Rejected(_))));
        assert_eq!(gate.held(), 1, "given back");
    }

    #[test]
    fn a_body_that_inflates_beyond_any_request_is_too_large_even_alone() {
        let bomb = format!("[{}0]", "0,".repeat(2_000_000));
        let gate = gate(1 << 30);
        assert!(matches!(decode(&gate, &bomb), Err(Undecoded::TooLarge)));
    }

    #[test]
    fn a_small_body_asks_nobody() {
        let gate = gate(1);
        let _full = gate.hold(NOW, Class::Normal, 1).expect("room");
        assert!(decode(&gate, r#"{"role_id":"a","secret_id":"b"}"#).is_ok());
    }
}
