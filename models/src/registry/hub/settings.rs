//! How the hub is reached: address, token, proxies, patience; read from the variables that other
//! tools for this hub use, too.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::address::{Endpoint, PUBLIC_HUB};
use super::proxy::Proxies;
use crate::error::HubError;

/// How the hub is reached.
#[derive(Clone)]
pub struct HubOptions {
    /// Address of the hub or a mirror.
    pub endpoint: String,
    /// Mirror of direct addresses: it has `https://HOST/PATH` at `MIRROR/HOST/PATH`.
    pub mirror: Option<String>,
    /// Token for reading; it is sent to the endpoint's host and to no other.
    pub token: Option<String>,
    /// Why nothing may be fetched: the option or variable that forbids it.
    pub offline: Option<String>,
    /// Look for a newer revision of what is in the cache.
    pub update: bool,
    /// How failures that may pass are met.
    pub patience: Patience,
    /// File with the certificates (PEM) that are trusted in place of the built-in ones.
    pub certificates: Option<PathBuf>,
    /// Proxies on the way to the hub and the servers that it sends to.
    pub proxies: Proxies,
}

/// How failures that may pass are met.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience {
    /// Attempts that get nothing before giving up.
    pub attempts: u32,
    /// Wait before the second attempt; it doubles with each.
    pub first_wait: Duration,
    /// Longest wait; a server that asks for a longer one is given up.
    pub longest_wait: Duration,
    /// Time without a byte after which a connection counts as cut.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
            silence: Duration::from_secs(30),
        }
    }
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            endpoint: PUBLIC_HUB.to_owned(),
            mirror: None,
            token: None,
            offline: None,
            update: false,
            patience: Patience::default(),
            certificates: None,
            proxies: Proxies::default(),
        }
    }
}

// The token is a secret.
impl fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubOptions")
            .field("endpoint", &self.endpoint)
            .field("mirror", &self.mirror)
            .field("token", &self.token.as_ref().map(|_| "..."))
            .field("offline", &self.offline)
            .field("update", &self.update)
            .field("patience", &self.patience)
            .field("certificates", &self.certificates)
            .field("proxies", &self.proxies)
            .finish()
    }
}

impl HubOptions {
    /// What the environment says: `HF_ENDPOINT`, `HF_TOKEN`, `FORMANT_MIRROR`, `FORMANT_OFFLINE`,
    /// `HF_HUB_OFFLINE`, `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`.
    ///
    /// # Errors
    /// [`HubError::Setting`] when one of them can't be used.
    pub fn from_env() -> Result<Self, HubError> {
        Self::from_variables(&|name| std::env::var(name).ok())
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, HubError> {
        let set = |name: &str| {
            variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let mut options = Self {
            token: set("HF_TOKEN"),
            mirror: set("FORMANT_MIRROR"),
            certificates: set("SSL_CERT_FILE").map(PathBuf::from),
            proxies: Proxies::from_variables(&set)?,
            ..Self::default()
        };
        if let Some(endpoint) = set("HF_ENDPOINT") {
            options.endpoint = endpoint;
        }
        for name in ["FORMANT_OFFLINE", "HF_HUB_OFFLINE"] {
            let value = set(name).unwrap_or_default();
            if !["", "0", "false", "no", "off"].contains(&value.to_lowercase().as_str()) {
                options.offline = Some(format!("{name}={value}"));
                break;
            }
        }
        Ok(options)
    }

    pub(super) fn hub(&self) -> Result<Endpoint, HubError> {
        Endpoint::parse(&self.endpoint, "HF_ENDPOINT")
    }

    pub(super) fn mirror(&self) -> Result<Option<Endpoint>, HubError> {
        let parse = |mirror: &String| Endpoint::parse(mirror, "FORMANT_MIRROR");
        self.mirror.as_ref().map(parse).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(set: &[(&str, &str)]) -> HubOptions {
        let find = |name: &str| set.iter().find(|(known, _)| *known == name);
        HubOptions::from_variables(&|name| find(name).map(|(_, value)| (*value).to_owned()))
            .expect("usable")
    }

    #[test]
    fn variables_are_read() {
        let plain = options(&[]);
        assert_eq!((plain.endpoint.as_str(), &plain.token), (PUBLIC_HUB, &None));
        let set = options(&[("HF_ENDPOINT", " http://127.0.0.1:9 "), ("HF_TOKEN", "hf_abc\n")]);
        assert_eq!(set.endpoint, "http://127.0.0.1:9");
        assert_eq!(set.token.as_deref(), Some("hf_abc"));
        assert!(!format!("{set:?}").contains("hf_abc"));
    }

    #[test]
    fn offline_is_switched_on_by_either_variable() {
        for (name, value) in [("FORMANT_OFFLINE", "1"), ("HF_HUB_OFFLINE", "YES")] {
            let why = options(&[(name, value)]).offline.expect("off");
            assert!(why.contains(name), "{why}");
        }
        for value in ["0", "false", "", "No"] {
            assert_eq!(options(&[("FORMANT_OFFLINE", value)]).offline, None, "{value}");
        }
    }
}
