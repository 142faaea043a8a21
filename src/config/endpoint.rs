//! The URL of OKEBAYAR for an account, and the proxy.

use super::reader::Reader;

/// Reads the URL of OKEBAYAR; `opt_in` is the key that allows plain http.
pub(super) fn read_url(reader: &mut Reader, key: &str, opt_in: &str) -> Option<reqwest::Url> {
    let plain_allowed = reader.flag(opt_in).unwrap_or_default();
    let text = reader.required(key, "use the URL that OKEBAYAR assigned")?;
    let Ok(url) = text.parse::<reqwest::Url>() else {
        reader.fault(key, "not a URL", "use https://host/path");
        return None;
    };
    // The value is not quoted: it may contain a password.
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    if has_credentials || url.fragment().is_some() || url.port() == Some(0) {
        let problem = "contains a user, a password, a fragment or port 0";
        let remedy = "use https://host/path; OKEBAYAR identifies the account by userid and PIN";
        reader.fault(key, problem, remedy);
        return None;
    }
    match url.scheme() {
        "https" => Some(url),
        "http" if plain_allowed || is_loopback(&url) => Some(url),
        "http" => {
            let problem = "plain http would expose the PIN to the network";
            reader.fault(key, problem, format!("use https, or set {opt_in} = true"));
            None
        }
        other => {
            reader.fault(
                key,
                format!("unsupported scheme {other:?}"),
                "use https://host/path",
            );
            None
        }
    }
}

/// Reads the proxy. `None` means no proxy, or a faulty one; the fault prevents the start.
pub(super) fn read_proxy(reader: &mut Reader, key: &str) -> Option<reqwest::Url> {
    // The URL may contain a password, so it can be read from a file.
    let (at, text) = reader.text_or_file(key).ok().flatten()?;
    let url = text.parse::<reqwest::Url>().ok();
    let url = url.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    if url.is_none() {
        // The value is not quoted: it may contain a password.
        reader.fault(
            &at,
            "not the URL of a proxy",
            "use http://host:port or https://host:port",
        );
    }
    url
}

/// Refuses plain http to a loopback address through a proxy on another machine: the PIN would cross
/// the network.
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
        let problem = "plain http would expose the PIN to the proxy";
        reader.fault(key, problem, "remove the proxy, or use an https URL");
    }
}

/// Returns true when the URL addresses this machine.
fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
