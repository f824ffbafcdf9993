//! How good a separator is on songs whose stems are known.

use std::collections::BTreeMap;
use std::path::PathBuf;

use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::metrics::separation::sdr;
use formant_audio_core::{AudioBuf, AudioView};
use formant_models::tasks::Task;
use formant_models::tasks::stems::{StemSeparator, StemsOptions};
use serde::Serialize;

use super::data::{Role, role, song_name};
use crate::error::{Error, Result};
use crate::manifest::Row;

/// A song by its stems' files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SongFiles {
    /// Name.
    pub name: String,
    /// The voice.
    pub vocals: PathBuf,
    /// What accompanies it.
    pub accompaniment: PathBuf,
}

/// Figures of one song, in dB.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SongScore {
    /// Name.
    pub song: String,
    /// Length.
    pub seconds: f64,
    /// Signal-to-distortion ratio of each stem.
    pub sdr: BTreeMap<String, f64>,
    /// The same of the mix taken for the stem.
    pub sdr_of_mix: BTreeMap<String, f64>,
}

/// The songs that a table has both stems of, by name.
#[must_use]
pub fn songs_of(rows: &[Row]) -> Vec<SongFiles> {
    let mut parts: BTreeMap<String, [Option<PathBuf>; 2]> = BTreeMap::new();
    for row in rows {
        let place = match role(&row.label) {
            Some(Role::Vocals) => 0,
            Some(Role::Accompaniment) => 1,
            _ => continue,
        };
        if let Some(song) = song_name(row) {
            parts.entry(song).or_default()[place] = Some(row.path.clone());
        }
    }
    let pair = |(name, pair): (String, [Option<PathBuf>; 2])| match pair {
        [Some(vocals), Some(accompaniment)] => Some(SongFiles { name, vocals, accompaniment }),
        _ => None,
    };
    parts.into_iter().filter_map(pair).collect()
}

/// Mixes a song, separates it, and compares.
///
/// # Errors
/// [`Error::Data`] when its stems do not fit together; what decoding and separating say.
pub fn score_song(
    separator: &StemSeparator,
    song: &SongFiles,
    options: &StemsOptions,
) -> Result<SongScore> {
    let decode = |path: &PathBuf| decode_file(path, &DecodeOptions::default());
    let (vocals, rest) = (decode(&song.vocals)?.audio, decode(&song.accompaniment)?.audio);
    let channels = vocals.channels().max(rest.channels());
    let spec = if vocals.channels() == channels { vocals.spec() } else { rest.spec() };
    let frames = vocals.frames().min(rest.frames());
    if vocals.rate() != rest.rate() {
        let text = format!("{}: its stems have different sample rates", song.name);
        return Err(Error::Data(text));
    }
    let widen = |audio: &AudioBuf| {
        let mut wide = AudioBuf::silence(spec, frames);
        for channel in 0..channels {
            let from = audio.channel(channel.min(audio.channels() - 1));
            wide.channel_mut(channel).copy_from_slice(&from[..frames]);
        }
        wide
    };
    let (vocals, rest) = (widen(&vocals), widen(&rest));
    let mut mix = vocals.clone();
    mix.as_planar_mut().iter_mut().zip(rest.as_planar()).for_each(|(sum, x)| *sum += x);
    let (stems, _) = separator.process(&mix.view(), options)?;
    let (mut own, mut of_mix) = (BTreeMap::new(), BTreeMap::new());
    for (name, stem) in &stems {
        let wanted: AudioView<'_> = match name.as_str() {
            "vocals" => vocals.view(),
            "instrumental" | "accompaniment" | "other" => rest.view(),
            _ => continue,
        };
        own.insert(name.clone(), sdr(&wanted, &stem.view())?);
        of_mix.insert(name.clone(), sdr(&wanted, &mix.view())?);
    }
    Ok(SongScore { song: song.name.clone(), seconds: mix.duration(), sdr: own, sdr_of_mix: of_mix })
}

/// Energy of the signal over that of the difference, in dB.
pub(super) fn ratio_db(wanted: &[f32], found: &[f32]) -> f64 {
    let energy = |x: f32| f64::from(x) * f64::from(x);
    let signal: f64 = wanted.iter().map(|&x| energy(x)).sum();
    let noise: f64 = wanted.iter().zip(found).map(|(&a, &b)| energy(a - b)).sum();
    10.0 * ((signal + 1e-10) / (noise + 1e-10)).log10()
}
