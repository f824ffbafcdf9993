//! Names of codecs and formats that are recognised, whether they can be decoded or not, and what to
//! do about those that can't.

use std::path::Path;

use crate::error::Error;

/// What is said of an encrypted track.
pub(super) const ENCRYPTED: &str = "encrypted audio (DRM)";

/// Codecs by the sample entries of MP4 and MOV.
const MP4: [(&[u8; 4], &str); 36] = [
    (b"alac", "ALAC"),
    (b"fLaC", "FLAC"),
    (b"Opus", "Opus"),
    (b".mp3", "MP3"),
    (b"lpcm", "PCM"),
    (b"sowt", "PCM"),
    (b"twos", "PCM"),
    (b"in24", "PCM"),
    (b"in32", "PCM"),
    (b"fl32", "PCM"),
    (b"fl64", "PCM"),
    (b"raw ", "PCM"),
    (b"NONE", "PCM"),
    (b"ipcm", "PCM of ISO/IEC 23003-5"),
    (b"fpcm", "PCM of ISO/IEC 23003-5"),
    (b"alaw", "A-law"),
    (b"ulaw", "mu-law"),
    (b"samr", "AMR"),
    (b"sawb", "AMR-WB"),
    (b"sawp", "AMR-WB+"),
    (b"sevc", "EVRC"),
    (b"sqcp", "QCELP"),
    (b"Qclp", "QCELP"),
    (b"ac-3", "AC-3"),
    (b"ec-3", "E-AC-3"),
    (b"ac-4", "AC-4"),
    (b"mlpa", "TrueHD"),
    (b"dtsc", "DTS"),
    (b"dtsh", "DTS-HD"),
    (b"dtsl", "DTS-HD"),
    (b"dtse", "DTS Express"),
    (b"mha1", "MPEG-H 3D Audio"),
    (b"mhm1", "MPEG-H 3D Audio"),
    (b"ima4", "IMA ADPCM of QuickTime"),
    (b"MAC3", "MACE"),
    (b"QDM2", "QDesign Music"),
];

/// The codec of a sample entry; `object` is the object type of its decoder configuration.
pub(super) fn mp4(kind: &[u8; 4], object: Option<u8>) -> String {
    match (kind, object) {
        (b"enca" | b"drms", _) => return ENCRYPTED.to_owned(),
        (b"mp4a", Some(object)) => return object_type(object),
        (b"mp4a", None) => return "AAC".to_owned(),
        _ => {}
    }
    let known = MP4.iter().find(|(name, _)| *name == kind);
    known.map_or_else(|| format!("`{}`", kind.escape_ascii()), |(_, name)| (*name).to_owned())
}

/// Codecs by the object type of MPEG-4 systems.
fn object_type(object: u8) -> String {
    match object {
        0x40 | 0x66..=0x68 => "AAC".to_owned(),
        0x69 | 0x6b => "MP3".to_owned(),
        0xa5 => "AC-3".to_owned(),
        0xa6 => "E-AC-3".to_owned(),
        0xa9..=0xac => "DTS".to_owned(),
        0xdd => "Vorbis".to_owned(),
        0xe1 => "QCELP".to_owned(),
        other => format!("the codec of MPEG-4 object type {other:#04x}"),
    }
}

/// Codecs by the identifiers of Matroska, the longest beginning first.
const MATROSKA: [(&str, &str); 30] = [
    ("A_AAC", "AAC"),
    ("A_AC3", "AC-3"),
    ("A_ALAC", "ALAC"),
    ("A_ATRAC/AT1", "ATRAC1"),
    ("A_DTS", "DTS"),
    ("A_EAC3", "E-AC-3"),
    ("A_FLAC", "FLAC"),
    ("A_MLP", "MLP"),
    ("A_MPC", "Musepack"),
    ("A_MPEG/L1", "MP1"),
    ("A_MPEG/L2", "MP2"),
    ("A_MPEG/L3", "MP3"),
    ("A_MS/ACM", "a Windows codec (A_MS/ACM)"),
    ("A_OPUS", "Opus"),
    ("A_PCM", "PCM"),
    ("A_QUICKTIME/QDM2", "QDesign Music"),
    ("A_QUICKTIME", "a QuickTime codec"),
    ("A_REAL/14_4", "RealAudio 1"),
    ("A_REAL/28_8", "RealAudio 2"),
    ("A_REAL/ATRC", "ATRAC3"),
    ("A_REAL/COOK", "RealAudio Cook"),
    ("A_REAL/RALF", "RealAudio Lossless"),
    ("A_REAL/SIPR", "RealAudio Sipro"),
    ("A_SPEEX", "Speex"),
    ("A_TRUEHD", "TrueHD"),
    ("A_TTA1", "TTA"),
    ("A_VORBIS", "Vorbis"),
    ("A_WAVPACK4", "WavPack"),
    ("A_WMA", "WMA"),
    ("A_AMR", "AMR"),
];

/// The codec of a Matroska track.
pub(super) fn matroska(id: &str) -> String {
    let known = MATROSKA.iter().find(|(start, _)| id.starts_with(start));
    known.map_or_else(|| format!("`{}`", id.escape_debug()), |(_, name)| (*name).to_owned())
}

