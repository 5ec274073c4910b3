//! The HCL that policies are written in.
//!
//! Vault reads policies with the first version of HCL, whose grammar is looser
//! than the second's: keys may be quoted, several attributes may stand on a line,
//! with or without commas, and the labels of a block may be bare. Real policies
//! use all of that, so a parser of the second version refuses some of them.

use serde_json::Value;

/// Blocks within blocks.
const DEPTH_MAX: usize = 16;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Scalar(Value),
    List(Vec<Self>),
    Object(Vec<Item>),
}

/// `key "label" { ... }` or `key = value`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) key: String,
    pub(super) labels: Vec<String>,
    pub(super) value: Node,
    pub(super) line: usize,
}

impl Node {
    /// JSON as the HCL it stands for.
    pub(super) fn from_json(value: Value) -> Self {
        match value {
            Value::Array(items) => Self::List(items.into_iter().map(Self::from_json).collect()),
            Value::Object(items) => {
                let item = |(key, value)| Item {
                    key,
                    labels: Vec::new(),
                    value: Self::from_json(value),
                    line: 1,
                };
                Self::Object(items.into_iter().map(item).collect())
            }
            scalar => Self::Scalar(scalar),
        }
    }

    /// The value as JSON, to be compared with a request's.
    pub(super) fn into_json(self) -> Value {
        match self {
            Self::Scalar(scalar) => scalar,
            Self::List(items) => items.into_iter().map(Self::into_json).collect(),
            Self::Object(items) => {
                items.into_iter().map(|item| (item.key, item.value.into_json())).collect()
            }
        }
    }
}

/// The items of a document.
pub(super) fn parse(text: &str) -> Result<Vec<Item>, String> {
    Parser { text, rest: text, depth: 0, line: (1, text) }.items(None)
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    depth: usize,
    /// A line that was reached, and what was left of the text there, so that
    /// lines are counted once.
    line: (usize, &'a str),
}

impl Parser<'_> {
    /// Items up to `end`, or the end of the text.
    fn items(&mut self, end: Option<char>) -> Result<Vec<Item>, String> {
        let mut items = Vec::new();
        loop {
            self.skip_blank()?;
            match self.peek() {
                None if end.is_none() => return Ok(items),
                None => return Err(self.at("object expected closing RBRACE got: EOF")),
                Some(c) if Some(c) == end => {
                    self.bump();
                    return Ok(items);
                }
                Some(',') if !items.is_empty() => self.bump(),
                Some(_) => items.push(self.item()?),
            }
        }
    }

    fn item(&mut self) -> Result<Item, String> {
        let line = self.line();
        let key = self.key()?;
        let mut labels = Vec::new();
        loop {
            self.skip_blank()?;
            match self.peek() {
                Some('{') => break,
                Some('=' | ':') if labels.is_empty() => {
                    self.bump();
                    self.skip_blank()?;
                    break;
                }
                Some(_) => labels.push(self.key()?),
                None => return Err(self.at(&format!("no value for key \"{key}\""))),
            }
        }
        let value = self.value()?;
        Ok(Item { key, labels, value, line })
    }

    fn key(&mut self) -> Result<String, String> {
        match self.peek() {
            Some('"') => self.string(),
            Some(c) if c.is_alphabetic() || c == '_' => Ok(self.word().to_owned()),
            Some(c) => Err(self.at(&format!("expected a key, got: {c:?}"))),
            None => Err(self.at("expected a key, got: EOF")),
        }
    }

    fn value(&mut self) -> Result<Node, String> {
        match self.peek() {
            Some('{') => self.nested(|parser| parser.items(Some('}')).map(Node::Object)),
            Some('[') => self.nested(|parser| parser.list().map(Node::List)),
            Some('"') => self.string().map(|text| Node::Scalar(text.into())),
            Some(_) => self.literal(),
            None => Err(self.at("expected a value, got: EOF")),
        }
    }

    fn nested(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<Node, String>,
    ) -> Result<Node, String> {
        if self.depth == DEPTH_MAX {
            return Err(self.at(&format!("more than {DEPTH_MAX} levels")));
        }
        self.bump();
        self.depth += 1;
        let node = parse(self)?;
        self.depth -= 1;
        Ok(node)
    }

    fn list(&mut self) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        loop {
            self.skip_blank()?;
            match self.peek() {
                Some(']') => {
                    self.bump();
                    return Ok(nodes);
                }
                None => return Err(self.at("list expected closing RBRACK got: EOF")),
                Some(_) => nodes.push(self.value()?),
            }
            self.skip_blank()?;
            match self.peek() {
                Some(',') => self.bump(),
                Some(']') => {}
                _ => return Err(self.at("error parsing list, expected comma or list end")),
            }
        }
    }

    /// `true`, `false` or a number.
    fn literal(&mut self) -> Result<Node, String> {
        let (start, word) = (self.rest, self.word());
        match word {
            "true" => return Ok(Node::Scalar(true.into())),
            "false" => return Ok(Node::Scalar(false.into())),
            _ => {}
        }
        // A word has no sign in it but may be followed by more of a number.
        self.rest = start;
        let end = self.rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
        let (number, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        match serde_json::from_str::<serde_json::Number>(number) {
            Ok(number) => {
                self.rest = rest;
                Ok(Node::Scalar(Value::Number(number)))
            }
            Err(_) => Err(self.at(&format!("Unknown token: {:?}", self.peek().unwrap_or(' ')))),
        }
    }

    fn word(&mut self) -> &str {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn string(&mut self) -> Result<String, String> {
        let start = self.rest;
        let mut chars = start.char_indices().skip(1);
        while let Some((index, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &start[index + 1..];
                    // Escapes are JSON's.
                    return serde_json::from_str(&start[..=index])
                        .map_err(|_| self.at("illegal string"));
                }
                '\\' => drop(chars.next()),
                '\n' => break,
                _ => {}
            }
        }
        Err(self.at("literal not terminated"))
    }

    /// White space and comments.
    fn skip_blank(&mut self) -> Result<(), String> {
        loop {
            self.rest =
                self.rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let end = comment.split_once("*/");
                self.rest = end.ok_or_else(|| self.at("comment not terminated"))?.1;
            } else {
                return Ok(());
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
    }

    fn line(&mut self) -> usize {
        let (line, left) = self.line;
        let passed = &left[..left.len() - self.rest.len()];
        self.line = (line + passed.matches('\n').count(), self.rest);
        self.line.0
    }

    /// Line and column, from 1.
    fn position(&self) -> (usize, usize) {
        let before = &self.text[..self.text.len() - self.rest.len()];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    fn at(&self, what: &str) -> String {
        let (line, column) = self.position();
        format!("At {line}:{column}: {what}")
    }
}
