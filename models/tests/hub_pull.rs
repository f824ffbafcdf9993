//! Fetching from a hub that behaves, and from hubs that do not.

mod hub_support;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use formant_models::checkpoint::Architecture;
use formant_models::registry::{
    Cache, Direct, HubError, HubOptions, Patience, Pin, Place, Published, PullEvent, Pulled, Want,
    pull,
};
use hub_support::{Fault, Hub, Site, commit};
use tempfile::TempDir;

const MODEL: Published = Published {
    name: "test-model",
    task: "spot",
    architecture: Architecture::Ast,
    summary: "a model for tests",
    place: Place::HuggingFace { id: "owner/name", revision: None },
    files: &[Want::File("config.json"), Want::File("w.pt")],
    pins: &[],
    licence: "CC0-1.0",
    rate: 16_000,
    bytes: None,
    parameters: None,
    quality: "",
    citation: "none",
};

fn weights() -> Vec<u8> {
    (0..100_000u32).map(|n| (n * 31 % 251) as u8).collect()
}

fn site() -> Site {
    Site::new("owner/name").small("config.json", b"{}\n").large("w.pt", &weights())
}

fn options(hub: &Hub) -> HubOptions {
    let patience = Patience {
        attempts: 4,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(1500),
        silence: Duration::from_secs(10),
    };
    HubOptions { endpoint: hub.address.clone(), patience, ..HubOptions::default() }
}

fn go_on(_: &PullEvent<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

struct Desk {
    folder: TempDir,
    cache: Cache,
}

fn place() -> Desk {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::at(folder.path());
    Desk { folder, cache }
}

impl Desk {
    fn pull(&self, hub: &Hub) -> Result<Pulled, HubError> {
        pull(&MODEL, &self.cache, &options(hub), &mut go_on)
    }

    /// The right files, and nothing else but the lock.
    #[track_caller]
    fn is_whole(&self) {
        let snapshot = self.cache.verify(MODEL.name, &mut go_on).expect("there");
        assert_eq!(std::fs::read(snapshot.folder.join("w.pt")).expect("file"), weights());
        let mut names = Vec::new();
        list(self.folder.path(), &mut names);
        names.sort();
        assert_eq!(
            names,
            ["config.json", "current", "manifest.json", "test-model.lock", "w.pt"],
            "nothing half-made"
        );
    }

    #[track_caller]
    fn is_absent(&self) {
        assert_eq!(self.cache.find(MODEL.name).expect("readable"), None);
    }
}

fn list(folder: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        match path.is_dir() {
            true => list(&path, names),
            false => names.push(path.file_name().expect("name").to_string_lossy().into_owned()),
        }
    }
}

#[test]
fn a_model_is_fetched_once() {
    let (hub, place) = (site().start(), place());
    let mut planned = None;
    let mut last = 0;
    let pulled = pull(&MODEL, &place.cache, &options(&hub), &mut |event| {
        match event {
            PullEvent::Planned { files, bytes } => planned = Some((*files, *bytes)),
            PullEvent::Progress { path: "w.pt", done, .. } => last = *done,
            _ => {}
        }
        ControlFlow::Continue(())
    })
    .expect("fetched");
    assert!(pulled.fetched && pulled.snapshot.path() == pulled.snapshot.folder);
    assert_eq!((planned, last), (Some((2, 100_003)), 100_000));
    assert_eq!(pulled.snapshot.manifest.commit, commit('a'));
    place.is_whole();
    let requests = hub.requests().len();
    let again = place.pull(&hub).expect("there");
    assert!(!again.fetched && again.snapshot == pulled.snapshot);
    assert_eq!(hub.requests().len(), requests, "no request for what is there");
}

#[test]
fn the_token_stays_with_the_hub() {
    let mut private = site();
    private.token = Some("hf_secret".into());
    let (hub, place) = (private.start(), place());
    let with = |token: &str| HubOptions { token: Some(token.into()), ..options(&hub) };
    let error = place.pull(&hub).expect_err("no token");
    assert!(matches!(error, HubError::Denied { status: 401, with_token: false, .. }), "{error}");
    assert!(error.remedy().contains("owner/name"), "{}", error.remedy());
    let error = pull(&MODEL, &place.cache, &with("hf_wrong"), &mut go_on).expect_err("wrong");
    assert!(matches!(error, HubError::Denied { status: 403, with_token: true, .. }), "{error}");
    assert!(!error.to_string().contains("hf_wrong") && !error.remedy().contains("hf_wrong"));
    assert_eq!(hub.requests().len(), 2, "a refusal is not tried again");
    pull(&MODEL, &place.cache, &with("hf_secret"), &mut go_on).expect("fetched");
    let requests = hub.requests();
    assert!(requests.iter().any(|request| request.cdn), "the other server was used");
    for request in requests {
        let shown = request.headers.contains_key("authorization");
        assert!(!(request.cdn && shown), "the token went to the other server");
    }
    place.is_whole();
}

