//! Where an account reaches OKEBAYAR: its URL and its proxy.

use super::reader::Reader;

pub(super) fn read_url(reader: &mut Reader, key: &str, opt_in: &str) -> Option<reqwest::Url> {
    let plain_allowed = reader.flag(opt_in).unwrap_or_default();
    let text = reader.required(key, "give the URL that OKEBAYAR assigned")?;
    let Ok(url) = text.parse::<reqwest::Url>() else {
        reader.fault(key, "it is no URL", "give https://host/path");
        return None;
    };
    // The value may hold a password.
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    if has_credentials || url.fragment().is_some() || url.port() == Some(0) {
        let problem = "it holds a user, a password, a fragment or port 0";
        let remedy = "give https://host/path; OKEBAYAR knows the account by userid and PIN";
        reader.fault(key, problem, remedy);
        return None;
    }
    match url.scheme() {
        "https" => Some(url),
        "http" if plain_allowed || is_loopback(&url) => Some(url),
        "http" => {
            let problem = "plain http would send the PIN readable over the network";
            reader.fault(key, problem, format!("give https, or set {opt_in} = true"));
            None
        }
        other => {
            reader.fault(
                key,
                format!("{other:?} cannot be spoken"),
                "give https://host/path",
            );
            None
        }
    }
}

/// A proxy that cannot be used is a fault, so `None` then starts nothing.
pub(super) fn read_proxy(reader: &mut Reader, key: &str) -> Option<reqwest::Url> {
    // It may hold a password, so a file may hold it.
    let (at, text) = reader.text_or_file(key).ok().flatten()?;
    let url = text.parse::<reqwest::Url>().ok();
    let url = url.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    if url.is_none() {
        // The value may hold a password.
        reader.fault(
            &at,
            "it is no proxy",
            "give http://host:port or https://host:port",
        );
    }
    url
}

/// Refuses plain http to this machine by a proxy elsewhere, which it would reach over the
/// network.
pub(super) fn verify_plain_proxy(
    reader: &mut Reader,
    key: &str,
    url: Option<&reqwest::Url>,
    proxy: Option<&reqwest::Url>,
) {
    let (Some(url), Some(proxy)) = (url, proxy) else {
        return;
    };
    if url.scheme() == "http" && is_loopback(url) && !is_loopback(proxy) {
        let problem = "plain http would send the PIN readable to the proxy";
        reader.fault(key, problem, "leave it out, or give an https URL");
    }
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
