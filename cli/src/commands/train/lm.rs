//! `formant train lm`: estimates an n-gram language model, and its perplexity on held-out texts.

use std::path::{Path, PathBuf};

use clap::Args;
use formant_models::decoding::NgramModel;
use formant_training::lm::{Perplexity, Texts, WittenBell, perplexity, read_texts};
use serde_json::json;

use super::{admit, names};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::messages::Messages;
use crate::outputs::Target;
use crate::settings::Settings;
use crate::{draft, json as lines, stdout};

/// What `formant train lm` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant train lm --text sentences.txt --out words.arpa")]
pub(super) struct TrainLmArgs {
    /// Sentences: a text file with one a line, or a table (.tsv, .csv) with the columns text and
    /// split, or a folder with transcripts.tsv; may be repeated. Rows of the split dev measure.
    #[arg(long, value_name = "FILE|FOLDER", required = true)]
    text: Vec<PathBuf>,
    /// Use rows with this value in the column source only.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Order of the model: the number of words in the longest n-grams.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    order: u16,
    /// The ARPA file to write, for `formant transcribe --lm`.
    #[arg(long, short = 'o', visible_alias = "output", value_name = "FILE")]
    out: PathBuf,
    /// Replace an existing file.
    #[arg(long)]
    overwrite: bool,
}

/// A language model to be estimated.
#[derive(Debug)]
pub(super) struct TrainLmPlan {
    texts: Vec<PathBuf>,
    source: Option<String>,
    order: usize,
    output: PathBuf,
}

pub(super) fn resolve(typed: TrainLmArgs) -> Result<TrainLmPlan, Failure> {
    admit(&typed.out, typed.overwrite)?;
    Ok(TrainLmPlan {
        texts: typed.text,
        source: typed.source,
        order: typed.order.into(),
        output: typed.out,
    })
}

pub(super) fn run(
    plan: TrainLmPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    let mut texts = Texts::default();
    for path in &plan.texts {
        read_texts(path, plan.source.as_deref(), &mut texts)?;
    }
    if texts.left_out > 0 {
        messages.note(&format!(
            "{} sentences were left out, since they hold digits or signs; write out what is said",
            texts.left_out
        ));
    }
    let model = WittenBell::train(texts.train.iter().map(String::as_str), plan.order)?;
    let arpa = model.to_arpa(&remarks(&plan, &texts));
    let target = Target::File(plan.output.clone());
    draft::write(&target, arpa.as_bytes())?;
    let read = NgramModel::parse(arpa.as_bytes(), &plan.output)
        .map_err(|error| Failure::internal("the model just written", error))?;
    let dev = perplexity(&read, texts.dev.iter().map(String::as_str));
    let text = match settings.json {
        true => lines::line(
            "trained",
            &json!({
                "output": plan.output.display().to_string(),
                "sentences": texts.train.len(),
                "vocabulary": model.vocabulary().len(),
                "ngrams": model.ngram_counts(),
                "bytes": arpa.len(),
                "dev": dev,
            }),
        ),
        false => summary(&plan.output, &texts, &model, dev),
    };
    stdout::print(&text)?;
    Ok(Outcome::done())
}

/// What stands at the head of the file.
fn remarks(plan: &TrainLmPlan, texts: &Texts) -> Vec<String> {
    let source = plan.source.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    vec![
        format!("formant {}, interpolated Witten-Bell smoothing", env!("CARGO_PKG_VERSION")),
        format!("{} sentences of {}{source}", texts.train.len(), names(&plan.texts).join(", ")),
    ]
}

fn summary(output: &Path, texts: &Texts, model: &WittenBell, dev: Option<Perplexity>) -> String {
    let counts: Vec<String> = model.ngram_counts().iter().map(ToString::to_string).collect();
    let dev = dev.map_or_else(String::new, |dev| {
        format!(
            "perplexity {:.2} on {} sentences of the split dev, {} of {} words unknown\n",
            dev.perplexity, dev.sentences, dev.unknown, dev.words
        )
    });
    format!(
        "{dev}{}: {} sentences, {} words, n-grams {}\n",
        output.display(),
        texts.train.len(),
        model.vocabulary().len(),
        counts.join(" + ")
    )
}
