//! ffmpeg: where it comes from, and how long it decodes by its own account.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::tool;
use crate::problem::{Problem, Result};
use crate::shell;

const REMEDY: &str = "see what the command says when you run it yourself";

/// An ffmpeg that runs.
pub(super) struct Ffmpeg {
    path: PathBuf,
    pub(super) version: String,
}

impl Ffmpeg {
    /// The one on the path, else from apt where that is allowed, else the one that the Python
    /// package brings; `None`, with a line that says so, when there is none.
    pub(super) fn find(python: &Path) -> Result<Option<Self>> {
        if let Some(found) = Self::at("ffmpeg".into()) {
            return Ok(Some(found));
        }
        if shell::output("id", &["-u"]).is_some_and(|user| user.trim() == "0")
            && shell::works("apt-get", &["--version"])
        {
            let mut apt = Command::new("apt-get");
            apt.args(["install", "-y", "-qq", "--no-install-recommends", "ffmpeg"]);
            apt.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
            // Other sources follow when this one fails.
            let _ = shell::run(&mut apt, "");
            if let Some(found) = Self::at("ffmpeg".into()) {
                return Ok(Some(found));
            }
        }
        let ask = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())";
        let found = shell::output(python, &["-c", ask]);
        let found = found.and_then(|path| Self::at(path.trim().into()));
        if found.is_none() {
            eprintln!("bench-peers: there is no ffmpeg, so decoding is left out");
        }
        Ok(found)
    }

    fn at(path: PathBuf) -> Option<Self> {
        let printed = shell::output(&path, &["-version"])?;
        let version = printed.lines().next()?.split_whitespace().nth(2)?.to_owned();
        Some(Self { path, version })
    }

    /// Encodes `source` as `target`'s extension says.
    pub(super) fn encode(&self, source: &Path, target: &Path, options: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.path);
        command.args(["-hide_banner", "-loglevel", "error", "-y", "-i"]).arg(source);
        command.args(options).arg(target).stdin(Stdio::null());
        shell::run(&mut command, REMEDY)
    }

    /// Milliseconds of runs, after one that does not count, for about `seconds`.
    ///
    /// ffmpeg's own measure leaves out its start and the opening of the file.
    pub(super) fn decode(&self, file: &Path, seconds: f64) -> Result<Vec<f64>> {
        self.run(file)?;
        let start = Instant::now();
        let mut times = Vec::new();
        while times.len() < 2 || start.elapsed().as_secs_f64() < seconds {
            times.push(self.run(file)?);
        }
        Ok(times)
    }

    fn run(&self, file: &Path) -> Result<f64> {
        let mut command = tool::on_one_core(self.path.as_os_str());
        command.args(["-hide_banner", "-nostats", "-benchmark", "-threads", "1", "-i"]).arg(file);
        command.args(["-map", "0:a:0", "-c:a", "pcm_f32le", "-threads", "1", "-f", "null", "-"]);
        command.stdin(Stdio::null());
        let shown = shell::line(&command);
        let failed = |why: &str| Problem::new(format!("`{shown}` {why}"), REMEDY);
        let done = command.output().map_err(|error| failed(&error.to_string()))?;
        let said = String::from_utf8_lossy(&done.stderr);
        let seconds = real_time(&said).filter(|_| done.status.success());
        Ok(seconds.ok_or_else(|| failed("did not decode it"))? * 1e3)
    }
}

/// Seconds from the line `bench: utime=0.1s stime=0.0s rtime=0.1s`.
fn real_time(said: &str) -> Option<f64> {
    let (_, rest) = said.split_once("rtime=")?;
    rest.split_once('s')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_found() {
        let said = "Stream #0:0\nbench: utime=0.187s stime=0.006s rtime=0.194s\nbench: maxrss=1kB";
        assert_eq!(real_time(said), Some(0.194));
        assert_eq!(real_time("no such file"), None);
    }
}
