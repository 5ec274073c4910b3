//! HCL's labelled blocks and their JSON spelling, brought to one form.

use serde_json::{Map, Value};

/// A block such as `listener "tcp" { ... }`.
#[derive(Debug)]
pub struct Block {
    /// What stands in quotes behind its name.
    pub label: String,
    /// What stands in its braces.
    pub body: Value,
}

/// Takes every block called `name` out of a file. HCL gives `{label: body}`, or
/// `{label: [body, body]}` for a repeated one; JSON files may also say
/// `[{label: body}, ...]`.
///
/// # Errors
/// Something of that name is no labelled block.
pub fn take_labelled(file: &mut Map<String, Value>, name: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    for labelled in one_or_many(file.remove(name)) {
        let Value::Object(labelled) = labelled else {
            return Err(format!("{name}: expected a block with a label"));
        };
        for (label, bodies) in labelled {
            for body in one_or_many(Some(bodies)) {
                blocks.push(Block { label: label.clone(), body });
            }
        }
    }
    Ok(blocks)
}

/// Takes a block without a label that may stand there once.
///
/// # Errors
/// It stands there more than once.
pub fn take_single(file: &mut Map<String, Value>, name: &str) -> Result<Option<Value>, String> {
    let mut blocks = one_or_many(file.remove(name));
    match blocks.len() {
        0 | 1 => Ok(blocks.pop()),
        _ => Err(format!("{name}: more than one block")),
    }
}

fn one_or_many(value: Option<Value>) -> Vec<Value> {
    match value {
        None => Vec::new(),
        Some(Value::Array(many)) => many,
        Some(one) => vec![one],
    }
}
