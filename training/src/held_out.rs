//! Speakers that are kept for validation.

use std::collections::BTreeMap;

use crate::manifest::Row;

/// Who speaks in a recording; where that is unknown each recording has its own speaker.
pub(crate) fn speaker(row: &Row) -> String {
    match row.speaker.as_str() {
        "" => row.path.display().to_string(),
        speaker => speaker.to_owned(),
    }
}

/// Marks one in `every` speakers as `dev`, unless there are such rows. Rows that are not speech stay
/// as they are.
pub(crate) fn hold_out(rows: &mut [(bool, Row)], every: usize) {
    if rows.iter().any(|(_, row)| row.split == "dev") {
        return;
    }
    let mut speakers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, (is_speech, row)) in rows.iter().enumerate() {
        if *is_speech {
            speakers.entry(speaker(row)).or_default().push(index);
        }
    }
    for indices in speakers.into_values().skip(every / 2).step_by(every) {
        for index in indices {
            "dev".clone_into(&mut rows[index].1.split);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speakers_are_held_out_with_all_their_recordings() {
        let row = |n: usize| {
            let speaker = ["a", "b", "c", "d", "e"][n / 2].to_owned();
            (true, Row { path: format!("{n}.wav").into(), speaker, ..Row::default() })
        };
        let mut rows: Vec<(bool, Row)> = (0..10).map(row).collect();
        rows.push((false, Row::default()));
        hold_out(&mut rows, 3);
        let held: Vec<&str> = rows
            .iter()
            .filter(|(_, row)| row.split == "dev")
            .map(|(_, row)| row.speaker.as_str())
            .collect();
        assert_eq!(held, ["b", "b", "e", "e"]);
        let before = rows.clone();
        hold_out(&mut rows, 2);
        assert_eq!(rows, before);
    }
}
