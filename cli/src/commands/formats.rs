//! `formant formats`: what is read and what is written.

use clap::Args;
use serde::Serialize;

use super::{Work, work};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::{json, stdout};

/// What `formant formats` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant formats")]
pub(crate) struct FormatsArgs {}

impl FormatsArgs {
    /// The work of the command.
    pub(crate) fn resolve(self, _: &Settings) -> Result<Work, Failure> {
        Ok(work((), |(), settings, _| run(settings)))
    }
}

/// One kind of file.
#[derive(Debug, Serialize)]
struct Format {
    name: &'static str,
    extensions: &'static [&'static str],
    codecs: &'static [&'static str],
    read: bool,
    write: bool,
    note: &'static str,
}

const PCM: &[&str] = &["u8", "s16", "s24", "s32", "f32", "f64", "A-law", "mu-law", "ADPCM"];

#[rustfmt::skip]
const FORMATS: &[Format] = &[
    Format { name: "WAV, RF64, BW64", extensions: &["wav", "wave", "rf64", "bw64"], codecs: PCM, read: true, write: true, note: "written as s16, s24, s32 or f32; RF64 beyond 4 GiB" },
    Format { name: "FLAC", extensions: &["flac"], codecs: &["FLAC"], read: true, write: true, note: "written with 16 or 24 bits" },
    Format { name: "raw samples", extensions: &["raw", "pcm"], codecs: &["u8", "s8", "s16", "s24", "s32", "f32", "f64", "A-law", "mu-law"], read: true, write: true, note: "read with --raw rate,kind,channels; written as s16, s24, s32 or f32, little-endian" },
    Format { name: "MPEG audio", extensions: &["mp3", "mp2", "mp1"], codecs: &["MP3", "MP2", "MP1"], read: true, write: false, note: "delay and padding are trimmed where the file says them" },
    Format { name: "MP4, M4A", extensions: &["m4a", "m4b", "mp4", "mov"], codecs: &["AAC-LC", "ALAC", "MP3", "FLAC"], read: true, write: false, note: "edit lists are followed; no HE-AAC" },
    Format { name: "ADTS", extensions: &["aac"], codecs: &["AAC-LC"], read: true, write: false, note: "" },
    Format { name: "Ogg", extensions: &["ogg", "oga", "opus"], codecs: &["Opus", "Vorbis", "FLAC"], read: true, write: false, note: "" },
    Format { name: "Matroska, WebM", extensions: &["mka", "mkv", "webm"], codecs: &["Opus", "Vorbis", "FLAC", "AAC-LC", "MP3", "PCM"], read: true, write: false, note: "the first audio track" },
    Format { name: "AIFF", extensions: &["aiff", "aif", "aifc"], codecs: &["PCM", "A-law", "mu-law"], read: true, write: false, note: "" },
    Format { name: "CAF", extensions: &["caf"], codecs: &["PCM", "ALAC", "A-law", "mu-law"], read: true, write: false, note: "" },
];

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    for format in FORMATS {
        let text = if settings.json { json::line("format", format) } else { text(format) };
        stdout::print(&text)?;
    }
    Ok(Outcome::done())
}

fn text(format: &Format) -> String {
    let direction = match (format.read, format.write) {
        (true, true) => "read, write",
        (true, false) => "read",
        _ => "write",
    };
    let extensions = format.extensions.join(" ");
    let mut line = format!("{:<16} {direction:<12} {extensions}", format.name);
    line += &format!("\n{:<29} {}", "", format.codecs.join(", "));
    if !format.note.is_empty() {
        line += &format!("\n{:<29} {}", "", format.note);
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use formant_audio_core::decode::EXTENSIONS;

    #[test]
    fn folders_are_searched_for_what_is_listed() {
        let listed = FORMATS.iter().filter(|f| f.read && f.name != "raw samples");
        let mut listed: Vec<&str> = listed.flat_map(|f| f.extensions).copied().collect();
        listed.sort_unstable();
        assert_eq!(listed, EXTENSIONS);
    }
}
