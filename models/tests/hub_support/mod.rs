//! A hub on this machine: metadata, redirects to a second server, ranges, and faults on demand. It
//! serves a bounded number of requests for a bounded time, and ends with the value.

#![allow(dead_code)] // every test file uses a part of this

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Longest life of a hub, and most requests that it answers.
const LIFE: Duration = Duration::from_secs(60);
const MAX_REQUESTS: usize = 300;

/// A file of the repository.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) bytes: Vec<u8>,
    /// Large files are served by the other server, with a SHA-256; small ones by the hub itself.
    pub(crate) large: bool,
}

/// What goes wrong with the next answer that holds a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// An error status, with `Retry-After` in seconds.
    Status(u16, Option<u32>),
    /// The connection breaks after so many bytes of the body.
    Cut(usize),
    /// The last byte is wrong.
    Corrupt,
    /// The answer is longer than announced.
    TooLong,
    /// The answer takes its time.
    Slow(Duration),
    /// Another range than the one that was asked for.
    WrongRange,
}

/// What the hub holds and how it behaves.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) id: String,
    pub(crate) commit: String,
    pub(crate) files: BTreeMap<String, Blob>,
    /// Only who shows this token gets in.
    pub(crate) token: Option<String>,
    pub(crate) ranges: bool,
    /// Whether the list of files has sizes and checksums.
    pub(crate) checksums: bool,
    /// Whether the headers speak of another commit.
    pub(crate) other_commit: bool,
    /// Redirects that lead nowhere.
    pub(crate) redirect_loop: bool,
    pub(crate) file_faults: VecDeque<Fault>,
    pub(crate) metadata_faults: VecDeque<Fault>,
}

/// A request that was answered.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Whether it came to the second server.
    pub(crate) cdn: bool,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
}

struct Shared {
    site: Mutex<Site>,
    requests: Mutex<Vec<Request>>,
    stop: AtomicBool,
    cdn: String,
}

/// The running servers.
pub(crate) struct Hub {
    pub(crate) address: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) fn commit(digit: char) -> String {
    std::iter::repeat_n(digit, 40).collect()
}

impl Site {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            commit: commit('a'),
            files: BTreeMap::new(),
            token: None,
            ranges: true,
            checksums: true,
            other_commit: false,
            redirect_loop: false,
            file_faults: VecDeque::new(),
            metadata_faults: VecDeque::new(),
        }
    }

    pub(crate) fn large(mut self, path: &str, bytes: &[u8]) -> Self {
        self.files.insert(path.to_owned(), Blob { bytes: bytes.to_vec(), large: true });
        self
    }

    pub(crate) fn small(mut self, path: &str, bytes: &[u8]) -> Self {
        self.files.insert(path.to_owned(), Blob { bytes: bytes.to_vec(), large: false });
        self
    }

    /// A file that a mirror of direct addresses has, by `HOST/PATH`; the other server serves it, as
    /// sites with large files do.
    pub(crate) fn direct(self, address: &str, bytes: &[u8]) -> Self {
        self.large(address, bytes)
    }

    pub(crate) fn fault(mut self, fault: Fault) -> Self {
        self.file_faults.push_back(fault);
        self
    }

    pub(crate) fn start(self) -> Hub {
        let hub = TcpListener::bind("127.0.0.1:0").expect("a port");
        let cdn = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address_of =
            |listener: &TcpListener| format!("http://{}", listener.local_addr().expect("bound"));
        let address = address_of(&hub);
        let shared = Arc::new(Shared {
            site: Mutex::new(self),
            requests: Mutex::new(Vec::new()),
            stop: AtomicBool::new(false),
            cdn: address_of(&cdn),
        });
        let inside = shared.clone();
        let thread = std::thread::spawn(move || serve(&hub, &cdn, &inside));
        Hub { address, shared, thread: Some(thread) }
    }
}

impl Hub {
    pub(crate) fn change(&self, change: impl FnOnce(&mut Site)) {
        change(&mut self.shared.site.lock().expect("not poisoned"));
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().expect("not poisoned").clone()
    }