#[test]
fn a_cut_connection_is_continued() {
    let hub = site().fault(Fault::Cut(3)).fault(Fault::Cut(40_000)).fault(Fault::Cut(10)).start();
    // The first fault falls on config.json, the others on the weights.
    let place = place();
    place.pull(&hub).expect("continued");
    place.is_whole();
    let ranges: Vec<_> = hub
        .downloads()
        .into_iter()
        .filter(|request| request.cdn)
        .map(|request| {
            (request.headers.get("range").cloned(), request.headers.get("if-range").cloned())
        })
        .collect();
    let etag = Some("\"cdn-100000\"".to_owned());
    let from = |n: u32| Some(format!("bytes={n}-"));
    assert_eq!(ranges, [(None, None), (from(40_000), etag.clone()), (from(40_010), etag)]);
}

#[test]
fn a_later_call_continues() {
    let (hub, place) = (site().start(), place());
    hub.change(|site| site.file_faults.extend([Fault::Slow(Duration::ZERO), Fault::Cut(70_000)]));
    let once = Patience { attempts: 1, ..options(&hub).patience };
    let once = HubOptions { patience: once, ..options(&hub) };
    let error = pull(&MODEL, &place.cache, &once, &mut go_on).expect_err("cut");
    assert!(matches!(error, HubError::Connection { .. }), "{error}");
    assert!(error.remedy().contains("kept"));
    place.is_absent();
    place.pull(&hub).expect("continued");
    place.is_whole();
    let last = hub.downloads().pop().expect("a download");
    assert_eq!(last.headers.get("range").map(String::as_str), Some("bytes=70000-"));
    let configs = hub.downloads().iter().filter(|r| r.target.ends_with("config.json")).count();
    assert_eq!(configs, 1, "what was whole is not fetched again");
}

#[test]
fn servers_without_ranges_begin_again() {
    let mut simple = site().fault(Fault::Slow(Duration::ZERO)).fault(Fault::Cut(50_000));
    simple.ranges = false;
    let (hub, place) = (simple.start(), place());
    place.pull(&hub).expect("fetched");
    place.is_whole();
}

#[test]
fn a_range_that_was_not_asked_for_is_not_used() {
    let faults = [Fault::Slow(Duration::ZERO), Fault::Cut(50_000), Fault::WrongRange];
    let hub = faults.into_iter().fold(site(), Site::fault).start();
    let place = place();
    place.pull(&hub).expect("fetched");
    place.is_whole();
}

#[test]
fn a_file_that_changed_on_the_server_is_fetched_from_its_beginning() {
    let (hub, place) = (site().start(), place());
    hub.change(|site| site.file_faults.extend([Fault::Slow(Duration::ZERO), Fault::Cut(50_000)]));
    let once = Patience { attempts: 1, ..options(&hub).patience };
    let once = HubOptions { patience: once, ..options(&hub) };
    pull(&MODEL, &place.cache, &once, &mut go_on).expect_err("cut");
    // Bytes that were damaged on the disk meanwhile are noticed, and not believed twice.
    let part = place.cache.root().join("models/test-model");
    let part = part.join(format!("{}.incoming/files/w.pt.part", commit('a')));
    let mut bytes = std::fs::read(&part).expect("kept");
    bytes[7] ^= 1;
    std::fs::write(&part, bytes).expect("damaged");
    place.pull(&hub).expect("fetched anew");
    place.is_whole();
}

#[test]
fn wrong_content_is_never_used() {
    for (fault, what) in [(Fault::Corrupt, "sha256"), (Fault::TooLong, "size")] {
        let hub = site().fault(Fault::Slow(Duration::ZERO)).fault(fault).start();
        let place = place();
        let error = place.pull(&hub).expect_err("wrong");
        assert!(
            matches!(&error, HubError::Mismatch { file, what: found, .. }
            if file == "w.pt" && *found == what),
            "{error}"
        );
        place.is_absent();
        place.pull(&hub).expect("right this time");
        place.is_whole();
    }
}

