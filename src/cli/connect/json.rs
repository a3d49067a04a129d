//! An entry put into a file in JSON, of which everything else stays as it is, comments included.

use jsonc_parser::{
    ParseOptions,
    cst::{CstInputValue, CstNode, CstObject, CstObjectProp, CstRootNode},
};

use super::entry::{Entry, Field, MergeError, TRANSPORT};

const OBJECT: &str = "an object";

/// What hosts read: JSON, in some with comments and commas at the end. Nothing looser, so that no
/// host finds something that it cannot read.
const READ: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// `text` with `entry` as `name` among its `servers`.
pub(super) fn merge(
    text: &str,
    servers: &str,
    name: &str,
    entry: &Entry,
) -> Result<String, MergeError> {
    let root = CstRootNode::parse(text, &READ).map_err(|fault| MergeError::Syntax {
        expected: "JSON",
        fault: fault.to_string(),
    })?;
    let document = match root.value() {
        None => root.object_value_or_set(),
        Some(value) => value
            .as_object()
            .ok_or_else(|| not_an_object("its beginning"))?,
    };
    let all = object_in(&document, servers)?;
    let ours = object_in(&all, name)?;
    let is_stale = |key: &&str| !entry.iter().any(|(ours, _)| ours == key);
    for stale in TRANSPORT.iter().filter(|key| is_stale(key)) {
        if let Some(member) = find(&ours, stale)? {
            member.remove();
        }
    }
    for (key, field) in entry {
        match find(&ours, key)? {
            Some(member) if member.value().is_some_and(|value| says(&value, field)) => {}
            Some(member) => member.set_value(input(field)),
            None => drop(ours.append(key, input(field))),
        }
    }
    let mut merged = root.to_string();
    if text.trim().is_empty() {
        merged = format!("{}\n", merged.trim());
    }
    Ok(merged)
}

/// The object that is `key` of `parent`, made where there is none.
fn object_in(parent: &CstObject, key: &str) -> Result<CstObject, MergeError> {
    let member = match find(parent, key)? {
        Some(member) => member,
        None => parent.append(key, CstInputValue::Object(Vec::new())),
    };
    member.object_value().ok_or_else(|| not_an_object(key))
}

/// The member that is called `key`. A parser that takes the last of two would be told of the first.
fn find(object: &CstObject, key: &str) -> Result<Option<CstObjectProp>, MergeError> {
    let is_it = |member: &CstObjectProp| member.decoded_name().as_deref() == Some(key);
    let mut found = object.properties().into_iter().filter(is_it);
    let first = found.next();
    match found.next() {
        None => Ok(first),
        Some(_) => Err(MergeError::Twice(key.to_owned())),
    }
}

fn not_an_object(at: &str) -> MergeError {
    MergeError::NotATable {
        expected: OBJECT,
        at: at.to_owned(),
    }
}

/// Whether `value` says what `field` does.
fn says(value: &CstNode, field: &Field) -> bool {
    let is = |node: &CstNode, text: &str| {
        let found = node.as_string_lit().map(|lit| lit.decoded_value());
        matches!(found, Some(Ok(found)) if found == text)
    };
    match field {
        Field::Text(text) => is(value, text),
        Field::List(texts) => value.as_array().is_some_and(|array| {
            let elements = array.elements();
            elements.len() == texts.len()
                && elements
                    .iter()
                    .zip(texts)
                    .all(|(node, text)| is(node, text))
        }),
    }
}

fn input(field: &Field) -> CstInputValue {
    match field {
        Field::Text(text) => CstInputValue::String(text.clone()),
        Field::List(texts) => {
            let texts = texts.iter().cloned().map(CstInputValue::String);
            CstInputValue::Array(texts.collect())
        }
    }
}
