//! Collecting a whole file: blocks joined to one planar buffer, each sample written once where the
//! header tells the length.

use crate::buffer::AudioBuf;

/// The most samples that are set aside on a header's word, 256 MiB of them; the system hands out the
/// memory only as it is written to.
const MAX_PROMISED: usize = 1 << 26;

/// Samples so far, `[channels, room]`, of which `frames` are used in each channel.
pub(super) struct Planes {
    data: Vec<f32>,
    channels: usize,
    room: usize,
    frames: usize,
}

impl Planes {
    /// Nothing yet, with room for what the header declares.
    pub(super) fn new(channels: usize, declared: Option<u64>) -> Self {
        let room = declared
            .and_then(|frames| usize::try_from(frames).ok())
            .filter(|frames| frames.checked_mul(channels).is_some_and(|all| all <= MAX_PROMISED))
            .unwrap_or(0);
        Self { data: vec![0.0; room * channels], channels, room, frames: 0 }
    }

    /// Put a block behind the others.
    pub(super) fn push(&mut self, block: &AudioBuf) {
        let end = self.frames + block.frames();
        if end > self.room {
            self.lay_out(end.max(2 * self.room));
        }
        for channel in 0..self.channels {
            let start = channel * self.room + self.frames;
            self.data[start..start + block.frames()].copy_from_slice(block.channel(channel));
        }
        self.frames = end;
    }

    /// The samples, `[channels, frames]`.
    pub(super) fn into_planar(mut self) -> Vec<f32> {
        if self.room != self.frames {
            self.lay_out(self.frames);
        }
        self.data
    }

    /// Move the channels so that each has `room` frames.
    fn lay_out(&mut self, room: usize) {
        if room > self.room {
            self.data.resize(room * self.channels, 0.0);
        }
        // Away from where the move goes: the last channel first when they spread.
        let mut order: Vec<usize> = (1..self.channels).collect();
        if room > self.room {
            order.reverse();
        }
        for channel in order {
            let start = channel * self.room;
            self.data.copy_within(start..start + self.frames, channel * room);
        }
        self.data.truncate(room * self.channels);
        self.room = room;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::AudioSpec;
    use crate::layout::ChannelLayout;

    #[test]
    fn any_promise_gives_the_same_samples() {
        let spec = AudioSpec { rate: 8000, layout: ChannelLayout::Discrete(3) };
        let whole: Vec<f32> = (0..3 * 50).map(|sample| sample as f32).collect(); // [3, 50]
        let whole = AudioBuf::from_planar(spec, whole).expect("three channels");
        for declared in [None, Some(0), Some(1), Some(49), Some(50), Some(51), Some(u64::MAX)] {
            let mut planes = Planes::new(3, declared);
            for (start, end) in [(0, 1), (1, 20), (20, 21), (21, 50)] {
                planes.push(&whole.view().slice(start..end).to_owned());
            }
            assert_eq!(planes.into_planar(), whole.as_planar(), "declared {declared:?}");
        }
        assert_eq!(Planes::new(2, Some(9)).into_planar(), [] as [f32; 0]);
    }
}
