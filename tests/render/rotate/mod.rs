//! `csign rotate`, played by all parties: their scripts run phase by phase against the cloud in a file, and after each step the
//! simulator says who is admitted.

mod changed;
mod command;
mod documents;
mod phases;
mod revoke;
mod world;
