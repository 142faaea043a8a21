//! INBOUND 2: OKEBAYAR's callbacks over HTTP (API page, section 4).
//!
//! `GET` with query parameters or `POST` with JSON, to
//! `/callbacks/{account}[/{secret}]`. Answered 200 only once stored (promise 12).

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, RawQuery, State},
    http::StatusCode,
    routing::get,
};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tracing::{info, warn};

use crate::{
    engine::Engine,
    okebayar::{
        answer::{Answer, Fields},
        json,
    },
    transaction::AccountName,
};

/// The longest body that is read, in bytes; a query is bounded by the HTTP server.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What the listener knows.
pub struct Callbacks {
    /// Where callbacks are stored.
    pub engine: Arc<Engine>,
    /// The accounts and the secrets in their addresses.
    pub secrets: BTreeMap<AccountName, Option<SecretString>>,
}

/// Why a callback was not taken.
#[derive(Debug)]
enum Refused {
    /// Wrong account or secret: told nothing.
    NotFound,
    /// Not a callback.
    Malformed(&'static str),
    /// It could not be stored: OKEBAYAR may try again.
    NotStored,
}

/// The routes.
pub fn router(callbacks: Callbacks) -> Router {
    Router::new()
        .route("/callbacks/{account}", get(from_query).post(from_body))
        .route(
            "/callbacks/{account}/{secret}",
            get(from_query).post(from_body),
        )
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(callbacks))
}

type Address = BTreeMap<String, String>;
type Reply = (StatusCode, &'static str);

async fn from_query(
    State(callbacks): State<Arc<Callbacks>>,
    Path(address): Path<Address>,
    RawQuery(query): RawQuery,
) -> Reply {
    let fields = query_fields(&query.unwrap_or_default());
    reply(&callbacks.receive(&address, Ok(fields)).await)
}

async fn from_body(
    State(callbacks): State<Arc<Callbacks>>,
    Path(address): Path<Address>,
    body: Bytes,
) -> Reply {
    let fields = json::read(&body).map_err(|_| Refused::Malformed("the body is not JSON\n"));
    reply(&callbacks.receive(&address, fields).await)
}

fn reply(result: &Result<(), Refused>) -> Reply {
    match result {
        Ok(()) => (StatusCode::OK, "OK\n"),
        Err(Refused::NotFound) => (StatusCode::NOT_FOUND, "not found\n"),
        Err(Refused::Malformed(problem)) => (StatusCode::BAD_REQUEST, problem),
        Err(Refused::NotStored) => (StatusCode::SERVICE_UNAVAILABLE, "not stored; try again\n"),
    }
}

/// Percent-decoded names and texts of a query.
fn query_fields(query: &str) -> Fields {
    // Any base does: only the query is read.
    let Ok(mut url) = Url::parse("http://callback/") else {
        return Fields::new();
    };
    url.set_query(Some(query));
    url.query_pairs()
        .map(|(name, text)| (name.into_owned(), text.into_owned()))
        .collect()
}

impl Callbacks {
    async fn receive(
        &self,
        address: &Address,
        fields: Result<Fields, Refused>,
    ) -> Result<(), Refused> {
        let account = self.admit(address).ok_or(Refused::NotFound)?;
        let report = match fields.and_then(|fields| self.read(&account, fields)) {
            Ok(report) => report,
            Err(refused) => {
                info!(%account, problem = ?refused, "a callback was malformed");
                return Err(refused);
            }
        };
        self.engine
            .receive(&account, &report)
            .await
            .map_err(|error| {
                warn!(%account, %error, "a callback could not be stored");
                Refused::NotStored
            })?;
        Ok(())
    }

    fn read(&self, account: &AccountName, fields: Fields) -> Result<Answer, Refused> {
        let report = self
            .engine
            .read_report(account, fields)
            .map_err(|_| Refused::Malformed("one fact is given twice, differently\n"))?;
        if report.reference_code.is_none() {
            return Err(Refused::Malformed("referencecode is missing\n"));
        }
        if report.status_code().is_none() {
            return Err(Refused::Malformed(
                "status is missing, or is not three digits\n",
            ));
        }
        Ok(report)
    }

    /// The account of an address with the right secret, compared in constant time.
    fn admit(&self, address: &Address) -> Option<AccountName> {
        let account = AccountName::parse(address.get("account")?.as_str()).ok()?;
        let given = address.get("secret").map_or("", String::as_str);
        let wanted = self
            .secrets
            .get(&account)?
            .as_ref()
            .map_or("", |secret| secret.expose_secret());
        bool::from(given.as_bytes().ct_eq(wanted.as_bytes())).then_some(account)
    }
}
