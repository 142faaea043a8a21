//! Opens the store of a command.

use std::collections::BTreeMap;

use crate::{
    ambient::Ambient,
    store::{self, Identity, OpenError, OpenMode, OpenedStore, StoreSettings},
    transaction::AccountNames,
};

/// Opens the store, whichever accounts it belongs to.
pub(super) async fn open(
    settings: &StoreSettings,
    ambient: Ambient,
    mode: OpenMode<'_>,
) -> Result<OpenedStore, OpenError> {
    let any = Identity {
        accounts: BTreeMap::default(),
        names: AccountNames::default(),
        epoch: (ambient.random)(),
    };
    store::open(&settings.of_command(), &any, mode).await
}
