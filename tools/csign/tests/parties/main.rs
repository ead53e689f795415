//! The command line as the parties use it, against the simulator's registry.

mod attach;
mod contract;
mod exchange;
mod faults;
mod world;
