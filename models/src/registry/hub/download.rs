//! One file: fetched into `NAME.part`, continued where it broke off, checked, flushed to the disk,
//! and only then renamed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ureq::http::header;

use super::client::{Client, Owner, Rest, Trouble, cut};
use super::digest::{Digest, Running};
use super::retry::{Retries, tell};
use super::settings::Patience;
use super::{PullEvent, Watch};
use crate::error::HubError;

/// A file to fetch.
#[derive(Debug)]
pub(super) struct Job<'a> {
    /// For messages about access.
    pub(super) owner: Owner<'a>,
    /// Path inside the repository, or the file's name.
    pub(super) path: &'a str,
    pub(super) url: String,
    pub(super) size: u64,
    /// `None` is whatever comes: a file that nobody has vouched for yet.
    pub(super) digest: Option<Digest>,
    /// Who says size and checksum.
    pub(super) announced_by: &'static str,
    /// Commit that the hub should be talking about.
    pub(super) commit: Option<&'a str>,
    /// Final name.
    pub(super) target: PathBuf,
}

impl Job<'_> {
    fn running(&self) -> Running {
        self.digest.map_or_else(Running::of_unknown, |digest| Running::new(digest, self.size))
    }
}

/// Fetches a file; afterwards it is there under its final name, whole and right. Returns its
/// checksum.
pub(super) fn fetch(
    client: &Client,
    job: &Job<'_>,
    patience: Patience,
    watch: &mut Watch<'_>,
) -> Result<Digest, HubError> {
    let mut partial = Partial::open(job)?;
    // Bytes of an earlier run may be bad; those of this run are not tried twice.
    let mut trusted = partial.len == 0;
    let mut retries = Retries::new(patience);
    loop {
        let before = partial.len;
        match attempt(client, job, &mut partial, watch) {
            Ok(()) => match partial.check(job) {
                Err(_) if !trusted => {
                    trusted = true;
                    partial.restart(job)?;
                }
                checked => {
                    let digest = checked?;
                    partial.finish(job)?;
                    return Ok(digest);
                }
            },
            Err(trouble) => {
                if partial.len > before {
                    retries.progressed();
                }
                retries.after(trouble, watch)?;
            }
        }
    }
}

/// One request and what comes of it.
fn attempt(
    client: &Client,
    job: &Job<'_>,
    partial: &mut Partial,
    watch: &mut Watch<'_>,
) -> Result<(), Trouble> {
    let event = |done| PullEvent::Progress { path: job.path, done, size: job.size };
    tell(watch, &event(partial.len))?;
    if partial.len == job.size && job.size > 0 {
        return Ok(());
    }
    let rest = (partial.len > 0).then(|| Rest { start: partial.len, etag: partial.etag.clone() });
    let mut reply = client.file(&job.url, rest.as_ref(), job.owner)?;
    agree(job, &reply.linked)?;
    match reply.status {
        206 => {
            let range = reply.header(header::CONTENT_RANGE).and_then(content_range);
            let fits = range.is_some_and(|(start, total)| {
                start == partial.len && total.is_none_or(|total| total == job.size)
            });
            if !fits {
                partial.restart(job)?;
                return Err(passing(job, "it sent another part of the file than was asked for"));
            }
        }
        416 => {
            partial.restart(job)?;
            return Err(passing(job, "it has no such part of the file"));
        }
        // The whole file: the server knows no ranges, or has another file now.
        _ => partial.restart(job)?,
    }
    partial.remember(job, reply.header(header::ETAG))?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = reply.body.read(&mut buffer).map_err(|error| cut(&job.url, &error))?;
        if count == 0 {
            break;
        }
        if partial.len + count as u64 > job.size {
            partial.restart(job)?;
            return Err(mismatch(job, "more than that".into()).into());
        }
        partial.write(job, &buffer[..count])?;
        tell(watch, &event(partial.len))?;
    }
    match partial.len == job.size {
        true => Ok(()),
        false => Err(cut(&job.url, &io::ErrorKind::UnexpectedEof.into())),
    }
}

fn passing(job: &Job<'_>, reason: &str) -> Trouble {
    let (url, reason) = (job.url.clone(), reason.to_owned());
    Trouble::Passing(HubError::Answer { url, reason }, None)
}

fn mismatch(job: &Job<'_>, found: String) -> HubError {
    HubError::Mismatch {
        file: job.path.to_owned(),
        what: "size",
        found,
        expected: format!("{} bytes", job.size),
        announced_by: job.announced_by,
    }
}

