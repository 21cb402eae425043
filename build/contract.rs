//! From the OpenAPI document to Rust statics: one `Route` per operation, one `Schema` per shape a caller can send, one
//! `Recorded` per shape that the audit trail can meet.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Map, Value};

use crate::{pattern, recorded::Trees};

pub type Outcome<T> = Result<T, String>;

/// Compiles the whole document. The output is deterministic: maps are walked in key order.
pub fn compile(document: &Value) -> Outcome<String> {
    let mut tables = Tables {
        document,
        schemas: BTreeMap::new(),
        patterns: BTreeMap::new(),
        recorded: Trees::new(document),
        out: String::new(),
    };
    let mut routes = String::new();
    let mut arms = String::new();
    for (path, methods) in object(document.get("paths"), "paths")? {
        for method in [
            "get", "post", "patch", "delete", "put", "head", "options", "trace",
        ] {
            let Some(operation) = methods.get(method) else {
                continue;
            };
            let id = text(operation, "operationId")?;
            let route = tables
                .route(path, method, operation)
                .map_err(|error| format!("{id}: {error}"))?;
            writeln!(routes, "static ROUTE_{}: Route = {route};", id.to_uppercase()).map_err(text_error)?;
            let variant = match operation.get("x-pcs-upstream") {
                Some(Value::Bool(false)) => id.to_owned(),
                _ => format!("Pcs(Action::{id})"),
            };
            writeln!(
                arms,
                "        Operation::{variant} => &ROUTE_{},",
                id.to_uppercase()
            )
            .map_err(text_error)?;
        }
    }
    let regions = tables.regions()?;
    Ok(format!(
        "{}\n{}\n{routes}\n/// The contract's entry of an operation. Exhaustive: an operation missing from the contract, or one that\n\
         /// only the contract knows, stops the build.\npub fn route(operation: Operation) -> &'static Route {{\n    \
         match operation {{\n{arms}    }}\n}}\n\n{regions}",
        tables.out, tables.recorded.out
    ))
}

struct Tables<'a> {
    document: &'a Value,
    /// Component name -> static's name, so that a shape used twice is emitted once.
    schemas: BTreeMap<String, String>,
    patterns: BTreeMap<String, String>,
    recorded: Trees<'a>,
    out: String,
}

