//! CEL attribute mappings and conditions, as workload identity federation evaluates them.