/// Codecs by the format tags of WAV.
pub(super) fn wav(tag: u16) -> Option<&'static str> {
    Some(match tag {
        0x0004 => "IBM CVSD",
        0x0022 => "TrueSpeech",
        0x0031 | 0x1500 => "GSM 6.10",
        0x0038 | 0x0069 => "Voxware",
        0x0040 | 0x0045 | 0x0064 => "G.726 ADPCM",
        0x0042 => "G.723.1",
        0x0057 | 0x0136 => "AMR",
        0x0083 => "G.729",
        0x00ff | 0x1600 | 0x1610 => "AAC",
        0x0160..=0x0163 => "WMA",
        0x0270 => "ATRAC3",
        0x2000 => "AC-3",
        0x2001 => "DTS",
        0x566f | 0x674f..=0x6771 => "Vorbis",
        0x5756 => "WavPack",
        0xa109 => "Speex",
        0xf1ac => "FLAC",
        _ => return None,
    })
}

/// Formats that are known but not read, by their first bytes.
const FOREIGN: [(&[u8], &str); 22] = [
    (b"RIFX", "big-endian WAV (RIFX)"),
    (b"#!AMR-WB", "AMR-WB"),
    (b"#!AMR", "AMR"),
    (b"DSD ", "DSD (DSF)"),
    (b"FRM8", "DSD (DSDIFF)"),
    (&[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11], "Windows Media (WMA, ASF)"),
    (&[0x7f, 0xfe, 0x80, 0x01], "DTS"),
    (&[0xfe, 0x7f, 0x01, 0x80], "DTS"),
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio"),
    (b"MPCK", "Musepack"),
    (b"MP+", "Musepack"),
    (b"TTA1", "TTA"),
    (b"OFR ", "OptimFROG"),
    (b".RMF", "RealMedia"),
    (b".ra\xfd", "RealAudio"),
    (b"FLV\x01", "Flash video"),
    (&[0, 0, 1, 0xba], "an MPEG programme stream"),
    (b".snd", "Sun audio (AU)"),
    (b"riff\x2e\x91\xcf\x11", "Sony Wave64 (W64)"),
    (b"MThd", "MIDI, which holds notes and no sound"),
    (b"Creative Voice File", "Creative Voice"),
];

/// The name of a format that is known but not read.
pub(super) fn foreign(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"AVI ") {
        return Some("AVI");
    }
    if head.starts_with(&[0x47]) && head.get(188) == Some(&0x47) && head.get(376) == Some(&0x47) {
        return Some("an MPEG transport stream");
    }
    FOREIGN.iter().find(|(start, _)| head.starts_with(start)).map(|(_, name)| *name)
}

/// The name of a format whose first bytes are so few that other formats are tried before.
pub(super) fn perhaps_foreign(head: &[u8]) -> Option<&'static str> {
    match head {
        [0x0b, 0x77, ..] | [0x77, 0x0b, ..] => Some("AC-3 or E-AC-3"),
        [0x56, second, ..] if second & 0xe0 == 0xe0 => Some("AAC in a LATM stream"),
        _ => None,
    }
}

/// The codec of a first Ogg page that is known but not read.
pub(super) fn foreign_ogg(head: &[u8]) -> Option<&'static str> {
    let segments = head.get(26).map_or(0, |&count| usize::from(count));
    let body = head.get(27 + segments..)?;
    let known: [(&[u8], &str); 4] = [
        (b"Speex   ", "Speex"),
        (b"CELT    ", "CELT"),
        (b"PCM     ", "PCM in Ogg"),
        (b"\x7fOGM", "OGM"),
    ];
    known.iter().find(|(start, _)| body.starts_with(start)).map(|(_, name)| *name)
}

/// Whether a container names a codec that is known and not decoded.
pub(super) fn is_foreign(codec: &str) -> bool {
    const DECODED: [&str; 9] =
        ["AAC", "ALAC", "FLAC", "Opus", "Vorbis", "MP1", "MP2", "MP3", "PCM"];
    !codec.is_empty() && !codec.starts_with('`') && !DECODED.contains(&codec)
}

/// The error for a codec or format that formant does not decode.
pub(super) fn refuse(path: &Path, codec: &str) -> Error {
    if codec == ENCRYPTED {
        return Error::unreadable(
            path,
            format!("it holds {codec}; save it without protection with the program that made it"),
        );
    }
    let file = match path.to_str() {
        Some("-") | None => "FILE".to_owned(),
        Some(text) => text.to_owned(),
    };
    Error::unreadable(
        path,
        format!(
            "it holds {codec}, which formant does not decode; convert it first: `ffmpeg -i {file} out.flac`"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_people_search_for() {
        assert_eq!(mp4(b"samr", None), "AMR");
        assert_eq!(mp4(b"mp4a", Some(0xa5)), "AC-3");
        assert_eq!(mp4(b"zz\0z", None), "`zz\\x00z`");
        assert_eq!(mp4(b"enca", Some(0x40)), ENCRYPTED);
        assert_eq!(matroska("A_EAC3"), "E-AC-3");
        assert_eq!(matroska("A_NEW"), "`A_NEW`");
        assert_eq!(foreign(b"#!AMR-WB\n"), Some("AMR-WB"));
        assert_eq!(foreign(b"RIFF\0\0\0\0AVI LIST"), Some("AVI"));
        assert_eq!(foreign(b"RIFF\0\0\0\0WAVE"), None);
    }
}
