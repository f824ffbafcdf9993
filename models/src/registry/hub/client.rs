//! Requests: redirects are followed here, one by one, so that the token stays with the endpoint's
//! host and what the hub says about a file on the way is not lost.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::header::{self, HeaderName, HeaderValue};
use ureq::http::{HeaderMap, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::address::{Endpoint, Origin, redirect, shown};
use super::digest::Digest;
use super::metadata::{MAX_METADATA, Repository, etag_digest, parse};
use super::proxy::Proxies;
use super::settings::HubOptions;
use crate::error::HubError;

/// Most redirects of one request.
const MAX_REDIRECTS: usize = 10;
/// Time for a connection, TLS and proxy included.
const CONNECT: Duration = Duration::from_secs(20);

const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");
const LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");
const REPO_COMMIT: HeaderName = HeaderName::from_static("x-repo-commit");

/// A request that did not succeed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may pass: the error to report when it does not, and how long the server wants to be left
    /// alone.
    Passing(HubError, Option<Duration>),
    /// It will not.
    Lasting(HubError),
}

impl From<HubError> for Trouble {
    fn from(error: HubError) -> Self {
        Self::Lasting(error)
    }
}

/// The part of a file that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rest {
    /// First byte.
    pub(super) start: u64,
    /// `ETag` that the bytes before came with.
    pub(super) etag: Option<String>,
}

/// What the hub says about a file in the headers on the way to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Linked {
    pub(super) digest: Option<Digest>,
    pub(super) size: Option<u64>,
    pub(super) commit: Option<String>,
}

/// An answer.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) linked: Linked,
    pub(super) body: Box<dyn Read>,
}

