//! Addresses: of the hub, of what is on it, and where redirects lead.

use ureq::http::Uri;

use crate::error::HubError;

/// The public hub.
pub const PUBLIC_HUB: &str = "https://huggingface.co";

/// Scheme, host and port: what a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    https: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// `None` for what is no http or https address.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = uri.host()?.to_ascii_lowercase();
        Some(Self { https, host, port: uri.port_u16().unwrap_or(if https { 443 } else { 80 }) })
    }

    pub(super) fn is_https(&self) -> bool {
        self.https
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }
}

/// A hub.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    base: String,
    origin: Origin,
}

impl Endpoint {
    /// The hub or mirror at `text`, which a setting names.
    pub(super) fn parse(text: &str, setting: &str) -> Result<Self, HubError> {
        let base = text.trim().trim_end_matches('/');
        let bad = |reason: &str| HubError::Setting {
            setting: setting.to_owned(),
            reason: format!("`{text}` {reason}"),
        };
        let uri: Uri = base.parse().map_err(|_| bad("is no address"))?;
        let origin =
            Origin::of(&uri).ok_or_else(|| bad("does not begin with https:// or http://"))?;
        if uri.query().is_some() || uri.authority().is_some_and(|part| part.as_str().contains('@'))
        {
            return Err(bad("must hold neither a query nor a user name"));
        }
        Ok(Self { base: base.to_owned(), origin })
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The page of a repository.
    pub(super) fn page(&self, id: &str) -> String {
        format!("{}/{}", self.base, encode(id, true))
    }

    /// What is in a repository.
    pub(super) fn metadata(&self, id: &str, revision: &str) -> String {
        let (id, revision) = (encode(id, true), encode(revision, false));
        format!("{}/api/models/{id}/revision/{revision}?blobs=true", self.base)
    }

    /// A file.
    pub(super) fn file(&self, id: &str, commit: &str, path: &str) -> String {
        let (id, commit) = (encode(id, true), encode(commit, false));
        format!("{}/{id}/resolve/{commit}/{}", self.base, encode(path, true))
    }

    /// Where a mirror of addresses has this one: behind its own, by host and path.
    pub(super) fn mirrored(&self, url: &str) -> String {
        format!("{}/{}", self.base, url.trim_start_matches("https://"))
    }
}

/// Percent-encodes everything that is not plain; slashes stay where they separate.
fn encode(text: &str, keep_slashes: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            b'/' if keep_slashes => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Where a redirect leads. Hubs use whole addresses and paths from the root.
pub(super) fn redirect(from: &Uri, location: &str) -> Option<Uri> {
    let scheme = from.scheme_str()?;
    let authority = from.authority()?;
    let text = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.contains("://") {
        location.to_owned()
    } else {
        let path = from.path();
        let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
        format!("{scheme}://{authority}{folder}{location}")
    };
    // A fragment never travels to the server.
    text.split('#').next().unwrap_or_default().parse().ok()
}

/// An address without what may be secret: the query of a signed address.
pub(super) fn shown(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}{}", uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().expect("an address")
    }

    #[test]
    fn addresses_of_a_hub() {
        let hub = Endpoint::parse("https://mirror.example/hf/", "HF_ENDPOINT").expect("a hub");
        assert_eq!(
            hub.metadata("MIT/ast-0.4593", "refs/pr/1"),
            "https://mirror.example/hf/api/models/MIT/ast-0.4593/revision/refs%2Fpr%2F1?blobs=true"
        );
        assert_eq!(
            hub.file("a/b", "abc", "x y/ü#?.pt"),
            "https://mirror.example/hf/a/b/resolve/abc/x%20y/%C3%BC%23%3F.pt"
        );
        assert_eq!(
            hub.mirrored("https://files.example/v2/a.nemo?x=1"),
            "https://mirror.example/hf/files.example/v2/a.nemo?x=1"
        );
        for bad in ["", "huggingface.co", "ftp://x", "https://me:pw@x", "https://x?y=1"] {
            let error = Endpoint::parse(bad, "FORMANT_MIRROR").expect_err(bad).to_string();
            assert!(error.contains("FORMANT_MIRROR"), "{error}");
        }
    }

    #[test]
    fn redirects_of_all_forms() {
        let from = uri("https://hub.example:8443/a/resolve/x");
        let to = |location| redirect(&from, location).expect("an address").to_string();
        assert_eq!(to("/b/resolve/x"), "https://hub.example:8443/b/resolve/x");
        assert_eq!(to("//cdn.example/y?sig=1#top"), "https://cdn.example/y?sig=1");
        assert_eq!(to("http://cdn.example/y"), "http://cdn.example/y");
        assert_eq!(to("z"), "https://hub.example:8443/a/resolve/z");
        assert_eq!(redirect(&from, "http://bad host/"), None);
    }

    #[test]
    fn origins_differ_by_scheme_host_and_port() {
        let origin = |text| Origin::of(&uri(text));
        assert_eq!(origin("https://Hub.example/x"), origin("https://hub.example:443/y"));
        for other in ["http://hub.example", "https://hub.example:444", "https://hub.example.org"] {
            assert_ne!(origin("https://hub.example"), origin(other));
        }
        assert_eq!(shown(&uri("https://cdn.example/x?Signature=secret")), "https://cdn.example/x");
    }
}
