//! Further evidence at boot: the signatures and attestations that the image's registry has, under tags and as bundles.

use std::{sync::Arc, time::Duration};

use csign_policy::ContractPolicy;
use csign_registry::{
    Client,
    evidence::{self, Place},
};
use csign_trust::BootCheck;

use crate::{credentials::MachineAccount, endpoints::Endpoints};

/// Gathers the signatures that the image's registry has, as `csign verify` does, where the contract wants to see them; and
/// what was attested, for each policy. What cannot be read is noted in the check: then a party that is missing could not
/// be checked, which is not the same as unsigned.
pub(crate) async fn gather(check: &mut BootCheck<'_>, policies: &[ContractPolicy], endpoints: &Endpoints) {
    if !check.wants_registry() && policies.is_empty() {
        return;
    }
    let client = match client(endpoints) {
        Ok(client) => client,
        // The policies stay unlooked at, which refuses the boot too.
        Err(error) => return check.image().unchecked(error.to_string()),
    };
    let attached = Place::Registry(&client, check.pinned().clone());
    evidence::gather_boot(&attached, check, policies).await;
}

fn client(endpoints: &Endpoints) -> csign_registry::Result<Client> {
    let builder = Client::builder()
        .credentials(Arc::new(MachineAccount(*endpoints)))
        .timeouts(Duration::from_secs(10), Duration::from_secs(10));
    match endpoints.simulator() {
        Some(address) => builder.simulator(address).build(),
        None => builder.build(),
    }
}