impl Reply {
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Whose file is asked for, for what is said when it is refused.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner<'a> {
    /// A repository of the hub.
    Repository(&'a str),
    /// A file at an address of its own, which this page describes.
    Page(&'a str),
}

/// A connection to one hub, and to direct addresses.
pub(super) struct Client {
    agent: Agent,
    endpoint: Endpoint,
    mirror: Option<Endpoint>,
    token: Option<HeaderValue>,
    proxies: Proxies,
}

#[derive(Clone, Copy, PartialEq)]
enum Method {
    Get,
    Head,
}

impl Client {
    pub(super) fn new(options: &HubOptions) -> Result<Self, HubError> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("formant/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(options.patience.silence))
            .tls_config(TlsConfig::builder().root_certs(roots(options)?).build());
        let token = options.token.as_ref().map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                HubError::Setting {
                    setting: "HF_TOKEN".into(),
                    reason: "holds characters that no token has".into(),
                }
            })?;
            value.set_sensitive(true);
            Ok::<_, HubError>(value)
        });
        Ok(Self {
            agent: config.build().new_agent(),
            endpoint: options.hub()?,
            mirror: options.mirror()?,
            token: token.transpose()?,
            proxies: options.proxies.clone(),
        })
    }

    /// What is in a repository.
    pub(super) fn repository(&self, id: &str, revision: &str) -> Result<Repository, Trouble> {
        let url = self.endpoint.metadata(id, revision);
        let reply = self.expect(Method::Get, &url, None, Owner::Repository(id))?;
        let mut text = Vec::new();
        reply
            .body
            .take(MAX_METADATA + 1)
            .read_to_end(&mut text)
            .map_err(|error| cut(&url, &error))?;
        let answer = |reason| HubError::Answer { url: url.clone(), reason };
        if text.len() as u64 > MAX_METADATA {
            return Err(answer("it is too long".to_owned()).into());
        }
        Ok(parse(&text).map_err(answer)?)
    }

    /// Address of a file.
    pub(super) fn file_address(&self, id: &str, commit: &str, path: &str) -> String {
        self.endpoint.file(id, commit, path)
    }

    /// Where a direct address is asked for: there, or at the mirror.
    pub(super) fn direct_address(&self, url: &str) -> String {
        self.mirror.as_ref().map_or_else(|| url.to_owned(), |mirror| mirror.mirrored(url))
    }

    /// What the headers say about a file of a repository.
    pub(super) fn look(&self, url: &str, id: &str) -> Result<Linked, Trouble> {
        Ok(self.expect(Method::Head, url, None, Owner::Repository(id))?.linked)
    }

    /// Bytes of a file at a direct address. It is asked for itself and left at once: signed addresses
    /// that servers redirect to are not for HEAD.
    pub(super) fn size(&self, url: &str, page: &str) -> Result<u64, Trouble> {
        let from_start = Rest { start: 0, etag: None };
        let reply = self.expect(Method::Get, url, Some(&from_start), Owner::Page(page))?;
        let total = match reply.status {
            206 => reply.header(header::CONTENT_RANGE).and_then(|text| text.rsplit_once('/')),
            200 => reply.header(header::CONTENT_LENGTH).map(|text| ("", text)),
            _ => None,
        };
        let (url, reason) = (url.to_owned(), "it gives no size".to_owned());
        let size = total.and_then(|(_, total)| total.trim().parse().ok());
        size.ok_or(Trouble::Lasting(HubError::Answer { url, reason }))
    }

    /// A file or the rest of it: status 200 (all of it), 206 (the rest), or 416 (no such rest).
    pub(super) fn file(
        &self,
        url: &str,
        rest: Option<&Rest>,
        owner: Owner<'_>,
    ) -> Result<Reply, Trouble> {
        self.expect(Method::Get, url, rest, owner)
    }

    fn expect(
        &self,
        method: Method,
        url: &str,
        rest: Option<&Rest>,
        owner: Owner<'_>,
    ) -> Result<Reply, Trouble> {
        let reply = self.follow(method, url, rest)?;
        let url = url.to_owned();
        match (reply.status, owner) {
            (200 | 206, _) => Ok(reply),
            (416, _) if rest.is_some() => Ok(reply),
            (status @ (401 | 403 | 404 | 410), Owner::Page(page)) => {
                let page = page.to_owned();
                Err(Trouble::Lasting(HubError::Gone { url, status, page }))
            }
            (status @ (401 | 403), Owner::Repository(id)) => {
                Err(Trouble::Lasting(HubError::Denied {
                    url,
                    status,
                    page: self.endpoint.page(id),
                    with_token: self.token.is_some(),
                }))
            }
            (404 | 410, _) => Err(Trouble::Lasting(HubError::NotFound { url })),
            (status @ (408 | 429 | 500 | 502 | 503 | 504), _) => {
                let after = reply.header(header::RETRY_AFTER).and_then(|text| text.parse().ok());
                let error = HubError::Status { url, status };
                Err(Trouble::Passing(error, after.map(Duration::from_secs)))
            }
            (status, _) => Err(Trouble::Lasting(HubError::Status { url, status })),
        }
    }

    fn follow(&self, method: Method, url: &str, rest: Option<&Rest>) -> Result<Reply, Trouble> {
        let answer = |reason: &str| HubError::Answer { url: url.to_owned(), reason: reason.into() };
        let mut uri: Uri = url.parse().map_err(|_| answer("it is no address"))?;
        let secure = Origin::of(&uri).is_some_and(|origin| origin.is_https());
        let mut linked = Linked::default();
        for _ in 0..=MAX_REDIRECTS {
            let origin = Origin::of(&uri).ok_or_else(|| answer("it leads to no web address"))?;
            if secure && !origin.is_https() {
                return Err(answer("it leads away from https").into());
            }
            let response = self.send(method, &uri, &origin, rest)?;
            if origin == *self.endpoint.origin() {
                linked.read(response.headers());
            }
            let status = response.status().as_u16();
            // The hub has said all there is to know; the address behind may be for GET only.
            if method == Method::Head && status < 400 && linked.is_complete() {
                let headers = response.into_parts().0.headers;
                return Ok(Reply {
                    status: 200,
                    headers,
                    linked,
                    body: Box::new(std::io::empty()),
                });
            }
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                let (parts, body) = response.into_parts();
                let body: Box<dyn Read> = Box::new(body.into_reader());
                let mut linked = linked;
                if method == Method::Head && status == 200 {
                    linked.complete(&parts.headers);
                }
                return Ok(Reply { status, headers: parts.headers, linked, body });
            }
            let location = response.headers().get(header::LOCATION);
            let location = location.and_then(|value| value.to_str().ok());
            uri = location
                .and_then(|location| redirect(&uri, location))
                .ok_or_else(|| answer("a redirect without a usable address"))?;
        }
        Err(answer("too many redirects").into())
    }

    fn send(
        &self,
        method: Method,
        uri: &Uri,
        origin: &Origin,
        rest: Option<&Rest>,
    ) -> Result<Response<Body>, Trouble> {
        let request = match method {
            Method::Get => self.agent.get(uri),
            Method::Head => self.agent.head(uri),
        };
        let mut request = request.config().proxy(self.proxies.to(origin)).build();
        // A compressed body would be of another length, and a range of it of no use.
        request = request.header(header::ACCEPT_ENCODING, "identity");
        if let Some(token) = &self.token
            && origin == self.endpoint.origin()
        {
            request = request.header(header::AUTHORIZATION, token);
        }
        if let Some(rest) = rest {
            request = request.header(header::RANGE, format!("bytes={}-", rest.start));
            if let Some(etag) = &rest.etag {
                request = request.header(header::IF_RANGE, etag);
            }
        }
        request.call().map_err(|error| failed(&shown(uri), &error))
    }
}

