//! Certificates: a server that nobody vouches for is refused, one's own authority is accepted, and
//! nothing leads from https to http. The key beside is for this test and protects nothing.

mod hub_support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use formant_models::checkpoint::Architecture;
use formant_models::registry::{
    Cache, HubError, HubOptions, Patience, Place, Published, Pulled, Want, pull,
};
use hub_support::Site;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub_support/tls/");

/// Serves up to `count` connections over TLS by what the plain server at `to` answers.
fn relay(to: String, count: usize) -> String {
    let certificate = CertificateDer::from_pem_file(format!("{FOLDER}certificate.pem"));
    let key = PrivateKeyDer::from_pem_file(format!("{FOLDER}key.pem"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.expect("certificate")], key.expect("key"))
        .expect("a pair");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("https://{}", listener.local_addr().expect("bound"));
    listener.set_nonblocking(true).expect("a socket");
    std::thread::spawn(move || {
        let end = Instant::now() + Duration::from_secs(30);
        let mut left = count;
        while left > 0 && Instant::now() < end {
            match listener.accept() {
                Ok((stream, _)) => {
                    left -= 1;
                    // A client that does not trust the server goes away.
                    let _ = pass(stream, &config, &to);
                }
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    });
    address
}

fn pass(mut stream: TcpStream, config: &Arc<ServerConfig>, to: &str) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut connection = ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
    let mut tls = Stream::new(&mut connection, &mut stream);
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        tls.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let mut plain = TcpStream::connect(to.trim_start_matches("http://"))?;
    plain.write_all(&request)?;
    plain.shutdown(std::net::Shutdown::Write)?;
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer)?;
    tls.write_all(&answer)?;
    tls.conn.send_close_notify();
    tls.flush()
}

fn fetch(site: Site, certificates: Option<PathBuf>) -> Result<Pulled, HubError> {
    let model = Published {
        name: "test-model",
        task: "spot",
        architecture: Architecture::Ast,
        summary: "a model for tests",
        place: Place::HuggingFace { id: "owner/name", revision: None },
        files: &[Want::Ending(".json")],
        pins: &[],
        licence: "CC0-1.0",
        rate: 16_000,
        bytes: None,
        parameters: None,
        quality: "",
        citation: "none",
    };
    let hub = site.start();
    let options = HubOptions {
        endpoint: relay(hub.address.clone(), 4),
        certificates,
        patience: Patience { attempts: 2, ..Patience::default() },
        ..HubOptions::default()
    };
    let folder = tempfile::tempdir().expect("a folder");
    pull(&model, &Cache::at(folder.path()), &options, &mut |_| ControlFlow::Continue(()))
}

fn own() -> Option<PathBuf> {
    Some(format!("{FOLDER}certificate.pem").into())
}

#[test]
fn an_unknown_authority_is_refused() {
    let site = Site::new("owner/name").small("config.json", b"{}");
    let error = fetch(site, None).expect_err("nobody vouches for it");
    assert!(matches!(error, HubError::Certificate { .. }), "{error}");
    assert!(error.remedy().contains("SSL_CERT_FILE"));
}

#[test]
fn an_authority_of_ones_own_is_accepted() {
    let site = Site::new("owner/name").small("config.json", b"{}");
    assert!(fetch(site, own()).expect("trusted").fetched);
}

#[test]
fn nothing_leads_away_from_https() {
    let site = Site::new("owner/name").large("config.json", b"{}");
    let error = fetch(site, own()).expect_err("a plain server");
    assert!(error.to_string().contains("away from https"), "{error}");
}

#[test]
fn a_file_without_certificates_is_named() {
    let site = || Site::new("owner/name").small("config.json", b"{}");
    for path in [format!("{FOLDER}key.pem"), "no-such-file".to_owned()] {
        let error = fetch(site(), Some(path.into())).expect_err("unusable");
        assert!(matches!(&error, HubError::Setting { setting, .. } if setting == "SSL_CERT_FILE"));
    }
}
