//! The speech of a recording as files, one a segment. The recording is read once more for them.

use std::path::Path;

use formant_audio_core::encode::{Container, WriteOptions};

use super::VadPlan;
use crate::failure::Failure;
use crate::inputs::Input;
use crate::interrupt;
use crate::outputs::{Target, names_file};
use crate::reading::Sources;
use crate::writing::create;

/// Refuses places that hold no files of segments, and standard input, which is read once only.
pub(super) fn check(output: Option<&Path>, sources: &Sources) -> Result<(), Failure> {
    if output.is_some_and(|path| path.as_os_str() == "-" || ends_as_file(path)) {
        return Err(Failure::usage("--format wav", "makes a file a segment")
            .help("name a folder with -o, such as speech/"));
    }
    if sources.list.entries.iter().flatten().any(|input| input.path.is_none()) {
        return Err(Failure::usage(
            "-",
            "standard input can't be read twice, as --format wav does",
        )
        .help("write it to a file first"));
    }
    Ok(())
}

fn ends_as_file(path: &Path) -> bool {
    names_file(path, true) && path.extension().is_some()
}

/// Writes `NAME_001.wav` and so on; their names, or `None` where all of them are there already.
pub(super) fn write(
    plan: &VadPlan,
    input: &Input,
    target: &Target,
    segments: &[[f64; 2]],
) -> Result<Option<Vec<String>>, Failure> {
    let targets: Vec<Target> =
        (1..=segments.len()).map(|n| target.with_suffix(&format!("_{n:03}"))).collect();
    if !targets.is_empty() && !plan.existing.admits_any(&targets)? {
        return Ok(None);
    }
    let mut reader = plan.sources.open(input)?;
    let spec = reader.spec();
    let frame = |seconds: f64| (seconds * f64::from(spec.rate)).round() as u64;
    let options = WriteOptions { container: Some(Container::Wav), ..WriteOptions::default() };
    let mut wanted = segments.iter().map(|span| span.map(frame)).zip(&targets).peekable();
    let mut writer = None;
    let mut at = 0u64;
    while let Some(block) = reader.next_block()? {
        interrupt::check()?;
        let end = at + block.frames() as u64;
        // Several segments may lie in one block, and one in several blocks.
        while let Some(([from, to], target)) = wanted.peek() {
            if *from >= end {
                break;
            }
            let open = match &mut writer {
                Some(open) => open,
                none => none.insert(create(target, spec, &options)?),
            };
            let range = (*from).max(at) - at..(*to).min(end) - at;
            let piece = block.view().slice(range.start as usize..range.end as usize).to_owned();
            open.write(&piece.view()).map_err(Failure::of_writing)?;
            if *to > end {
                break;
            }
            if let Some(done) = writer.take() {
                done.finish().map_err(Failure::of_writing)?;
            }
            wanted.next();
        }
        at = end;
    }
    if let Some(open) = writer {
        open.finish().map_err(Failure::of_writing)?;
    }
    Ok(Some(targets.iter().map(Target::name).collect()))
}