impl Linked {
    fn is_complete(&self) -> bool {
        self.digest.is_some() && self.size.is_some()
    }

    fn read(&mut self, headers: &HeaderMap) {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        self.digest = self.digest.or_else(|| text(&LINKED_ETAG).and_then(etag_digest));
        self.size = self.size.or_else(|| text(&LINKED_SIZE).and_then(|size| size.parse().ok()));
        if self.commit.is_none() {
            self.commit = text(&REPO_COMMIT).map(str::to_ascii_lowercase);
        }
    }

    /// For small files, which the hub hands out itself, the usual headers say it.
    fn complete(&mut self, headers: &HeaderMap) {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        self.digest = self.digest.or_else(|| text(header::ETAG).and_then(etag_digest));
        let length = text(header::CONTENT_LENGTH).and_then(|size| size.parse().ok());
        self.size = self.size.or(length);
    }
}

/// The certificates that are trusted.
fn roots(options: &HubOptions) -> Result<RootCerts, HubError> {
    let Some(path) = &options.certificates else { return Ok(RootCerts::WebPki) };
    let bad = |reason: String| HubError::Setting {
        setting: "SSL_CERT_FILE".into(),
        reason: format!("{}: {reason}", path.display()),
    };
    let text = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(bad(error.to_string()))),
        })
        .collect::<Result<_, _>>()?;
    if certificates.is_empty() {
        return Err(bad("no certificate in it".to_owned()));
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

/// A connection that ended while bytes were coming.
pub(super) fn cut(url: &str, error: &std::io::Error) -> Trouble {
    let reason = format!("the connection was cut: {error}");
    Trouble::Passing(HubError::Connection { url: url.to_owned(), reason }, None)
}

fn failed(url: &str, error: &ureq::Error) -> Trouble {
    let url = url.to_owned();
    let reason = match error {
        ureq::Error::Timeout(_) => "no answer for too long".to_owned(),
        ureq::Error::HostNotFound => "the host's name can't be found".to_owned(),
        other => other.to_string(),
    };
    // TLS errors come bare or inside an I/O error.
    if reason.contains("certificate") {
        return Trouble::Lasting(HubError::Certificate { url, reason });
    }
    let error = match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => HubError::Answer { url, reason },
        _ => return Trouble::Passing(HubError::Connection { url, reason }, None),
    };
    Trouble::Lasting(error)
}