#[test]
fn small_files_are_checked_as_git_does() {
    let (hub, place) = (site().fault(Fault::Corrupt).start(), place());
    let error = place.pull(&hub).expect_err("wrong");
    assert!(matches!(error, HubError::Mismatch { what: "git-sha1", .. }), "{error}");
    place.is_absent();
}

#[test]
fn busy_servers_are_waited_for() {
    let faults = [Fault::Status(429, Some(1)), Fault::Status(503, None), Fault::Status(500, None)];
    let hub = faults.into_iter().fold(site(), Site::fault).start();
    hub.change(|site| site.metadata_faults.push_back(Fault::Status(502, None)));
    let place = place();
    let begin = std::time::Instant::now();
    place.pull(&hub).expect("in the end");
    assert!(begin.elapsed() >= Duration::from_secs(1), "Retry-After was heeded");
    place.is_whole();
}

#[test]
fn servers_that_stay_busy_are_given_up() {
    let hub = site().start();
    hub.change(|site| site.metadata_faults.extend([Fault::Status(503, None); 9]));
    let error = place().pull(&hub).expect_err("busy");
    assert!(matches!(error, HubError::Status { status: 503, .. }), "{error}");
    assert_eq!(hub.requests().len(), 4);
    // An hour is more than anybody waits for.
    hub.change(|site| {
        site.metadata_faults.clear();
        site.metadata_faults.push_back(Fault::Status(429, Some(3600)));
    });
    let error = place().pull(&hub).expect_err("too long");
    assert!(error.remedy().contains("too many requests"), "{}", error.remedy());
}

#[test]
fn what_is_not_there() {
    let hub = Site::new("owner/other").start();
    let error = place().pull(&hub).expect_err("another repository");
    assert!(matches!(error, HubError::NotFound { .. }), "{error}");
    assert_eq!(hub.requests().len(), 1);
    let hub = Site::new("owner/name").small("config.json", b"{}").start();
    let error = place().pull(&hub).expect_err("no weights");
    assert!(matches!(&error, HubError::NoFile { wanted, .. } if wanted == "w.pt"), "{error}");
    drop(hub);
    let nobody = HubOptions { endpoint: "http://127.0.0.1:1".into(), ..HubOptions::default() };
    let patience = Patience { attempts: 1, ..Patience::default() };
    let nobody = HubOptions { patience, ..nobody };
    let error = pull(&MODEL, &place().cache, &nobody, &mut go_on).expect_err("nobody");
    assert!(matches!(error, HubError::Connection { .. }), "{error}");
}

#[test]
fn lists_without_checksums_are_completed_from_the_headers() {
    let mut mirror = site();
    mirror.checksums = false;
    let (hub, place) = (mirror.start(), place());
    place.pull(&hub).expect("fetched");
    place.is_whole();
    assert!(hub.requests().iter().any(|request| request.method == "HEAD"));
}

#[test]
fn a_hub_that_contradicts_itself_is_not_believed() {
    let mut odd = site();
    odd.other_commit = true;
    let error = place().pull(&odd.start()).expect_err("two commits");
    assert!(matches!(error, HubError::Mismatch { what: "commit", .. }), "{error}");
    let mut endless = site();
    endless.redirect_loop = true;
    let error = place().pull(&endless.start()).expect_err("a loop");
    assert!(error.to_string().contains("too many redirects"), "{error}");
}

#[test]
fn what_the_program_knows_is_compared() {
    let (hub, place) = (site().start(), place());
    const PINS: &[Pin] = &[Pin { file: "w.pt", bytes: 100_000, sha256: Some(OTHER) }];
    const OTHER: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let model = Published { pins: PINS, ..MODEL };
    let error = pull(&model, &place.cache, &options(&hub), &mut go_on).expect_err("another");
    assert!(error.to_string().contains("this program"), "{error}");
    let model = Published {
        place: Place::HuggingFace {
            id: "owner/name",
            revision: Some("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"),
        },
        ..MODEL
    };
    let error = pull(&model, &place.cache, &options(&hub), &mut go_on).expect_err("another");
    assert!(matches!(error, HubError::Mismatch { what: "commit", .. }), "{error}");
    assert!(hub.downloads().is_empty());
}

#[test]
fn two_at_once_fetch_once() {
    let hub = site().fault(Fault::Slow(Duration::from_millis(600))).start();
    let place = place();
    let mut waited = false;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| place.pull(&hub));
        while hub.downloads().is_empty() {
            std::thread::sleep(Duration::from_millis(2));
        }
        let second = pull(&MODEL, &place.cache, &options(&hub), &mut |event| {
            waited |= matches!(event, PullEvent::Waiting { name: "test-model" });
            ControlFlow::Continue(())
        });
        assert!(first.join().expect("no panic").expect("fetched").fetched);
        assert!(!second.expect("found").fetched);
    });
    assert!(waited);
    assert_eq!(hub.downloads().len(), 2, "each file once");
    place.is_whole();
}

