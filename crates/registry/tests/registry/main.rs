//! The client against the simulator's registry, over real connections.

mod attach;
mod auth;
mod layout;
mod read;
mod support;
mod write;
