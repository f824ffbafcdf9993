//! What all targets share: decode and look at every block.

use std::io::Cursor;

use formant_audio_core::decode::{BlockReader, DecodeOptions, MAX_BLOCK_FRAMES};

/// The most frames that are decoded from one input; tiny inputs may stand for hours of silence.
const MAX_FRAMES: usize = 20_000_000;

/// Decode `bytes` and check what must hold for every block.
pub fn decode(bytes: Vec<u8>, options: &DecodeOptions) {
    let Ok(mut reader) = BlockReader::from_stream(Box::new(Cursor::new(bytes)), "-", options)
    else {
        return;
    };
    let spec = reader.spec();
    let mut frames = 0;
    while let Ok(Some(block)) = reader.next_block() {
        assert_eq!(block.spec(), spec);
        assert!((1..=MAX_BLOCK_FRAMES).contains(&block.frames()));
        assert!(block.as_planar().iter().all(|sample| sample.is_finite()));
        frames += block.frames();
        if frames * spec.channels() > MAX_FRAMES {
            return;
        }
    }
    assert_eq!(reader.info().found_frames, frames as u64);
}
