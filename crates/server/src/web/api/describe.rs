//! The OpenAPI document, made line by line while the routes are added, from the same types that are served.

use axum::body::Bytes;
use axum::handler::Handler;
use axum::http::Method;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::has_body;
use crate::web::Web;
use crate::web::auth::Permission;
use crate::web::router::Routes;

/// What is said of one call.
#[derive(Clone, Copy)]
pub(super) struct Doc {
    summary: &'static str,
    takes: Option<(Shape, bool)>,
    gives: Option<(u16, Shape)>,
    query: Option<Shape>,
}

/// Writes a type's schema.
type Shape = fn(&mut SchemaGenerator) -> Value;

pub(super) const fn doc(summary: &'static str) -> Doc {
    Doc { summary, takes: None, gives: None, query: None }
}

fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

impl Doc {
    /// The body it needs.
    pub(super) fn takes<T: JsonSchema>(self) -> Self {
        Self { takes: Some((shape::<T>, true)), ..self }
    }

    /// A body that may be left out.
    pub(super) fn takes_if_any<T: JsonSchema>(self) -> Self {
        Self { takes: Some((shape::<T>, false)), ..self }
    }

    /// Parameters behind the question mark.
    pub(super) fn query<T: JsonSchema>(self) -> Self {
        Self { query: Some(shape::<T>), ..self }
    }

    /// Answers 200 with this.
    pub(super) fn gives<T: JsonSchema>(self) -> Self {
        Self { gives: Some((200, shape::<T>)), ..self }
    }

    /// Answers 201 with this.
    pub(super) fn makes<T: JsonSchema>(self) -> Self {
        Self { gives: Some((201, shape::<T>)), ..self }
    }
}

/// Routes and their description, growing together.
pub(super) struct Api {
    routes: Routes,
    generator: SchemaGenerator,
    paths: Map<String, Value>,
}

/// A method of [`Api`] that adds a route by the method of [`Routes`] of the same name, and describes it.
macro_rules! call {
    ($name:ident, $method:ident) => {
        pub(super) fn $name<H: Handler<T, Web>, T: 'static>(
            mut self,
            path: &'static str,
            who: Permission,
            doc: Doc,
            handler: H,
        ) -> Self {
            self.describe(&Method::$method, path, who, &doc);
            Self { routes: self.routes.$name(path, who, handler), ..self }
        }
    };
}

impl Api {
    pub(super) fn new(routes: Routes) -> Self {
        let generator = SchemaSettings::openapi3().into_generator();
        Self { routes, generator, paths: Map::new() }
    }

    call!(get, GET);
    call!(post, POST);
    call!(slow_post, POST);
    call!(put, PUT);
    call!(patch, PATCH);
    call!(delete, DELETE);

    /// The router, and the document as JSON.
    pub(super) fn finish(mut self) -> (Routes, Bytes) {
        let problem = shape::<super::problem::Body>(&mut self.generator);
        let mut schemas = self.generator.take_definitions(true);
        schemas.entry("Problem").or_insert(problem);
        let document = json!({
            "openapi": "3.0.3",
            "info": {
                "title": "Watchbell",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Everything the console can do. Tokens are made in the console under Settings.",
                "license": { "name": "MIT OR Apache-2.0" },
            },
            "security": [{ "token": [] }],
            "paths": self.paths,
            "components": {
                "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
                "schemas": schemas,
            },
        });
        (self.routes, Bytes::from(document.to_string()))
    }

    fn describe(&mut self, method: &Method, path: &'static str, who: Permission, doc: &Doc) {
        let mut parameters: Vec<Value> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .collect();
        if let Some(query) = doc.query {
            parameters.extend(query_parameters(&mut self.generator, query));
        }
        let mut responses = Map::new();
        match doc.gives {
            Some((status, shape)) => {
                let schema = shape(&mut self.generator);
                let content = json!({ "description": "Done", "content": { "application/json": { "schema": schema } } });
                responses.insert(status.to_string(), content);
            }
            None => drop(responses.insert("204".into(), json!({ "description": "Done" }))),
        }
        let refusal = json!({
            "description": "Refused, with the reason",
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
        responses.insert("default".into(), refusal);
        let mut operation = json!({
            "summary": doc.summary,
            "operationId": operation(method, path),
            "description": match who {
                Permission::Editor => "Needs a token that may write.",
                _ => "Needs a token.",
            },
            "parameters": parameters,
            "responses": responses,
        });
        if let Some((shape, required)) = doc.takes.filter(|_| has_body(method)) {
            let schema = shape(&mut self.generator);
            operation["requestBody"] =
                json!({ "required": required, "content": { "application/json": { "schema": schema } } });
        }
        let entry = self.paths.entry(path).or_insert_with(|| json!({}));
        entry[method.as_str().to_ascii_lowercase()] = operation;
    }
}

/// `get_monitors_slug_results`.
fn operation(method: &Method, path: &str) -> String {
    let rest = path.trim_start_matches("/api/v1/").replace(['/', '{', '}'], "_").replace("__", "_");
    format!("{}_{}", method.as_str().to_ascii_lowercase(), rest.trim_end_matches('_'))
}

/// A flat struct's fields as query parameters.
fn query_parameters(generator: &mut SchemaGenerator, shape: Shape) -> Vec<Value> {
    let reference = shape(generator);
    let name = reference["$ref"].as_str().and_then(|it| it.rsplit('/').next()).map(str::to_owned);
    // The struct itself is no schema that anybody refers to: its fields become parameters.
    let schema = match name {
        Some(name) => generator.definitions_mut().remove(&name).unwrap_or_default(),
        None => reference,
    };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields = schema["properties"].as_object().into_iter().flatten();
    fields
        .map(|(name, field)| {
            let mut field = field.clone();
            let description = field.as_object_mut().and_then(|field| field.remove("description")).unwrap_or_default();
            json!({
                "name": name, "in": "query", "required": required.contains(&name.as_str()),
                "description": description, "schema": field,
            })
        })
        .collect()
}
