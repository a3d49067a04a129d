//! Who says what a notification says, in words.

use crate::{
    model::{id::Id, notification::Sender},
    store::{Read, StoreError, clients, users},
};

/// What stands for a person who was removed.
const GONE: &str = "Somebody who is gone";

/// An app as it calls itself; one that is gone by its id.
pub fn app_name(tx: &dyn Read, id: Id) -> Result<String, StoreError> {
    let client = clients::find(tx, id)?;
    Ok(client.map_or_else(|| id.to_string(), |client| client.metadata.name.to_string()))
}

/// The name of somebody of this box, unless they were removed.
pub fn person_name(tx: &dyn Read, id: Id) -> Result<Option<String>, StoreError> {
    Ok(users::find(tx, id)?.map(|person| person.name.to_string()))
}

/// Who says so, in words that no name can pass for. None if it is Keystead itself.
pub fn said_by(tx: &dyn Read, sender: Sender) -> Result<Option<String>, StoreError> {
    Ok(match sender {
        Sender::Keystead => None,
        Sender::Administrator => Some("A program on this box".to_owned()),
        Sender::Client(id) => Some(format!("The app {}", app_name(tx, id)?)),
        Sender::Person(id) => Some(match person_name(tx, id)? {
            Some(name) => format!("The person {name}"),
            None => GONE.to_owned(),
        }),
    })
}
