//! An entry put into a file in TOML, of which everything else stays as it is, comments included.

use toml_edit::{Array, DocumentMut, Item, Table, Value};

use super::entry::{Entry, Field, MergeError, TRANSPORT};

const TABLE: &str = "a table";

/// `text` with `entry` as `name` among its `servers`.
pub(super) fn merge(
    text: &str,
    servers: &str,
    name: &str,
    entry: &Entry,
) -> Result<String, MergeError> {
    let mut document: DocumentMut =
        text.parse()
            .map_err(|fault: toml_edit::TomlError| MergeError::Syntax {
                expected: "TOML",
                fault: fault.to_string(),
            })?;
    let mut all = Table::new();
    // Of itself it has nothing to say, only its servers have.
    all.set_implicit(true);
    let all = document.entry(servers).or_insert(Item::Table(all));
    let all = all
        .as_table_like_mut()
        .ok_or_else(|| not_a_table(servers))?;
    let ours = all.entry(name).or_insert(Item::Table(Table::new()));
    let ours = ours.as_table_like_mut().ok_or_else(|| not_a_table(name))?;
    let is_stale = |key: &&str| !entry.iter().any(|(ours, _)| ours == key);
    for stale in TRANSPORT.iter().filter(|key| is_stale(key)) {
        ours.remove(stale);
    }
    for (key, field) in entry {
        if !ours.get(key).is_some_and(|item| says(item, field)) {
            ours.insert(key, Item::Value(value(field)));
        }
    }
    Ok(document.to_string())
}

fn not_a_table(at: &str) -> MergeError {
    MergeError::NotATable {
        expected: TABLE,
        at: at.to_owned(),
    }
}

/// Whether `item` says what `field` does.
fn says(item: &Item, field: &Field) -> bool {
    match field {
        Field::Text(text) => item.as_str() == Some(text),
        Field::List(texts) => item.as_array().is_some_and(|array| {
            array.len() == texts.len()
                && array
                    .iter()
                    .zip(texts)
                    .all(|(found, text)| found.as_str() == Some(text))
        }),
    }
}

fn value(field: &Field) -> Value {
    match field {
        Field::Text(text) => text.as_str().into(),
        Field::List(texts) => Value::Array(texts.iter().collect::<Array>()),
    }
}