/// What the headers say must be what the list of files says.
fn agree(job: &Job<'_>, linked: &super::client::Linked) -> Result<(), HubError> {
    let differs = |what, found: String, expected: String| {
        Err(HubError::Mismatch {
            file: job.path.to_owned(),
            what,
            found,
            expected,
            announced_by: "the hub's list of files",
        })
    };
    if let Some(size) = linked.size.filter(|&size| size != job.size) {
        return differs("size", format!("{size} bytes"), format!("{} bytes", job.size));
    }
    if let (Some(digest), Some(expected)) = (linked.digest, job.digest)
        && digest.algorithm() == expected.algorithm()
        && digest != expected
    {
        return differs(digest.algorithm(), digest.hex(), expected.hex());
    }
    match (&linked.commit, job.commit) {
        (Some(commit), Some(expected)) if commit != expected => {
            differs("commit", commit.clone(), expected.to_owned())
        }
        _ => Ok(()),
    }
}

/// Start and total of `bytes START-END/TOTAL`; the total may be `*`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((start.parse().ok()?, total))
}

/// The file while it is being fetched, with the checksum of what is there.
struct Partial {
    path: PathBuf,
    file: File,
    len: u64,
    running: Running,
    etag: Option<String>,
}

impl Partial {
    fn open(job: &Job<'_>) -> Result<Self, HubError> {
        let path = with_suffix(&job.target, ".part");
        let disk = |error| HubError::disk(&path, error);
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(disk)?;
        let mut running = job.running();
        let mut len = file.metadata().map_err(disk)?.len();
        let etag = std::fs::read_to_string(with_suffix(&path, ".etag")).ok();
        let etag = etag.filter(|etag| !etag.is_empty());
        // Nothing would tell that the rest of another file was put behind this beginning.
        let vouched = job.digest.is_some() || etag.is_some();
        if len > job.size || !vouched {
            file.set_len(0).map_err(disk)?;
            len = 0;
        }
        let mut buffer = vec![0; 1 << 18];
        let mut read = 0;
        while read < len {
            let count = file.read(&mut buffer).map_err(disk)?;
            if count == 0 {
                break;
            }
            running.update(&buffer[..count]);
            read += count as u64;
        }
        Ok(Self { file, len: read, running, etag: etag.filter(|_| read > 0), path })
    }

    fn disk(&self, error: io::Error) -> HubError {
        HubError::disk(&self.path, error)
    }

    fn restart(&mut self, job: &Job<'_>) -> Result<(), HubError> {
        if self.len == 0 {
            return Ok(());
        }
        self.file.set_len(0).map_err(|error| self.disk(error))?;
        self.file.seek(SeekFrom::Start(0)).map_err(|error| self.disk(error))?;
        self.len = 0;
        self.running = job.running();
        self.etag = None;
        Ok(())
    }

    /// Keeps the `ETag` for a later continuation; weak ones do not promise the same bytes.
    fn remember(&mut self, job: &Job<'_>, etag: Option<&str>) -> Result<(), HubError> {
        let strong = etag.filter(|etag| etag.starts_with('"')).map(str::to_owned);
        if strong != self.etag && job.size > 0 {
            let path = with_suffix(&self.path, ".etag");
            std::fs::write(&path, strong.as_deref().unwrap_or_default())
                .map_err(|error| HubError::disk(&path, error))?;
        }
        self.etag = strong;
        Ok(())
    }

    fn write(&mut self, job: &Job<'_>, bytes: &[u8]) -> Result<(), HubError> {
        if let Err(error) = self.file.write_all(bytes) {
            // What was half written is not counted, so that a continuation starts clean.
            let _ = self.file.set_len(self.len);
            let (kind, left) = (error.kind(), job.size - self.len);
            let text = format!("{error} ({left} bytes of {} are missing)", job.path);
            return Err(self.disk(io::Error::new(kind, text)));
        }
        self.running.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// The checksum; a wrong file is emptied.
    fn check(&mut self, job: &Job<'_>) -> Result<Digest, HubError> {
        let found = self.running.clone().finish();
        let Some(expected) = job.digest.filter(|expected| *expected != found) else {
            return Ok(found);
        };
        self.restart(job)?;
        Err(HubError::Mismatch {
            file: job.path.to_owned(),
            what: expected.algorithm(),
            found: found.hex(),
            expected: expected.hex(),
            announced_by: job.announced_by,
        })
    }

    fn finish(self, job: &Job<'_>) -> Result<(), HubError> {
        self.file.sync_all().map_err(|error| self.disk(error))?;
        drop(self.file);
        std::fs::rename(&self.path, &job.target)
            .map_err(|error| HubError::disk(&job.target, error))?;
        let _ = std::fs::remove_file(with_suffix(&self.path, ".etag"));
        Ok(())
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::content_range;

    #[test]
    fn ranges() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for bad in ["", "bytes */10", "items 1-2/3", "bytes 1-2", "bytes -2/3", "bytes 1-2/x"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
