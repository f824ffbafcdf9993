//! The recordings of a separation training: voices by speaker, noise, rooms, mixtures to validate
//! on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::compose::compose;
use super::recipe::{Goal, SeparationRecipe};
use super::rendered::{MixtureFiles, mixtures_of};
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::manifest::{self, Row};
use crate::progress::Progress;
use crate::table::Table;
use crate::voices::{Decoding, Drawing, Tables, Voices};

/// Seconds of a mixture that is made for validation.
const DEV_SECONDS: f64 = 4.0;

/// Where the recordings come from; every path is a manifest or a folder.
#[derive(Debug, Clone, Default)]
pub struct SeparationSources {
    /// Voices: tables with the columns path and speaker, or folders that hold one folder a speaker.
    pub voices: Vec<PathBuf>,
    /// Noise.
    pub noise: Vec<PathBuf>,
    /// Room responses.
    pub rooms: Vec<PathBuf>,
    /// Mixtures to validate on: tables of rendered ones (columns path and label, of which `mix`,
    /// `s1`, `s2`, ... belong together by file name), or of pairs to mix (path1, path2,
    /// level_db_of_1_over_2). Without them some speakers are kept aside.
    pub dev: Vec<PathBuf>,
}

/// A mixture to validate on.
#[derive(Debug, Clone)]
pub struct DevMixture {
    /// The mixture.
    pub mixture: Vec<f32>,
    /// What it is made of, as long as the mixture.
    pub sources: Vec<Vec<f32>>,
}

/// All recordings, sorted by use.
#[derive(Debug)]
pub struct SeparationData {
    /// Speakers to learn from, noise and rooms.
    pub voices: Voices,
    /// Mixtures to validate on.
    pub dev: Vec<DevMixture>,
}

/// How a mixture to validate on is made of clips.
enum Recipe {
    Rendered { mixture: PathBuf, sources: Vec<PathBuf> },
    Pair { first: PathBuf, second: PathBuf, level: f32 },
}

impl SeparationData {
    /// Lists and decodes everything at the recipe's rate.
    ///
    /// # Errors
    /// What reading manifests says; [`Error::Data`] when there are too few speakers.
    pub fn load(
        sources: &SeparationSources,
        recipe: &SeparationRecipe,
        cache: Option<&Path>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut recipes: Vec<Recipe> = Vec::new();
        for path in &sources.dev {
            recipes.extend(read_dev(path)?);
        }
        recipes.truncate(recipe.dev_mixtures);
        let others: Vec<PathBuf> = recipes.iter().flat_map(Recipe::files).cloned().collect();
        let rate = recipe.sample_rate;
        let dev_samples = (DEV_SECONDS * f64::from(rate)) as usize;
        let longest = recipe.samples().max(dev_samples);
        let SeparationSources { voices, noise, rooms, .. } = sources;
        let tables = Tables { voices, noise, rooms, others: &others };
        let (voices, clips) = Voices::load(tables, &Decoding { rate, longest, cache, progress })?;
        let dev = recipes.iter().filter_map(|one| one.render(&voices.corpus, &clips)).collect();
        let mut data = Self { voices, dev };
        if sources.dev.is_empty() {
            data.hold_out(recipe, dev_samples);
        }
        if data.voices.speakers.len() < 2 || data.dev.is_empty() {
            let text = "too few speakers: two to learn from and, without mixtures to validate on, \
                        one more for every ten of them; hundreds to be useful";
            return Err(Error::Data(text.to_owned()));
        }
        Ok(data)
    }

    /// Takes some speakers out of the training and makes mixtures of them.
    fn hold_out(&mut self, recipe: &SeparationRecipe, length: usize) {
        let held = self.voices.hold_out(usize::MAX, |_| true);
        let least = if recipe.goal == Goal::Separate { recipe.outputs() } else { 1 };
        if held.len() < least {
            return;
        }
        let kept = std::mem::replace(&mut self.voices.speakers, held);
        let drawing = Drawing::new(&self.voices.speakers, recipe.speaker_balance);
        let mixtures = (0..recipe.dev_mixtures).map(|number| {
            let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed ^ 0x5e9a_7a7e);
            rng.set_stream(number as u64);
            let example = compose(&mut rng, &self.voices, &drawing, recipe, length);
            DevMixture { mixture: example.mixture, sources: example.sources }
        });
        self.dev = mixtures.collect();
        self.voices.speakers = kept;
    }
}

impl Recipe {
    fn files(&self) -> Vec<&PathBuf> {
        match self {
            Self::Rendered { mixture, sources } => {
                std::iter::once(mixture).chain(sources).collect()
            }
            Self::Pair { first, second, .. } => vec![first, second],
        }
    }

    fn render(&self, corpus: &Corpus, clips: &BTreeMap<PathBuf, usize>) -> Option<DevMixture> {
        let clip = |path: &PathBuf| clips.get(path).map(|&index| corpus.clip_f32(index));
        match self {
            Self::Rendered { mixture, sources } => {
                let mixture = clip(mixture)?;
                let mut sources = sources.iter().map(clip).collect::<Option<Vec<_>>>()?;
                sources.iter_mut().for_each(|source| source.resize(mixture.len(), 0.0));
                Some(DevMixture { mixture, sources })
            }
            Self::Pair { first, second, level } => {
                let (mut first, mut second) = (clip(first)?, clip(second)?);
                let length = first.len().min(second.len());
                first.truncate(length);
                second.truncate(length);
                let rms = |x: &[f32]| crate::augment::power(x).sqrt().max(1e-6);
                let gains = [0.05 / rms(&first), 0.05 / rms(&second) * 10f32.powf(-level / 20.0)];
                first.iter_mut().for_each(|x| *x *= gains[0]);
                second.iter_mut().for_each(|x| *x *= gains[1]);
                let mixture = first.iter().zip(&second).map(|(a, b)| a + b).collect();
                Some(DevMixture { mixture, sources: vec![first, second] })
            }
        }
    }
}

/// A table of rendered mixtures, or of pairs.
fn read_dev(path: &Path) -> Result<Vec<Recipe>> {
    let table = Table::read(path)?;
    let base = path.parent().unwrap_or(Path::new(""));
    let (header, rows) = table.rows().map_or((None, &[][..]), |(row, rows)| (Some(row), rows));
    let column = |name: &str| header.and_then(|header| header.find(&[name]));
    let pair = (column("path1"), column("path2"));
    if let (first @ Some(_), second @ Some(_)) = pair {
        let level = column("level_db_of_1_over_2");
        return rows
            .iter()
            .map(|row| {
                let (first, second) = (row.cell(first), row.cell(second));
                if first.is_empty() || second.is_empty() {
                    return Err(table.bad(row.line, "two paths are needed"));
                }
                let level = table.number(row, level)?.unwrap_or(0.0) as f32;
                Ok(Recipe::Pair { first: base.join(first), second: base.join(second), level })
            })
            .collect();
    }
    let of_dev = |row: &Row| row.split.is_empty() || row.split == "dev";
    let mixtures = mixtures_of(manifest::read_whole(path)?.into_iter().filter(of_dev));
    let rendered = |MixtureFiles { mixture, sources }| Recipe::Rendered { mixture, sources };
    Ok(mixtures.into_iter().map(rendered).collect())
}
