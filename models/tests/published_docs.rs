//! The table of published checkpoints in `docs/models.md` is that of the program.

use formant_models::registry::{Place, Published, published_models};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/models.md");
const BEGIN: &str = "<!-- published checkpoints: begin -->\n";
const END: &str = "<!-- published checkpoints: end -->";
/// Set to 1, the test writes the table in place of comparing it.
const WRITE: &str = "FORMANT_WRITE_DOCS";

fn line(model: &Published) -> String {
    let Published { name, task, architecture, licence, rate, citation, summary, quality, .. } =
        model;
    let place = match model.place {
        Place::HuggingFace { id, revision } => {
            let commit = revision.map(|commit| format!(" at `{}`", &commit[..8]));
            format!("[{id}]({}){}", model.page(), commit.unwrap_or_default())
        }
        Place::Url { page, files } => {
            let addresses: Vec<String> =
                files.iter().map(|file| format!("[{}]({})", file.file, file.url)).collect();
            format!("{}, described [here]({page})", addresses.join(", "))
        }
        Place::Page { url, item } => format!("by hand from [this page]({url}): {item}"),
    };
    let files: Vec<String> = model.wanted().iter().map(|want| format!("`{want}`")).collect();
    let network = model.parameters.map(|count| format!("{:.1} M", count as f64 / 1e6));
    let size = model.bytes.map(|bytes| format!("{} MB", (bytes as f64 / 1e6).round()));
    format!(
        "| `{name}` | {task} | {architecture} | {summary} | {place} | {} | {} kHz | {} | {} | {quality} | {licence} | {citation} |\n",
        files.join(", "),
        f64::from(*rate) / 1000.0,
        size.unwrap_or_default(),
        network.unwrap_or_default(),
    )
}

#[test]
fn the_table_in_the_docs_is_current() {
    let mut table = String::from(
        "| name | task | architecture | what it does | where | files | rate | size | parameters | quality, as stated by its authors | licence | paper |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    table.extend(published_models().map(line));
    let text = std::fs::read_to_string(DOCS).expect("the docs");
    let (before, rest) = text.split_once(BEGIN).expect("a beginning");
    let (found, after) = rest.split_once(END).expect("an end");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(DOCS, format!("{before}{BEGIN}{table}{END}{after}")).expect("written");
    } else {
        assert!(found == table, "docs/models.md is out of date: run this test with {WRITE}=1");
    }
}
