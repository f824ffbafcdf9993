//! Which networks made a sound.

use formant_models::ModelSource;
use formant_models::registry::{self, Digest, Located};
use formant_models::tasks::generate::PartSources;
use serde_json::{Map, Value, json};

/// Names and checksums of the networks.
#[derive(Debug, Clone)]
pub(super) struct Origin(Map<String, Value>);

impl Origin {
    /// Of networks that were loaded.
    pub(super) fn of(sources: &PartSources) -> formant_models::Result<Self> {
        let tokenizer = sources.tokenizer()?;
        let parts = [
            ("model", Some(&sources.transformer)),
            ("tokenizer", Some(&tokenizer)),
            ("vocoder", sources.vocoder.as_ref()),
            ("text_encoder", sources.text.as_ref()),
        ];
        let parts = parts.into_iter().filter_map(|(part, source)| Some((part, source?)));
        let entry = |(part, source): (&str, &ModelSource)| Ok((part.to_owned(), network(source)?));
        Ok(Self(parts.map(entry).collect::<formant_models::Result<_>>()?))
    }

    /// A network an entry.
    pub(super) fn networks(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// Its name, and the SHA-256 of its file where it is one file.
fn network(source: &ModelSource) -> formant_models::Result<Value> {
    let (name, digest) = match registry::locate(source)? {
        Located::Bundled(model) => (model.name.to_owned(), Some(Digest::of_bytes(model.bytes()?))),
        Located::Path(path) => {
            // A folder has several.
            let digest = path.is_file().then(|| Digest::of_file(&path));
            let digest = digest
                .transpose()
                .map_err(|source| formant_models::Error::Io { path: path.clone(), source })?;
            let file = path.file_name().unwrap_or(path.as_os_str());
            (file.to_string_lossy().into_owned(), digest)
        }
    };
    Ok(json!({ "name": name, "sha256": digest.map(|digest| digest.hex()) }))
}
