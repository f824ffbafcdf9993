//! `formant models pull`, `verify` and `remove`: what is in the cache.

use std::ops::ControlFlow;

use formant_models::registry::{
    self, Cache, HubOptions, PullEvent, Snapshot, published, published_models,
};
use indicatif::ProgressBar;
use serde_json::json;

use super::unknown;
use crate::failure::Failure;
use crate::messages::Messages;
use crate::settings::Settings;
use crate::{interrupt, json as lines};

/// The fetched models.
pub(super) fn names(cache: &Cache) -> Vec<String> {
    let there = |name: &&str| !matches!(cache.find(name), Ok(None));
    published_models().map(|model| model.name).filter(there).map(str::to_owned).collect()
}

/// Fetches a model; its path is the result.
pub(super) fn pull(
    name: &str,
    cache: &Cache,
    hub: &HubOptions,
    settings: &Settings,
    messages: &Messages,
) -> Result<String, Failure> {
    let Some(model) = published(name) else {
        return Err(match registry::bundled(name) {
            Ok(_) => unknown(name, "comes with the program; there is nothing to fetch"),
            Err(_) => unknown(name, "no published model of this name"),
        });
    };
    let mut shown = Shown { name, messages, bar: None, files_done: 0, current: (String::new(), 0) };
    let pulled = registry::pull(model, cache, hub, &mut |event| shown.event(event));
    if let Some(bar) = shown.bar {
        bar.finish_and_clear();
    }
    let pulled = pulled?;
    if !pulled.fetched {
        messages.note(&format!("{name}: there already"));
    }
    // Who names a folder here only would not find the model again.
    let usual = Cache::from_env().ok();
    if usual.is_none_or(|usual| usual.root() != cache.root()) {
        let folder = cache.root().display();
        messages.note(&format!("{name}: set FORMANT_CACHE={folder} so that --model finds it"));
    }
    Ok(text("model_pulled", &pulled.snapshot, Some(("fetched", pulled.fetched)), settings))
}

/// Compares a model with its checksums.
pub(super) fn verify(name: &str, cache: &Cache, settings: &Settings) -> Result<String, Failure> {
    if published(name).is_none() {
        return Err(unknown(name, "no published model of this name"));
    }
    let snapshot = cache.verify(name, &mut |_| go_on())?;
    Ok(match settings.json {
        true => text("model_verified", &snapshot, None, settings),
        false => match snapshot.manifest.files.len() {
            1 => format!("{name}: 1 file is whole\n"),
            files => format!("{name}: {files} files are whole\n"),
        },
    })
}

/// Removes a model.
pub(super) fn remove(
    name: &str,
    cache: &Cache,
    settings: &Settings,
    messages: &Messages,
) -> Result<String, Failure> {
    if published(name).is_none() {
        return Err(unknown(name, "no published model of this name"));
    }
    let bytes = cache.remove(name, &mut |event| {
        if let PullEvent::Waiting { .. } = event {
            messages.note(&waiting(name));
        }
        go_on()
    })?;
    Ok(match settings.json {
        true => lines::line("model_removed", &json!({"name": name, "bytes": bytes})),
        false => format!("{name}: removed, {} are free again\n", size(bytes)),
    })
}

fn text(
    kind: &str,
    snapshot: &Snapshot,
    flag: Option<(&str, bool)>,
    settings: &Settings,
) -> String {
    let path = snapshot.path().display().to_string();
    if !settings.json {
        return format!("{path}\n");
    }
    let manifest = &snapshot.manifest;
    let mut object = json!({
        "name": manifest.name,
        "path": path,
        "hub_id": manifest.id,
        "revision": manifest.commit,
        "bytes": snapshot.bytes(),
        "files": manifest.files,
    });
    if let Some((key, value)) = flag {
        object[key] = value.into();
    }
    lines::line(kind, &object)
}

/// What is seen while a model comes.
struct Shown<'a> {
    name: &'a str,
    messages: &'a Messages,
    bar: Option<ProgressBar>,
    /// Bytes of the files before the current one.
    files_done: u64,
    current: (String, u64),
}

impl Shown<'_> {
    fn event(&mut self, event: &PullEvent<'_>) -> ControlFlow<()> {
        let name = self.name;
        match event {
            PullEvent::Waiting { .. } => self.messages.note(&waiting(name)),
            PullEvent::Planned { files, bytes } => {
                let plural = if *files == 1 { "file" } else { "files" };
                self.messages.note(&format!("{name}: {files} {plural}, {}", size(*bytes)));
                self.bar = Some(self.messages.download_bar(*bytes));
            }
            PullEvent::Progress { path, done, size } => {
                if self.current.0 != *path {
                    self.files_done += self.current.1;
                    self.current = ((*path).to_owned(), *size);
                    self.messages.detail(&format!("{name}: {path}"));
                }
                if let Some(bar) = &self.bar {
                    bar.set_position(self.files_done + done);
                    bar.set_message((*path).to_owned());
                }
            }
            PullEvent::Checking { path } => {
                self.messages.detail(&format!("{name}: checking {path}"))
            }
            PullEvent::Retrying { reason, wait } => {
                let wait = wait.as_secs_f64();
                self.messages.warning(name, format!("{reason}; again in {wait:.1} s"));
            }
            PullEvent::Idle => {}
        }
        go_on()
    }
}

fn waiting(name: &str) -> String {
    format!("{name}: another process is at it; waiting")
}

fn go_on() -> ControlFlow<()> {
    if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// `913 MB`, in powers of ten as hubs show them.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes() {
        let sizes = [5, 1_500, 913_000_000, 1_860_000_000].map(size);
        assert_eq!(sizes, ["5 B", "2 kB", "913 MB", "1.86 GB"]);
    }
}
