//! Stories about the core, told through the API that drivers use.

#![allow(clippy::unwrap_used, missing_docs)]

mod chats;
mod hello;
mod reports;
mod sessions;
mod world;
