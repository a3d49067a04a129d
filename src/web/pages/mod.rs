//! The pages a person sees, as `contract.md` §10 lists them. They work without JavaScript; with it,
//! the inbox is live and can be an app of the device.

pub mod account;
pub mod apps;
pub mod assets;
pub mod claim;
pub mod consent;
pub mod device;
pub mod home;
pub mod inbox;
pub mod installed;
pub mod message;
pub mod sign_in;
pub mod views;

mod render;

#[cfg(test)]
pub(crate) mod markup;
#[cfg(test)]
mod samples;
