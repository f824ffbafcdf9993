//! Samples or a file from standard input or another stream of bytes, as they come.
//!
//! A thread reads, so that a stream that says nothing does not hold up the session. The stream
//! itself waits when nobody reads, so that nothing is lost.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use formant_audio_core::decode::{BlockReader, DecodeOptions, RawFormat};
use formant_audio_core::{AudioBuf, AudioSpec, ChannelLayout};

use super::{Pace, Reading, Source, StreamInfo};
use crate::error::{Error, Result};

/// Blocks that wait to be taken.
const WAITING: usize = 16;
/// Bytes that are read at once at most; less when less is there.
const READ: usize = 1 << 14;

type Sent = Result<(AudioBuf, Instant)>;

/// A stream of bytes as a source.
pub struct StreamSource {
    name: String,
    spec: AudioSpec,
    blocks: Receiver<Sent>,
}

impl StreamSource {
    /// Takes samples without a header, with no more delay than the stream has.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub fn raw(
        stream: Box<dyn Read + Send>,
        name: impl Into<String>,
        format: RawFormat,
    ) -> Result<Self> {
        let layout = ChannelLayout::from_count(format.channels);
        let spec = AudioSpec { rate: format.rate, layout };
        let name = name.into();
        let given = name.clone();
        Self::start(name, spec, move |sender| read_raw(stream, &given, format, spec, &sender))
    }

    /// Takes a file of any format that can be read without going back. Blocks are as long as the
    /// decoder makes them.
    ///
    /// # Errors
    /// When the format is not known, or the thread can't be started.
    pub fn decoded(
        stream: Box<dyn Read + Send + Sync>,
        name: impl Into<String>,
        options: &DecodeOptions,
    ) -> Result<Self> {
        let name = name.into();
        let mut reader = BlockReader::from_stream(stream, &name, options)?;
        let spec = reader.spec();
        Self::start(name, spec, move |sender| {
            loop {
                let sent = match reader.next_block() {
                    Ok(None) => return,
                    Ok(Some(block)) => Ok((block, Instant::now())),
                    Err(error) => Err(error.into()),
                };
                let over = sent.is_err();
                if sender.send(sent).is_err() || over {
                    return;
                }
            }
        })
    }

    fn start(
        name: String,
        spec: AudioSpec,
        work: impl FnOnce(SyncSender<Sent>) + Send + 'static,
    ) -> Result<Self> {
        let (sender, blocks) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("formant-stream".to_owned())
            .spawn(move || work(sender))
            .map_err(|error| Error::device(name.as_str(), error.to_string()))?;
        Ok(Self { name, spec, blocks })
    }
}

fn read_raw(
    mut stream: Box<dyn Read + Send>,
    name: &str,
    format: RawFormat,
    spec: AudioSpec,
    sender: &SyncSender<Sent>,
) {
    let frame = format.format.bytes() * usize::from(format.channels);
    let mut bytes = vec![0; READ.next_multiple_of(frame)];
    let mut held = 0;
    loop {
        let read = match stream.read(&mut bytes[held..]) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let _ = sender.send(Err(formant_audio_core::Error::io(name, error).into()));
                return;
            }
        };
        let now = Instant::now();
        held += read;
        let whole = held - held % frame;
        if whole == 0 {
            continue;
        }
        let mut samples = Vec::with_capacity(whole / format.format.bytes());
        format.format.convert(&bytes[..whole], &mut samples);
        bytes.copy_within(whole..held, 0);
        held -= whole;
        let block = AudioBuf::from_interleaved(spec, &samples).map_err(Error::from);
        if sender.send(block.map(|block| (block, now))).is_err() {
            return;
        }
    }
}

impl Source for StreamSource {
    fn info(&self) -> StreamInfo {
        StreamInfo { name: self.name.clone(), spec: self.spec, pace: Pace::Elastic }
    }

    fn read(&mut self, patience: Duration) -> Result<Reading> {
        match self.blocks.recv_timeout(patience) {
            Ok(Ok((block, captured))) => Ok(Reading::Audio { block, captured }),
            Ok(Err(error)) => Err(error),
            Err(RecvTimeoutError::Timeout) => Ok(Reading::Waiting),
            Err(RecvTimeoutError::Disconnected) => Ok(Reading::End),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one to seven bytes at a time.
    struct Dribble(Vec<u8>, usize);

    impl Read for Dribble {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.1 = self.1 % 7 + 1;
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }

    #[test]
    fn samples_come_whole_however_bytes_come() {
        let bytes: Vec<u8> =
            (0..1000i16).flat_map(|n| [n.to_le_bytes(), (-n).to_le_bytes()].concat()).collect();
        let format: RawFormat = "16000,s16le,2".parse().expect("valid");
        let stream = Box::new(Dribble(bytes, 0));
        let mut source = StreamSource::raw(stream, "-", format).expect("a thread");
        let mut left = Vec::new();
        loop {
            match source.read(Duration::from_secs(5)).expect("readable") {
                Reading::Audio { block, .. } => left.extend_from_slice(block.channel(0)),
                Reading::End => break,
                other => panic!("{other:?}"),
            }
        }
        let expected: Vec<f32> = (0..1000).map(|n| n as f32 / 32768.0).collect();
        assert_eq!(left, expected);
    }
}
