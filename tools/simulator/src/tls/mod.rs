//! TLS under Google's real names, for clients that cannot be pointed elsewhere: a certificate authority of the
//! simulator's own, and a proxy that leads these names, and only these, to it.
//!
//! All of it is on the simulator's one port: a connection that starts with a TLS record is TLS, one that starts with
//! `CONNECT` is the proxy. The proxy never opens a connection, so nothing leaves this machine through it.

mod authority;
mod gate;
mod names;

pub(crate) use self::{
    authority::Authority,
    gate::{Gate, Start},
};
