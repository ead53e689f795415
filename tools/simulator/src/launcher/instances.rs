//! What has been launched, for whoever watches: images, the signatures that were found on them, and how they fare.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use serde_json::{Value, json};

use super::process::Output;
use crate::attestation::{Container, Vm};

/// Launches that are remembered.
const CAPACITY: usize = 200;

/// All launches; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Instances {
    list: Arc<Mutex<VecDeque<Instance>>>,
}

#[derive(Debug)]
pub(super) struct Instance {
    about: Value,
    output: Weak<Output>,
}

impl Instance {
    pub(super) fn new(vm: &Vm, container: &Container, output: &Arc<Output>) -> Self {
        let signatures = container
            .image_signatures
            .iter()
            .map(|signature| json!({"key_id": signature.key_id, "algorithm": signature.signature_algorithm}));
        let about = json!({
            "instance": vm.instance,
            "project": vm.project,
            "service_account": vm.service_account,
            "machine": vm.image,
            "image": container.image_reference,
            "digest": container.image_digest,
            "restart_policy": container.restart_policy,
            "signatures": signatures.collect::<Vec<_>>(),
        });
        Self { about, output: Arc::downgrade(output) }
    }
}

impl Instances {
    pub(super) fn add(&self, instance: Instance) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() == CAPACITY {
            list.pop_front();
        }
        list.push_back(instance);
    }

    /// The newest first, each with its state.
    pub(crate) fn snapshot(&self) -> Vec<Value> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let with_state = |instance: &Instance| {
            let mut about = instance.about.clone();
            about["state"] = match instance.output.upgrade() {
                None => json!("stopped"),
                Some(output) => match output.status() {
                    None => json!("running"),
                    Some(status) => json!(format!("ended: {status}")),
                },
            };
            about
        };
        list.iter().rev().map(with_state).collect()
    }
}
