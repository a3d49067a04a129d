//! The pages a person sees, as `contract.md` §10 lists them. They work without JavaScript.

pub mod assets;
pub mod views;

#[cfg(test)]
mod markup;
#[cfg(test)]
mod samples;