    /// Requests that got, or should have got, the content of a file.
    pub(crate) fn downloads(&self) -> Vec<Request> {
        let content = |r: &Request| r.method == "GET" && (r.cdn || r.target.contains("/resolve/"));
        let redirected = |r: &Request| !r.cdn && self.is_large(&r.target);
        self.requests().into_iter().filter(|r| content(r) && !redirected(r)).collect()
    }

    fn is_large(&self, target: &str) -> bool {
        let site = self.shared.site.lock().expect("not poisoned");
        site.files.iter().any(|(path, blob)| blob.large && target.ends_with(path))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(hub: &TcpListener, cdn: &TcpListener, shared: &Shared) {
    for listener in [hub, cdn] {
        listener.set_nonblocking(true).expect("a socket");
    }
    let end = Instant::now() + LIFE;
    while !shared.stop.load(Ordering::SeqCst) && Instant::now() < end {
        let mut idle = true;
        for (listener, is_cdn) in [(hub, false), (cdn, true)] {
            if let Ok((stream, _)) = listener.accept() {
                idle = false;
                stream.set_nonblocking(false).expect("a socket");
                let timeout = Some(Duration::from_secs(5));
                stream.set_read_timeout(timeout).expect("a socket");
                stream.set_write_timeout(timeout).expect("a socket");
                // A client that goes away is no failure of the server.
                let _ = answer(&stream, is_cdn, shared);
            }
        }
        if shared.requests.lock().expect("not poisoned").len() > MAX_REQUESTS {
            return;
        }
        if idle {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn read_request(reader: &mut impl BufRead, cdn: bool) -> std::io::Result<Request> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, target) = (word(), word());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim().split_once(':') {
            Some((name, value)) => {
                headers.insert(name.to_lowercase(), value.trim().to_owned());
            }
            None => return Ok(Request { cdn, method, target, headers }),
        }
    }
}

fn answer(stream: &TcpStream, cdn: bool, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut request = read_request(&mut reader, cdn)?;
    let log = |request: &Request| {
        shared.requests.lock().expect("not poisoned").push(request.clone());
    };
    log(&request);
    let mut stream = stream;
    if request.method == "CONNECT" {
        // As a proxy, the hub pretends to be whatever server is asked for.
        stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
        request = read_request(&mut reader, cdn)?;
        log(&request);
    }
    let mut site = shared.site.lock().expect("not poisoned");
    let reply = reply(&request, &mut site, &shared.cdn);
    drop(site);
    if let Some(pause) = reply.pause {
        std::thread::sleep(pause);
    }
    let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let declared = reply.declared.unwrap_or(reply.body.len());
    head.push_str(&format!("Content-Length: {declared}\r\n\r\n"));
    stream.write_all(head.as_bytes())?;
    if request.method != "HEAD" {
        stream.write_all(&reply.body)?;
    }
    stream.flush()?;
    stream.shutdown(std::net::Shutdown::Write)?;
    // Closing before the client has closed could lose what is on its way.
    let _ = reader.read_to_end(&mut Vec::new());
    Ok(())
}

#[derive(Default)]
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    declared: Option<usize>,
    pause: Option<Duration>,
}

fn status(status: u16, retry_after: Option<u32>) -> Reply {
    let headers = retry_after.map(|seconds| ("Retry-After", seconds.to_string()));
    Reply { status, headers: headers.into_iter().collect(), ..Reply::default() }
}

fn reply(request: &Request, site: &mut Site, cdn: &str) -> Reply {
    let path = request.target.split('?').next().unwrap_or_default();
    if request.cdn {
        let file = path.trim_start_matches("/blobs/").to_owned();
        return content(request, site, &file);
    }
    if let Some(token) = &site.token {
        match request.headers.get("authorization") {
            None => return status(401, None),
            Some(shown) if *shown != format!("Bearer {token}") => return status(403, None),
            Some(_) => {}
        }
    }
    if path.starts_with(&format!("/api/models/{}/revision/", site.id)) {
        return match site.metadata_faults.pop_front() {
            Some(Fault::Status(code, after)) => status(code, after),
            _ => Reply { status: 200, body: metadata(site).into_bytes(), ..Reply::default() },
        };
    }
    if site.files.contains_key(path.trim_start_matches('/')) {
        if let Some(Fault::Status(code, after)) = site.metadata_faults.pop_front() {
            return status(code, after);
        }
        let headers = vec![("Location", format!("{cdn}/blobs{path}?Signature=secret"))];
        return Reply { status: 302, headers, ..Reply::default() };
    }
    let prefix = format!("/{}/resolve/{}/", site.id, site.commit);
    let Some(file) = path.strip_prefix(&prefix).map(str::to_owned) else {
        return status(404, None);
    };
    let Some(blob) = site.files.get(&file).cloned() else { return status(404, None) };
    if site.redirect_loop {
        let headers = vec![("Location", request.target.clone())];
        return Reply { status: 302, headers, ..Reply::default() };
    }
    let commit = if site.other_commit { commit('f') } else { site.commit.clone() };
    let mut headers = vec![("X-Repo-Commit", commit)];
    if !blob.large {
        let mut reply = content(request, site, &file);
        reply.headers.append(&mut headers);
        return reply;
    }
    headers.push(("X-Linked-Etag", format!("\"{}\"", sha256(&blob.bytes))));
    headers.push(("X-Linked-Size", blob.bytes.len().to_string()));
    headers.push(("Location", format!("{cdn}/blobs/{file}?Signature=secret")));
    Reply { status: 302, headers, ..Reply::default() }
}

fn content(request: &Request, site: &mut Site, file: &str) -> Reply {
    let Some(Blob { mut bytes, large }) = site.files.get(file).cloned() else {
        return status(404, None);
    };
    // What a server says of a small file is git's checksum, of a large one whatever it likes.
    let etag = if large { format!("\"cdn-{}\"", bytes.len()) } else { git_etag(&bytes) };
    let fault = if request.method == "GET" { site.file_faults.pop_front() } else { None };
    if let Some(Fault::Status(code, after)) = fault {
        return status(code, after);
    }
    if fault == Some(Fault::Corrupt)
        && let Some(last) = bytes.last_mut()
    {
        *last ^= 1;
    }
    if fault == Some(Fault::TooLong) {
        bytes.extend(b"more");
    }
    let total = bytes.len();
    let mut headers = vec![("ETag", etag.clone())];
    let same = request.headers.get("if-range").is_none_or(|known| *known == etag);
    let start = request.headers.get("range").filter(|_| site.ranges && same);
    let start = start
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let mut reply = match start {
        Some(start) if start >= total => return status(416, None),
        Some(start) => {
            let said = if fault == Some(Fault::WrongRange) { start + 1 } else { start };
            headers.push(("Content-Range", format!("bytes {said}-{}/{total}", total - 1)));
            Reply { status: 206, headers, body: bytes[start..].to_vec(), ..Reply::default() }
        }
        None => Reply { status: 200, headers, body: bytes, ..Reply::default() },
    };
    match fault {
        Some(Fault::Cut(count)) => {
            reply.declared = Some(reply.body.len());
            reply.body.truncate(count);
        }
        Some(Fault::Slow(pause)) => reply.pause = Some(pause),
        _ => {}
    }
    reply
}

fn metadata(site: &Site) -> String {
    let siblings: Vec<serde_json::Value> = site
        .files
        .iter()
        .map(|(path, Blob { bytes, large })| match (site.checksums, large) {
            (false, _) => serde_json::json!({"rfilename": path}),
            (true, true) => serde_json::json!({
                "rfilename": path, "size": bytes.len(), "blobId": commit('0'),
                "lfs": {"sha256": sha256(bytes), "size": bytes.len(), "pointerSize": 130},
            }),
            (true, false) => serde_json::json!({
                "rfilename": path, "size": bytes.len(),
                "blobId": git_etag(bytes).trim_matches('"'),
            }),
        })
        .collect();
    serde_json::json!({"id": site.id, "sha": site.commit, "siblings": siblings}).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn git_etag(bytes: &[u8]) -> String {
    let mut sha1 = sha1::Sha1::new();
    sha1.update(format!("blob {}\0", bytes.len()));
    sha1.update(bytes);
    format!("\"{}\"", hex(&sha1.finalize()))
}
