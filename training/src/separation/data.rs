//! The recordings of a separation training: voices by speaker, noise, rooms, mixtures to validate
//! on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::compose::compose;
use super::recipe::{Goal, SeparationRecipe};
use super::rendered::{MixtureFiles, mixtures_of};
use crate::augment::Room;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::manifest::{self, Row, train_rows};
use crate::progress::Progress;
use crate::table::Table;

/// Of this many speakers one is kept for validation when no mixtures are given.
const HELD_OUT_EVERY: usize = 10;
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

/// One speaker's recordings.
#[derive(Debug, Clone)]
pub struct Speaker {
    /// Clips of the corpus.
    pub clips: Vec<usize>,
    /// Seconds of all of them.
    pub seconds: f64,
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
    /// Decoded recordings.
    pub corpus: Corpus,
    /// Speakers to learn from.
    pub speakers: Vec<Speaker>,
    /// Clips of noise.
    pub noise: Vec<usize>,
    /// Room responses.
    pub rooms: Vec<Room>,
    /// Mixtures to validate on.
    pub dev: Vec<DevMixture>,
    cumulative: Vec<f64>,
}

enum Use {
    Voice(String),
    Noise,
    Room,
    Dev,
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
        let mut files: Vec<(PathBuf, Use)> = Vec::new();
        for path in &sources.voices {
            let labelled_by_folder = path.is_dir();
            let rows = manifest::read(path)?.into_iter();
            for row in rows.filter(|row| row.split.is_empty() || row.split == "train") {
                let name = if labelled_by_folder { row.label } else { row.speaker };
                if name.is_empty() {
                    let text = format!("{}: no speaker for {}", path.display(), row.path.display());
                    return Err(Error::Data(format!("{text}; add a column `speaker`")));
                }
                files.push((row.path, Use::Voice(name)));
            }
        }
        for path in &sources.noise {
            files.extend(train_rows(path)?.map(|path| (path, Use::Noise)));
        }
        for path in &sources.rooms {
            files.extend(train_rows(path)?.map(|path| (path, Use::Room)));
        }
        let mut recipes: Vec<Recipe> = Vec::new();
        for path in &sources.dev {
            recipes.extend(read_dev(path)?);
        }
        recipes.truncate(recipe.dev_mixtures);
        for one in &recipes {
            let paths: Vec<&PathBuf> = match one {
                Recipe::Rendered { mixture, sources } => {
                    std::iter::once(mixture).chain(sources).collect()
                }
                Recipe::Pair { first, second, .. } => vec![first, second],
            };
            files.extend(paths.into_iter().map(|path| (path.clone(), Use::Dev)));
        }
        let paths: Vec<PathBuf> = files.iter().map(|(path, _)| path.clone()).collect();
        let corpus = Corpus::load(&paths, recipe.sample_rate, cache, progress)?;
        let mut data = Self {
            corpus,
            speakers: Vec::new(),
            noise: Vec::new(),
            rooms: Vec::new(),
            dev: Vec::new(),
            cumulative: Vec::new(),
        };
        let mut voices: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut dev: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for (index, (path, usage)) in files.into_iter().enumerate() {
            if data.corpus.clip(index).is_empty() {
                continue;
            }
            match usage {
                Use::Voice(name) => voices.entry(name).or_default().push(index),
                Use::Noise => data.noise.push(index),
                Use::Room => {
                    let response = data.corpus.clip_f32(index);
                    let longest = recipe.samples().max(data.dev_samples());
                    data.rooms.extend(Room::new(&response, longest));
                }
                Use::Dev => {
                    dev.insert(path, index);
                }
            }
        }
        let rate = f64::from(data.corpus.rate());
        data.speakers = voices
            .into_values()
            .map(|clips| {
                let samples: usize = clips.iter().map(|&clip| data.corpus.clip(clip).len()).sum();
                Speaker { clips, seconds: samples as f64 / rate }
            })
            .collect();
        data.dev = recipes.iter().filter_map(|one| data.render(one, &dev)).collect();
        if sources.dev.is_empty() {
            data.hold_out(recipe);
        }
        data.prepare(recipe);
        if data.speakers.len() < 2 || data.dev.is_empty() {
            let text = "too few speakers: two to learn from and, without mixtures to validate on, \
                        one more for every ten of them; hundreds to be useful";
            return Err(Error::Data(text.to_owned()));
        }
        Ok(data)
    }

    fn dev_samples(&self) -> usize {
        (DEV_SECONDS * f64::from(self.corpus.rate())) as usize
    }

    fn prepare(&mut self, recipe: &SeparationRecipe) {
        let power = f64::from(recipe.speaker_balance);
        let mut sum = 0.0;
        let cumulative = self.speakers.iter().map(|speaker| {
            sum += speaker.seconds.powf(power);
            sum
        });
        self.cumulative = cumulative.collect();
    }

    /// Draws a speaker in proportion to a power of the seconds of each.
    pub(super) fn draw_speaker(&self, rng: &mut impl Rng) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let draw = rng.random::<f64>() * total;
        let at = self.cumulative.partition_point(|&end| end <= draw);
        at.min(self.cumulative.len().saturating_sub(1))
    }

    fn render(&self, recipe: &Recipe, clips: &BTreeMap<PathBuf, usize>) -> Option<DevMixture> {
        let clip = |path: &PathBuf| clips.get(path).map(|&index| self.corpus.clip_f32(index));
        match recipe {
            Recipe::Rendered { mixture, sources } => {
                let mixture = clip(mixture)?;
                let mut sources = sources.iter().map(clip).collect::<Option<Vec<_>>>()?;
                sources.iter_mut().for_each(|source| source.resize(mixture.len(), 0.0));
                Some(DevMixture { mixture, sources })
            }
            Recipe::Pair { first, second, level } => {
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

    /// Takes some speakers out of the training and makes mixtures of them.
    fn hold_out(&mut self, recipe: &SeparationRecipe) {
        let (mut held, mut kept) = (Vec::new(), Vec::new());
        for (at, speaker) in std::mem::take(&mut self.speakers).into_iter().enumerate() {
            let chosen = at % HELD_OUT_EVERY == HELD_OUT_EVERY / 2;
            (if chosen { &mut held } else { &mut kept }).push(speaker);
        }
        let least = if recipe.goal == Goal::Separate { recipe.outputs() } else { 1 };
        if held.len() >= least {
            self.speakers = held;
            self.prepare(recipe);
            let length = self.dev_samples();
            let mixtures = (0..recipe.dev_mixtures).map(|number| {
                let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed ^ 0x5e9a_7a7e);
                rng.set_stream(number as u64);
                let example = compose(&mut rng, self, recipe, length);
                DevMixture { mixture: example.mixture, sources: example.sources }
            });
            self.dev = mixtures.collect();
        }
        self.speakers = kept;
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
                let level = row.cell(level).parse().unwrap_or(0.0);
                Ok(Recipe::Pair { first: base.join(first), second: base.join(second), level })
            })
            .collect();
    }
    let of_dev = |row: &Row| row.split.is_empty() || row.split == "dev";
    let mixtures = mixtures_of(manifest::read(path)?.into_iter().filter(of_dev));
    let rendered = |MixtureFiles { mixture, sources }| Recipe::Rendered { mixture, sources };
    Ok(mixtures.into_iter().map(rendered).collect())
}
