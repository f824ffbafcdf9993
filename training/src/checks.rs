//! What recipes ask of their numbers. Random draws with others would panic, or never end.

use crate::error::{Error, Result};

/// Names of settings with a value each.
type Settings<'a, T> = &'a [(&'static str, T)];

/// An [`Error::Config`] for a setting.
pub(crate) fn bad(setting: &'static str, reason: impl Into<String>) -> Error {
    Error::Config { setting, reason: reason.into() }
}

/// Refuses a count of nothing.
pub(crate) fn counts(settings: Settings<'_, usize>) -> Result<()> {
    match settings.iter().find(|(_, count)| *count == 0) {
        Some(&(setting, _)) => Err(bad(setting, "must be at least 1")),
        None => Ok(()),
    }
}

/// Refuses shares that are not between 0 and 1.
pub(crate) fn shares(settings: Settings<'_, f32>) -> Result<()> {
    match settings.iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
        Some(&(setting, _)) => Err(bad(setting, "use a share between 0 and 1")),
        None => Ok(()),
    }
}

/// Refuses levels in dB that are not finite and in order.
pub(crate) fn levels(settings: Settings<'_, [f32; 2]>) -> Result<()> {
    let sound = |[least, most]: [f32; 2]| least.is_finite() && most.is_finite() && least <= most;
    match settings.iter().find(|(_, levels)| !sound(*levels)) {
        Some(&(setting, _)) => Err(bad(setting, "use two levels, the smaller first")),
        None => Ok(()),
    }
}

/// Refuses factors that are not in order between these.
pub(crate) fn factors([low, high]: [f32; 2], settings: Settings<'_, [f32; 2]>) -> Result<()> {
    let sound =
        |[least, most]: [f32; 2]| (low..=high).contains(&least) && (least..=high).contains(&most);
    match settings.iter().find(|(_, factors)| !sound(*factors)) {
        Some(&(setting, _)) => {
            let reason = format!("use two factors between {low} and {high}, the smaller first");
            Err(bad(setting, reason))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::asr::AsrRecipe;
    use crate::separation::SeparationRecipe;
    use crate::speaker::SpeakerRecipe;
    use crate::spot::SpotRecipe;
    use crate::stems::StemsRecipe;
    use crate::superres::SuperresRecipe;

    /// The setting that a recipe of this JSON is refused for.
    fn refused<R: serde::de::DeserializeOwned>(
        recipe: Value,
        validate: impl Fn(&R) -> Result<()>,
    ) -> String {
        let recipe: R = serde_json::from_value(recipe).expect("a recipe");
        match validate(&recipe) {
            Err(Error::Config { setting, .. }) => setting.to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_that_would_break_a_random_draw_are_refused() {
        for (part, name, value) in [
            ("augmentation", "noise_share", json!(2.0)),
            ("augmentation", "band_share", json!(-0.5)),
            ("augmentation", "snr", json!([30.0, 5.0])),
        ] {
            let recipe = json!({ part: { name: value } });
            assert_eq!(refused(recipe.clone(), AsrRecipe::validate), name);
            assert_eq!(refused(recipe.clone(), SpeakerRecipe::validate), name);
            assert_eq!(refused(recipe, SpotRecipe::validate), name);
        }
        assert_eq!(refused(json!({"noise_share": 2.0}), SeparationRecipe::validate), "noise_share");
        let recipe = json!({"mixing": {"duet_share": 1.5}});
        assert_eq!(refused(recipe, StemsRecipe::validate), "duet_share");
        let recipe = json!({"augmentation": {"speed": [1.2, 0.9]}});
        assert_eq!(refused(recipe.clone(), AsrRecipe::validate), "speed");
        assert_eq!(refused(recipe, SpotRecipe::validate), "speed");
        for count in ["epochs", "steps_per_epoch"] {
            let recipe = json!({ count: 0 });
            assert_eq!(refused(recipe.clone(), AsrRecipe::validate), count);
            assert_eq!(refused(recipe.clone(), SeparationRecipe::validate), count);
            assert_eq!(refused(recipe.clone(), SpeakerRecipe::validate), count);
            assert_eq!(refused(recipe.clone(), SpotRecipe::validate), count);
            assert_eq!(refused(recipe.clone(), StemsRecipe::validate), count);
            assert_eq!(refused(recipe, SuperresRecipe::validate), count);
        }
        AsrRecipe::default().validate().expect("sound");
        SpotRecipe::default().validate().expect("sound");
    }
}
