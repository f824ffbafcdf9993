//! Which proxy a request takes: the usual variables, by scheme, and the hosts that need none.

use std::fmt;

use ureq::Proxy;

use super::address::Origin;
use crate::error::HubError;

/// Proxies as the environment names them; none by default.
#[derive(Clone, Default)]
pub struct Proxies {
    https: Option<Proxy>,
    http: Option<Proxy>,
    /// Hosts without a proxy, as in `NO_PROXY`.
    direct: Vec<String>,
}

// Proxies may hold passwords.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").field("direct", &self.direct).finish_non_exhaustive()
    }
}

impl Proxies {
    /// Reads `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in capitals or not.
    pub(super) fn from_variables(
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, HubError> {
        let either = |name: &str| {
            let small = name.to_lowercase();
            let set = |name: &str| Some((name.to_owned(), variable(name)?));
            set(name).or_else(|| set(&small))
        };
        let proxy = |name: &str| -> Result<Option<Proxy>, HubError> {
            let Some((name, value)) = either(name).or_else(|| either("ALL_PROXY")) else {
                return Ok(None);
            };
            // The value may hold a password: it is not shown.
            let bad = |_| HubError::Setting {
                setting: name,
                reason: "is not of the form http://host:port".into(),
            };
            Proxy::new(&value).map(Some).map_err(bad)
        };
        let direct = either("NO_PROXY").map(|(_, hosts)| hosts).unwrap_or_default();
        let direct = direct.split([',', ' ']).map(|host| host.trim().to_lowercase());
        Ok(Self {
            https: proxy("HTTPS_PROXY")?,
            http: proxy("HTTP_PROXY")?,
            direct: direct.filter(|host| !host.is_empty()).collect(),
        })
    }

    /// The proxy on the way to `origin`.
    pub(super) fn to(&self, origin: &Origin) -> Option<Proxy> {
        let exempt = self.direct.iter().any(|pattern| covers(pattern, origin.host()));
        let proxy = if origin.is_https() { &self.https } else { &self.http };
        proxy.clone().filter(|_| !exempt)
    }
}

/// Whether an entry of `NO_PROXY` covers a host: `*`, the host itself, or a domain that it is in.
fn covers(pattern: &str, host: &str) -> bool {
    let domain = pattern.trim_start_matches("*.").trim_start_matches('.');
    let inside = || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    pattern == "*" || (!domain.is_empty() && (host == domain || inside()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(set: &[(&str, &str)]) -> Result<Proxies, HubError> {
        let set: Vec<(String, String)> =
            set.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Proxies::from_variables(&|name| {
            set.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        })
    }

    fn port(proxies: &Proxies, address: &str) -> Option<u16> {
        let origin = Origin::of(&address.parse().expect("an address")).expect("http");
        proxies.to(&origin).map(|proxy| proxy.port())
    }

    #[test]
    fn by_scheme_and_host() {
        let set = proxies(&[
            ("https_proxy", "http://proxy:1"),
            ("ALL_PROXY", "proxy:2"),
            ("NO_PROXY", "127.0.0.1, .inside.example,plain.example"),
        ])
        .expect("proxies");
        assert_eq!(port(&set, "https://hub.example"), Some(1));
        assert_eq!(port(&set, "http://hub.example"), Some(2));
        for direct in ["http://127.0.0.1:8", "https://a.inside.example", "https://plain.example"] {
            assert_eq!(port(&set, direct), None, "{direct}");
        }
        assert_eq!(port(&set, "https://notplain.example"), Some(1));
        let none = proxies(&[("HTTPS_PROXY", "http://proxy:1"), ("no_proxy", "*")]);
        assert_eq!(port(&none.expect("proxies"), "https://hub.example"), None);
        assert_eq!(port(&proxies(&[]).expect("none"), "https://hub.example"), None);
    }

    #[test]
    fn a_wrong_one_is_named_without_its_password() {
        let error = proxies(&[("HTTPS_PROXY", "odd://me:secret@x y")]).expect_err("wrong");
        let text = error.to_string();
        assert!(text.contains("HTTPS_PROXY") && !text.contains("secret"), "{text}");
        let set = proxies(&[("HTTPS_PROXY", "http://me:secret@proxy:1")]).expect("proxies");
        assert!(!format!("{set:?}").contains("secret"));
    }
}
