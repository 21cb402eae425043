//! What the audit trail may keep of each operation's input and output: one tree each, from `x-pcs-recorded`.
//!
//! An allowlist: a leaf or map without the mark is not recorded, so a member added tomorrow is not until somebody says
//! so. The mark belongs to leaves and maps alone; one on an object or list would cover members that nobody looked at.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Map, Value};

use crate::contract::{Outcome, array, object, resolve, text, text_error};

const NOTHING: &str = "&Recorded::Nothing";

pub struct Trees<'a> {
    document: &'a Value,
    /// Component name -> expression, so that a shape used twice is emitted once; `None` while it is being compiled.
    components: BTreeMap<String, Option<String>>,
    pub out: String,
}

impl Trees<'_> {
    pub fn new(document: &Value) -> Trees<'_> {
        Trees {
            document,
            components: BTreeMap::new(),
            out: String::new(),
        }
    }

    /// Parameters and members of the body together: the gateway reads them into one object.
    pub fn input(&mut self, operation: &Value) -> Outcome<String> {
        let mut members = BTreeMap::new();
        for parameter in array(operation.get("parameters")) {
            let parameter = resolve(self.document, parameter)?;
            let schema = parameter.get("schema").ok_or("a parameter without a schema")?;
            members.insert(text(&parameter, "name")?.to_owned(), self.tree(schema)?);
        }
        if let Some(body) = operation.get("requestBody") {
            let body = resolve(self.document, body)?;
            let schema = body.pointer("/content/application~1json/schema");
            let schema = resolve(self.document, schema.ok_or("the body has no schema")?)?;
            for (name, member) in object(schema.get("properties"), "properties")? {
                let tree = self.tree(member)?;
                if members.insert(name.clone(), tree).is_some() {
                    return Err(format!("`{name}` is a parameter and a member of the body"));
                }
            }
        }
        Ok(expression(&members))
    }

    /// The body of the answer of success.
    pub fn output(&mut self, response: &Value) -> Outcome<String> {
        let response = resolve(self.document, response)?;
        match response.get("content") {
            None => Ok(NOTHING.to_owned()),
            Some(content) => {
                let schema = content.pointer("/application~1json/schema");
                self.tree(schema.ok_or("the answer is not application/json")?)
            }
        }
    }

    /// Emits what the schema needs and returns an expression for a `&'static Recorded`.
    fn tree(&mut self, schema: &Value) -> Outcome<String> {
        let Some(reference) = schema.get("$ref") else {
            return self.inline(schema);
        };
        let reference = reference.as_str().ok_or("$ref is not a string")?;
        let component = reference.rsplit('/').next().unwrap_or(reference).to_owned();
        match self.components.get(&component) {
            Some(Some(expression)) => return Ok(expression.clone()),
            Some(None) => {
                return Err(format!(
                    "{component} contains itself; what is recorded must have an end"
                ));
            }
            None => {}
        }
        self.components.insert(component.clone(), None);
        let target = resolve(self.document, schema)?;
        let mut expression = self
            .inline(&target)
            .map_err(|error| format!("{component}: {error}"))?;
        // What refers to a table further on gets a name.
        if expression.contains('(') {
            let name = format!("RECORDED_{}", component.to_uppercase());
            let value = expression.trim_start_matches('&');
            writeln!(self.out, "static {name}: Recorded = {value};").map_err(text_error)?;
            expression = format!("&{name}");
        }
        self.components.insert(component, Some(expression.clone()));
        Ok(expression)
    }

    fn inline(&mut self, schema: &Value) -> Outcome<String> {
        let mark = mark(schema)?;
        let kind = text(schema, "type")?;
        if let Some(values) = schema.get("additionalProperties").and_then(Value::as_object) {
            return self.map(values, mark);
        }
        match (kind, mark) {
            ("array" | "object", Some(_)) => {
                Err("x-pcs-recorded belongs to leaves and maps: mark what it holds".into())
            }
            ("array", None) => {
                let items = schema.get("items").ok_or("an array without items")?;
                Ok(format!("&Recorded::Items({})", self.tree(items)?))
            }
            ("object", None) => self.object(schema.get("properties").and_then(Value::as_object)),
            (_, None) => Ok(NOTHING.to_owned()),
            ("string", Some(Mark::WithoutQuery)) => Ok("&Recorded::TextWithoutQuery".to_owned()),
            ("string", Some(Mark::Whole)) => Ok("&Recorded::Text".to_owned()),
            ("integer", Some(Mark::Whole)) => Ok("&Recorded::Integer".to_owned()),
            ("boolean", Some(Mark::Whole)) => Ok("&Recorded::Boolean".to_owned()),
            (kind, Some(_)) => Err(format!("x-pcs-recorded does not fit type `{kind}`")),
        }
    }

    /// An object that declares no members is recorded like a leaf without a mark.
    fn object(&mut self, properties: Option<&Map<String, Value>>) -> Outcome<String> {
        let Some(properties) = properties else {
            return Ok(NOTHING.to_owned());
        };
        let mut members = BTreeMap::new();
        for (name, member) in properties {
            let tree = self.tree(member).map_err(|error| format!("{name}: {error}"))?;
            members.insert(name.clone(), tree);
        }
        Ok(expression(&members))
    }

    /// A map is marked as a whole: callers choose its keys as well.
    fn map(&self, values: &Map<String, Value>, mark: Option<Mark>) -> Outcome<String> {
        let values = resolve(self.document, &Value::Object(values.clone()))?;
        match (mark, text(&values, "type")?) {
            (None, _) => Ok(NOTHING.to_owned()),
            (Some(Mark::Whole), "string") => Ok("&Recorded::Entries(&Recorded::Text)".to_owned()),
            (Some(_), kind) => Err(format!("x-pcs-recorded does not fit a map of type `{kind}`")),
        }
    }
}

fn expression(members: &BTreeMap<String, String>) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, tree)| format!("({name:?}, {tree})"))
        .collect();
    format!("&Recorded::Members(&[{}])", members.join(", "))
}

#[derive(Clone, Copy)]
enum Mark {
    Whole,
    WithoutQuery,
}

fn mark(schema: &Value) -> Outcome<Option<Mark>> {
    let mark = match schema.get("x-pcs-recorded") {
        None => return Ok(None),
        Some(Value::Bool(true)) => Mark::Whole,
        Some(Value::String(text)) if text == "without-query" => Mark::WithoutQuery,
        Some(other) => {
            return Err(format!(
                "x-pcs-recorded is `{other}`; known are true and without-query"
            ));
        }
    };
    if schema.get("x-pcs-sensitive").is_some() {
        return Err("is marked both x-pcs-sensitive and x-pcs-recorded".into());
    }
    Ok(Some(mark))
}