#[test]
fn updates_keep_what_did_not_change() {
    let (hub, place) = (site().start(), place());
    let first = place.pull(&hub).expect("fetched");
    let update = HubOptions { update: true, ..options(&hub) };
    let same = pull(&MODEL, &place.cache, &update, &mut go_on).expect("looked");
    assert!(!same.fetched && same.snapshot == first.snapshot);
    hub.change(|site| {
        site.commit = commit('b');
        site.files.get_mut("config.json").expect("there").bytes = b"{\"new\": 1}\n".to_vec();
        site.file_faults.push_back(Fault::Corrupt);
    });
    pull(&MODEL, &place.cache, &update, &mut go_on).expect_err("wrong content");
    assert_eq!(place.cache.require(MODEL.name).expect("still there"), first.snapshot);
    let before = hub.downloads().len();
    let second = pull(&MODEL, &place.cache, &update, &mut go_on).expect("updated");
    assert_eq!(second.snapshot.manifest.commit, commit('b'));
    assert_eq!(hub.downloads().len(), before + 1, "the weights are the same");
    assert!(!first.snapshot.folder.exists(), "the old ones are gone");
    place.is_whole();
}

#[test]
fn a_damaged_snapshot_is_mended() {
    let (hub, place) = (site().start(), place());
    let folder = place.pull(&hub).expect("fetched").snapshot.folder;
    std::fs::write(folder.join("w.pt"), "short").expect("damaged");
    assert!(matches!(place.cache.require(MODEL.name), Err(HubError::Damaged { .. })));
    assert!(place.pull(&hub).expect("mended").fetched);
    place.is_whole();
}

#[test]
fn offline_nothing_is_asked() {
    let (hub, place) = (site().start(), place());
    let offline = HubOptions { offline: Some("FORMANT_OFFLINE=1".into()), ..options(&hub) };
    let error = pull(&MODEL, &place.cache, &offline, &mut go_on).expect_err("offline");
    assert!(error.to_string().contains("FORMANT_OFFLINE=1"), "{error}");
    assert!(hub.requests().is_empty());
    place.pull(&hub).expect("fetched");
    assert!(!pull(&MODEL, &place.cache, &offline, &mut go_on).expect("there").fetched);
}

