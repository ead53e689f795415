//! Further evidence at boot: the signatures that the image's registry has, under `.sig` and as bundles.

use std::{sync::Arc, time::Duration};

use csign_registry::{
    Client,
    evidence::{self, Place},
};
use csign_trust::BootCheck;

use crate::{credentials::MachineAccount, endpoints::Endpoints};

/// Gathers the signatures that the image's registry has, as `csign verify` does. What cannot be read is noted in the
/// check: then a party that is missing could not be checked, which is not the same as unsigned.
pub(crate) async fn gather(check: &mut BootCheck<'_>, endpoints: &Endpoints) {
    match client(endpoints) {
        Ok(client) => {
            let image = check.image();
            let attached = Place::Registry(&client, image.image().clone());
            evidence::gather(&attached, image).await;
        }
        Err(error) => check.image().unchecked(error.to_string()),
    }
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
