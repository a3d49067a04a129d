//! The fields of a JSON body. All that is wrong with them is said at once.

use std::fmt::Display;

use http::{StatusCode, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    http::request::Request,
    web::{api::error::ApiRefusal, refusals::Validation},
};

/// Characters of what was found at the most, where an error quotes it.
const QUOTED_LEN_MAX: usize = 200;

/// The members of a JSON object, and what is wrong with those that were read.
pub(super) struct Fields {
    members: Map<String, Value>,
    wrong: Vec<Validation>,
}

impl Fields {
    /// Reads a body. What is null is as good as absent.
    pub(super) fn parse(request: &Request) -> Result<Self, ApiRefusal> {
        let kind = request.head.header(CONTENT_TYPE.as_str()).unwrap_or("");
        let kind = kind.split(';').next().unwrap_or_default().trim();
        // Threat 34: a form of a foreign page can send every type but this one.
        if !kind.eq_ignore_ascii_case("application/json") {
            let refusal = ApiRefusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body is not JSON by its Content-Type.",
            );
            return Err(refusal.because("Content-Type: expected application/json, found another"));
        }
        let mut members: Map<String, Value> =
            serde_json::from_slice(&request.body).map_err(|error| {
                ApiRefusal::new(StatusCode::BAD_REQUEST, "The body cannot be read.")
                    .because(format!("expected an object in JSON: {error}"))
            })?;
        members.retain(|_, value| !value.is_null());
        Ok(Self {
            members,
            wrong: Vec::new(),
        })
    }

    /// Refuses every field that can neither be set nor be read: it is a slip of the pen, and would
    /// silently do nothing.
    pub(super) fn expect_only(&mut self, settable: &[&str], read_only: &[&str]) {
        let is_known = |name: &&String| {
            settable.contains(&name.as_str()) || read_only.contains(&name.as_str())
        };
        let unknown = self.members.keys().filter(|name| !is_known(name));
        let expected = format!("expected one of {}", settable.join(", "));
        let wrong = unknown.map(|name| Validation {
            field: quoted(name),
            detail: expected.clone(),
        });
        self.wrong.extend(wrong.collect::<Vec<_>>());
    }

    /// Says that a field cannot be taken.
    pub(super) fn refuse(&mut self, field: &str, detail: impl Display) {
        self.wrong.push(Validation {
            field: field.to_owned(),
            detail: detail.to_string(),
        });
    }

    /// A text that `parse` takes; `None` if it is absent, or was refused.
    pub(super) fn read<T, E: Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.members.get(name)?;
        let parsed = match value.as_str() {
            None => Err("expected a text".to_owned()),
            Some(text) => parse(text).map_err(|error| error.to_string()),
        };
        parsed.map_err(|detail| self.refuse(name, detail)).ok()
    }

    /// A list of texts, each of which `parse` takes.
    pub(super) fn read_all<T, E: Display>(
        &mut self,
        name: &str,
        max: usize,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        self.read_list(name, max, "texts", |value| {
            let text = value.as_str().ok_or("expected a list of texts")?;
            parse(text).map_err(|error| format!("{}: {error}", quoted(text)))
        })
    }

    /// A list of objects, each of which `parse` takes.
    pub(super) fn read_objects<T>(
        &mut self,
        name: &str,
        max: usize,
        parse: impl Fn(&Map<String, Value>) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        self.read_list(name, max, "objects", |value| {
            parse(value.as_object().ok_or("expected a list of objects")?)
        })
    }

    fn read_list<T>(
        &mut self,
        name: &str,
        max: usize,
        kind: &str,
        parse: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let value = self.members.get(name)?;
        let list = value.as_array().filter(|list| list.len() <= max);
        let parsed = list
            .ok_or_else(|| format!("expected a list of at most {max} {kind}"))
            .and_then(|list| list.iter().map(parse).collect());
        parsed.map_err(|detail| self.refuse(name, detail)).ok()
    }

    /// A list of at most `max` of what `T` reads, which has to be there; empty if it was refused.
    pub(super) fn required_list<T: DeserializeOwned>(&mut self, name: &str, max: usize) -> Vec<T> {
        let list = self.members.get(name).and_then(Value::as_array);
        let read = match list.filter(|list| list.len() <= max) {
            None => Err(format!("expected a list of at most {max}")),
            Some(list) => {
                let read = |value| T::deserialize(value);
                let read: Result<_, serde_json::Error> = list.iter().map(read).collect();
                read.map_err(|error| quoted(&error.to_string()))
            }
        };
        read.unwrap_or_else(|detail| {
            self.refuse(name, detail);
            Vec::new()
        })
    }

    /// Whether a field is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// True or false, which has to be there.
    pub(super) fn required_flag(&mut self, name: &str) -> Option<bool> {
        let flag = self.members.get(name).and_then(Value::as_bool);
        if flag.is_none() {
            self.refuse(name, "expected true or false");
        }
        flag
    }

    /// Every field that was refused, if any was.
    pub(super) fn finish(self) -> Result<(), ApiRefusal> {
        if self.wrong.is_empty() {
            Ok(())
        } else {
            Err(ApiRefusal::invalid_fields(self.wrong))
        }
    }
}

/// As much of a wrong value as a refusal repeats.
pub(super) fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_LEN_MAX).collect()
}