#[test]
fn the_caller_can_stop_and_go_on() {
    let (hub, place) = (site().start(), place());
    let result = pull(&MODEL, &place.cache, &options(&hub), &mut |event| match event {
        PullEvent::Progress { path: "w.pt", done: 1.., .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert!(matches!(result, Err(HubError::Stopped)));
    place.is_absent();
    place.pull(&hub).expect("continued");
    place.is_whole();
}

#[test]
fn folders_that_cannot_be_used_are_named() {
    let hub = site().start();
    let place = place();
    let file = place.folder.path().join("file");
    std::fs::write(&file, "").expect("file");
    let error = pull(&MODEL, &Cache::at(&file), &options(&hub), &mut go_on).expect_err("a file");
    assert!(matches!(&error, HubError::Disk { .. }), "{error}");
    assert!(error.to_string().contains("file") && error.remedy().contains("--cache-dir"));
}

/// A disk without room, as far as writing to it goes.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let (hub, place) = (site().start(), place());
    let incoming = place.cache.root().join("models/test-model");
    let incoming = incoming.join(format!("{}.incoming/files", commit('a')));
    std::fs::create_dir_all(&incoming).expect("folder");
    std::os::unix::fs::symlink("/dev/full", incoming.join("w.pt.part")).expect("link");
    let error = place.pull(&hub).expect_err("full");
    assert!(error.remedy().contains("make room"), "{error}: {}", error.remedy());
    assert!(error.to_string().contains("w.pt"), "{error}");
    place.is_absent();
}

/// A model whose two files have addresses of their own.
const DIRECT: Published = Published {
    place: Place::Url {
        page: "https://files.example/about",
        files: &[
            Direct { file: "w.pt", url: "https://files.example/v1/w.pt" },
            Direct { file: "config.json", url: "https://other.example/x/config?part=1" },
        ],
    },
    files: &[],
    ..MODEL
};

fn direct_site() -> Site {
    Site::new("owner/name")
        .direct("files.example/v1/w.pt", &weights())
        .direct("other.example/x/config", b"{}\n")
}

fn direct_options(hub: &Hub) -> HubOptions {
    HubOptions { mirror: Some(hub.address.clone()), ..options(hub) }
}

impl Desk {
    fn pull_direct(&self, model: &Published, hub: &Hub) -> Result<Pulled, HubError> {
        pull(model, &self.cache, &direct_options(hub), &mut go_on)
    }
}

#[test]
fn files_at_direct_addresses_are_fetched_once() {
    let (hub, place) = (direct_site().fault(Fault::Cut(1)).start(), place());
    let mut planned = None;
    let pulled = pull(&DIRECT, &place.cache, &direct_options(&hub), &mut |event| {
        if let PullEvent::Planned { files, bytes } = event {
            planned = Some((*files, *bytes));
        }
        ControlFlow::Continue(())
    })
    .expect("fetched");
    assert!(pulled.fetched);
    assert_eq!(planned, Some((2, 100_003)), "sizes come from the servers");
    let manifest = &pulled.snapshot.manifest;
    assert_eq!(manifest.id, "https://files.example/about");
    let digest = format!("sha256:{}", hub_support::sha256(&weights()));
    assert_eq!(manifest.files[0].digest.to_string(), digest);
    let verified = place.cache.verify(MODEL.name, &mut go_on).expect("whole");
    assert_eq!(std::fs::read(verified.folder.join("w.pt")).expect("file"), weights());
    let requests = hub.requests().len();
    assert!(!place.pull_direct(&DIRECT, &hub).expect("there").fetched);
    assert_eq!(hub.requests().len(), requests, "no request for what is there");
}

#[test]
fn a_direct_address_with_another_file_than_at_first_is_not_believed() {
    let (hub, place) = (direct_site().start(), place());
    place.pull_direct(&DIRECT, &hub).expect("fetched");
    place.cache.remove(MODEL.name, &mut go_on).expect("removed");
    place.pull_direct(&DIRECT, &hub).expect("the same again");
    place.cache.remove(MODEL.name, &mut go_on).expect("removed");
    let mut other = weights();
    other[7] ^= 1;
    hub.change(|site| *site = site.clone().direct("files.example/v1/w.pt", &other));
    let error = place.pull_direct(&DIRECT, &hub).expect_err("another file");
    assert!(matches!(&error, HubError::Mismatch { announced_by: "the first download", .. }));
    assert!(error.to_string().contains("w.pt"), "{error}");
    place.is_absent();
}

#[test]
fn pinned_files_at_direct_addresses_are_compared_at_once() {
    const PINS: &[Pin] = &[Pin {
        file: "w.pt",
        bytes: 100_000,
        sha256: Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    }];
    let (hub, place) = (direct_site().start(), place());
    let model = Published { pins: PINS, ..DIRECT };
    let error = place.pull_direct(&model, &hub).expect_err("another file");
    assert!(error.to_string().contains("this program"), "{error}");
    place.is_absent();
}

#[test]
fn a_direct_address_is_continued_by_a_later_call() {
    let none = Fault::Slow(Duration::ZERO);
    // Two requests ask for sizes alone.
    let site = direct_site().fault(none).fault(none).fault(Fault::Cut(60_000));
    let (hub, place) = (site.start(), place());
    let mut stop = |event: &PullEvent<'_>| match event {
        PullEvent::Retrying { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let stopped = pull(&DIRECT, &place.cache, &direct_options(&hub), &mut stop);
    assert!(matches!(stopped, Err(HubError::Stopped)));
    place.pull_direct(&DIRECT, &hub).expect("continued");
    place.cache.verify(MODEL.name, &mut go_on).expect("whole");
    let rest = |request: &hub_support::Request| {
        request.headers.get("range").is_some_and(|range| range == "bytes=60000-")
            && request.headers.contains_key("if-range")
    };
    assert!(hub.requests().iter().any(rest));
}

#[test]
fn a_direct_address_that_is_gone_names_the_page() {
    let (hub, place) = (Site::new("owner/name").start(), place());
    let error = place.pull_direct(&DIRECT, &hub).expect_err("nothing there");
    assert!(matches!(error, HubError::Gone { status: 404, .. }), "{error}");
    assert!(error.remedy().contains("https://files.example/about"), "{}", error.remedy());
    let offline = HubOptions { offline: Some("--offline".into()), ..direct_options(&hub) };
    let error = pull(&DIRECT, &place.cache, &offline, &mut go_on).expect_err("off");
    assert!(matches!(error, HubError::Offline { .. }));
}
