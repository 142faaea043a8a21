//! The clients of the configured accounts, and the secrets of their callback addresses.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result};

use crate::{
    accounts::Upstream,
    config::AccountSettings,
    okebayar::{
        client::Client,
        observer::{InfoSender, Observer},
        parse_permits::ParsePermits,
        transport::HttpTransport,
    },
    telemetry::Metrics,
    transaction::AccountName,
};

/// The callback secrets of the accounts.
pub(super) type Secrets = BTreeMap<AccountName, Option<secrecy::SecretString>>;

/// Builds the clients of the configured accounts, and collects their callback secrets.
pub(super) fn upstreams(
    accounts: BTreeMap<AccountName, AccountSettings>,
    texts: &InfoSender,
    metrics: &Metrics,
) -> Result<(BTreeMap<AccountName, Upstream>, Secrets)> {
    let (mut upstreams, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    let parse_permits = ParsePermits::default();
    for (name, settings) in accounts {
        let (timeout, url) = (settings.http.timeout, settings.http.url.clone());
        let transport =
            HttpTransport::new(settings.http).context("the HTTP client cannot be built")?;
        let observer = Observer {
            account: name.clone(),
            texts: texts.clone(),
            metrics: metrics.clone(),
            server: (
                url.host_str().unwrap_or_default().to_owned(),
                url.port_or_known_default().unwrap_or_default(),
            ),
        };
        let upstream = Upstream {
            client: Client::new(settings.account, Arc::new(transport))
                .with_parse_permits(parse_permits.clone())
                .observed_by(observer),
            timeout,
            callback_trusted: settings.callback_trusted,
            own_inquiry_reference: settings.own_inquiry_reference,
            unknown_price_refused: settings.unknown_price_refused,
            formerly: settings.formerly,
        };
        upstreams.insert(name.clone(), upstream);
        secrets.insert(name, settings.callback_secret);
    }
    Ok((upstreams, secrets))
}