impl Tables<'_> {
    fn route(&mut self, path: &str, method: &str, operation: &Value) -> Outcome<String> {
        let mut parameters = String::new();
        for parameter in array(operation.get("parameters")) {
            let parameter = resolve(self.document, parameter)?;
            let name = text(&parameter, "name")?;
            let location = match text(&parameter, "in")? {
                "path" => "Path",
                "query" => "Query",
                other => return Err(format!("parameter `{name}` in `{other}` is not supported")),
            };
            let required = parameter.get("required") == Some(&Value::Bool(true));
            let schema = parameter
                .get("schema")
                .ok_or_else(|| format!("parameter `{name}` has no schema"))?;
            let schema = self.schema(schema)?;
            write!(
                parameters,
                "Parameter {{ name: {name:?}, location: Location::{location}, required: {required}, schema: {schema} }}, "
            )
            .map_err(text_error)?;
        }
        let body = match operation.get("requestBody") {
            None => "None".to_owned(),
            Some(body) => format!("Some(&{})", self.body(body)?),
        };
        let (success, answer) = object(operation.get("responses"), "responses")?
            .iter()
            .find(|(status, _)| status.starts_with('2'))
            .ok_or("no success status")?;
        let (input, output) = (self.recorded.input(operation)?, self.recorded.output(answer)?);
        let mutation = operation
            .get("x-pcs-mutation")
            .and_then(Value::as_bool)
            .ok_or("x-pcs-mutation is missing")?;
        Ok(format!(
            "Route {{ method: {:?}, resource: {path:?}, success: {success}, mutation: {mutation}, \
             parameters: &[{parameters}], body: {body}, recorded_input: {input}, recorded_output: {output} }}",
            method.to_uppercase()
        ))
    }

    fn body(&mut self, body: &Value) -> Outcome<String> {
        let body = resolve(self.document, body)?;
        if body.get("required") != Some(&Value::Bool(true)) {
            return Err("a request body must be required".into());
        }
        let schema = body
            .pointer("/content/application~1json/schema")
            .ok_or("the request body is not application/json")?;
        let empty_is_absent = match body.get("x-pcs-empty").map(Value::as_str) {
            None => false,
            Some(Some("absent")) => true,
            Some(_) => return Err("x-pcs-empty can be absent and nothing else".into()),
        };
        let (not_empty, ids) = (texts(&body, "x-pcs-not-empty")?, texts(&body, "x-pcs-ids")?);
        let empty_alone = texts(&body, "x-pcs-empty-alone")?;
        let at_most = text_pairs(&body, "x-pcs-at-most")?;
        let reserved = text_pairs(&body, "x-pcs-reserved-prefix")?;
        let schema = self.schema(schema)?;
        Ok(format!(
            "Body {{ schema: {schema}, empty_is_absent: {empty_is_absent}, not_empty: &{not_empty:?}, \
             empty_alone: &{empty_alone:?}, ids: &{ids:?}, at_most: &{at_most:?}, reserved_prefix: &{reserved:?} }}"
        ))
    }

    /// Emits the schema (once per component) and returns an expression for a `&'static Schema`.
    fn schema(&mut self, schema: &Value) -> Outcome<String> {
        let Some(reference) = schema.get("$ref") else {
            return Ok(format!("&{}", self.schema_value(schema)?));
        };
        let reference = reference.as_str().ok_or("$ref is not a string")?;
        let component = reference.rsplit('/').next().unwrap_or(reference).to_owned();
        if let Some(name) = self.schemas.get(&component) {
            return Ok(format!("&{name}"));
        }
        let name = format!("SCHEMA_{}", component.to_uppercase());
        self.schemas.insert(component.clone(), name.clone());
        let target = resolve(self.document, schema)?;
        let value = self
            .schema_value(&target)
            .map_err(|error| format!("{component}: {error}"))?;
        writeln!(self.out, "static {name}: Schema = {value};").map_err(text_error)?;
        Ok(format!("&{name}"))
    }

    fn schema_value(&mut self, schema: &Value) -> Outcome<String> {
        for keyword in [
            "oneOf",
            "anyOf",
            "allOf",
            "not",
            "nullable",
            "exclusiveMinimum",
            "exclusiveMaximum",
        ] {
            if schema.get(keyword).is_some() {
                return Err(format!("keyword `{keyword}` is not supported"));
            }
        }
        match text(schema, "type")? {
            "string" => self.string(schema),
            "integer" => {
                let (minimum, maximum) = (
                    // PCS's integers have 32 bits.
                    integer(schema, "minimum", i32::MIN.into())?,
                    integer(schema, "maximum", i32::MAX.into())?,
                );
                Ok(format!(
                    "Schema::Integer {{ minimum: {minimum}, maximum: {maximum} }}"
                ))
            }
            "boolean" => Ok("Schema::Boolean".to_owned()),
            "array" => {
                let items = schema.get("items").ok_or("an array without items")?;
                let items = self.schema(items)?;
                let (min, max) = (
                    count(schema, "minItems", 0)?,
                    count(schema, "maxItems", u32::MAX)?,
                );
                Ok(format!(
                    "Schema::Array {{ items: {items}, min_items: {min}, max_items: {max} }}"
                ))
            }
            "object" => self.object(schema),
            other => Err(format!("type `{other}` is not supported")),
        }
    }

    fn string(&mut self, schema: &Value) -> Outcome<String> {
        let (min, max) = (
            count(schema, "minLength", 0)?,
            count(schema, "maxLength", u32::MAX)?,
        );
        let choices: Vec<&str> = array(schema.get("enum"))
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let pattern = match schema.get("pattern").and_then(Value::as_str) {
            None => "None".to_owned(),
            Some(pattern) => format!("Some(&{})", self.pattern(pattern, text(schema, "x-pcs-form")?)?),
        };
        Ok(format!(
            "Schema::String {{ min_length: {min}, max_length: {max}, pattern: {pattern}, choices: &{choices:?} }}"
        ))
    }

    fn object(&mut self, schema: &Value) -> Outcome<String> {
        match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => {}
            Some(Value::Object(values)) => return self.map(schema, values),
            _ => {
                return Err(
                    "an object that callers send must set additionalProperties to false or a schema".into(),
                );
            }
        }
        let required: Vec<&str> = array(schema.get("required"))
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let mut members = String::new();
        for (name, member) in object(schema.get("properties"), "properties")? {
            let member = self.schema(member).map_err(|error| format!("{name}: {error}"))?;
            let required = required.contains(&name.as_str());
            write!(
                members,
                "Member {{ name: {name:?}, required: {required}, schema: {member} }}, "
            )
            .map_err(text_error)?;
        }
        Ok(format!("Schema::Object {{ members: &[{members}] }}"))
    }

    fn map(&mut self, schema: &Value, values: &Map<String, Value>) -> Outcome<String> {
        let values = self.schema(&Value::Object(values.clone()))?;
        let key = schema
            .get("x-pcs-map-key")
            .cloned()
            .unwrap_or(Value::Object(Map::new()));
        let (min, max) = (
            count(schema, "minProperties", 0)?,
            count(schema, "maxProperties", u32::MAX)?,
        );
        let (key_min, key_max) = (count(&key, "minLength", 0)?, count(&key, "maxLength", u32::MAX)?);
        Ok(format!(
            "Schema::Map {{ values: {values}, min_entries: {min}, max_entries: {max}, \
             key_min_length: {key_min}, key_max_length: {key_max} }}"
        ))
    }

    fn pattern(&mut self, source: &str, form: &str) -> Outcome<String> {
        let key = format!("{source} {form}");
        if let Some(name) = self.patterns.get(&key) {
            return Ok(name.clone());
        }
        let name = format!("PATTERN_{}", self.patterns.len());
        let automata = pattern::compile(source)?;
        let refuses = automata
            .refuses_prefix
            .map_or_else(|| "None".to_owned(), |table| format!("Some({table})"));
        writeln!(
            self.out,
            "static {name}: Pattern = Pattern {{ source: {source:?}, form: {form:?}, accepts: {}, refuses_prefix: {refuses} }};",
            automata.accepts
        )
        .map_err(text_error)?;
        self.patterns.insert(key, name.clone());
        Ok(name)
    }

    fn regions(&self) -> Outcome<String> {
        let regions = self
            .document
            .pointer("/components/schemas/Region/enum")
            .ok_or("no schema `Region` with an enum")?;
        let regions: Vec<&str> = array(Some(regions)).iter().filter_map(Value::as_str).collect();
        Ok(format!(
            "/// The Regions in which PCS exists: schema `Region`.\npub static REGIONS: &[&str] = &{regions:?};\n"
        ))
    }
}

