//! From one contract to the configuration of every party.