/// Follows references within the document.
pub fn resolve(document: &Value, value: &Value) -> Outcome<Value> {
    let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
        return Ok(value.clone());
    };
    let pointer = reference
        .strip_prefix('#')
        .ok_or_else(|| format!("`{reference}` is outside this file"))?;
    let target = document
        .pointer(pointer)
        .ok_or_else(|| format!("`{reference}` does not exist"))?;
    resolve(document, target)
}

pub fn object<'a>(value: Option<&'a Value>, what: &str) -> Outcome<&'a Map<String, Value>> {
    value
        .and_then(Value::as_object)
        .ok_or_else(|| format!("`{what}` is not an object"))
}

pub fn array(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A list of texts that need not be there.
fn texts<'a>(value: &'a Value, key: &str) -> Outcome<Vec<&'a str>> {
    let Some(list) = value.get(key) else {
        return Ok(Vec::new());
    };
    let list = list.as_array().ok_or_else(|| format!("`{key}` is not a list"))?;
    let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
    texts.ok_or_else(|| format!("`{key}` is not a list of names"))
}

/// A map from text to text that need not be there.
fn text_pairs<'a>(value: &'a Value, key: &str) -> Outcome<Vec<(&'a str, &'a str)>> {
    let Some(map) = value.get(key) else {
        return Ok(Vec::new());
    };
    let pairs = object(Some(map), key)?
        .iter()
        .map(|(name, text)| Some((name.as_str(), text.as_str()?)));
    let pairs: Option<Vec<(&str, &str)>> = pairs.collect();
    pairs.ok_or_else(|| format!("`{key}` is not a map of texts"))
}

pub fn text<'a>(value: &'a Value, key: &str) -> Outcome<&'a str> {
    value
        .get(key)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("`{key}` is missing or not a string"))
}

fn integer(schema: &Value, key: &str, default: i64) -> Outcome<i64> {
    match schema.get(key) {
        None => Ok(default),
        Some(value) => value.as_i64().ok_or_else(|| format!("`{key}` is not an integer")),
    }
}

fn count(schema: &Value, key: &str, default: u32) -> Outcome<u32> {
    u32::try_from(integer(schema, key, i64::from(default))?).map_err(|_| format!("`{key}` is not a count"))
}

pub fn text_error(error: std::fmt::Error) -> String {
    error.to_string()
}
