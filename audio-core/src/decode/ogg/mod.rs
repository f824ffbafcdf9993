//! Ogg with Opus (RFC 7845) or Vorbis: start and end by granule position, gaps, chained streams.

mod codec;
mod pages;

use std::collections::VecDeque;
use std::io::{Seek, SeekFrom};
use std::path::PathBuf;

use super::backend::{Backend, Damage, Gaps, checked_spec, relayout};
use super::info::SourceInfo;
use super::names;
use super::options::DecodeOptions;
use super::outline::{Outline, TrackOutline};
use super::source::Source;
use super::symphonia_backend::{self, tell_tracks};
use crate::buffer::{AudioBuf, AudioSpec};
use crate::error::{Error, Result};
use crate::warning::Warning;
use codec::Codec;
use pages::{Page, PageReader};

/// The longest gap, in seconds, that is filled with silence.
const MAX_GAP: u64 = 600;
/// Bytes at the start in which the streams begin.
const HEAD_BYTES: usize = 1 << 16;
/// Bytes at the end of a file in which the last page is looked for.
const TAIL_BYTES: u64 = 1 << 16;
/// Further streams are not told beyond this number of warnings.
const MAX_WARNINGS: usize = 16;
/// The codec that symphonia unpacks.
const FLAC: &str = "FLAC";
/// A packet may run over many pages, but not beyond this size.
const MAX_PACKET_BYTES: usize = 1 << 20;

/// One logical stream of a chain.
struct Link {
    serial: u32,
    codec: Codec,
    partial: Vec<u8>, // a packet that goes on on the next page
    skip_left: u64,   // frames at the start still to drop
    origin: Option<i64>,
    position: i64, // granule position after everything that was decoded
    next_sequence: u32,
    lost: bool,
    ended: bool,
}

impl Link {
    fn new(page: &Page) -> std::result::Result<Self, String> {
        let (codec, skip_left) = Codec::new(&page.body)?;
        Ok(Self {
            serial: page.serial,
            codec,
            partial: Vec::new(),
            skip_left,
            origin: None,
            position: 0,
            next_sequence: page.sequence.wrapping_add(1),
            lost: false,
            ended: page.last,
        })
    }

    /// The packets that end on this page.
    fn complete_packets(&mut self, page: &Page) -> Vec<Vec<u8>> {
        if page.sequence != self.next_sequence {
            self.lost = true;
            self.partial.clear();
            self.codec.restart();
        }
        self.next_sequence = page.sequence.wrapping_add(1);
        let mut packets = Vec::new();
        for (index, (piece, complete)) in page.pieces().into_iter().enumerate() {
            if index == 0 {
                if page.continued && self.partial.is_empty() {
                    continue; // its start was lost
                }
                if !page.continued {
                    self.partial.clear();
                }
            }
            if self.partial.len() + piece.len() <= MAX_PACKET_BYTES {
                self.partial.extend_from_slice(piece);
            }
            if complete {
                packets.push(std::mem::take(&mut self.partial));
            }
        }
        packets
    }

    /// Move behind a page of `frames` decoded frames by its granule position.
    fn advance(&mut self, page: &Page, frames: i64) -> Placing {
        let mut placing = Placing::default();
        let granule = Some(page.granule).filter(|&granule| granule >= 0);
        if self.origin.is_none() {
            // A stream cut out of a longer one starts above zero; one shorter than a page ends early.
            let origin = granule.map_or(0, |granule| (granule - frames).max(0));
            self.origin = Some(origin);
            self.position = origin;
            self.lost = false;
            // Vorbis that is cut at its start says so by a position that is too small.
            if let (Codec::Vorbis(_), Some(granule)) = (&self.codec, granule)
                && !page.last
            {
                self.skip_left += u64::try_from(frames - granule).unwrap_or(0);
            }
        }
        let end = self.position.saturating_add(frames);
        if let Some(granule) = granule {
            let rate = i64::from(self.codec.spec().rate);
            // Without a lost page small steps are the encoder's business.
            let least = if self.lost { 0 } else { rate / 10 };
            let gap = granule.saturating_sub(end);
            // A last position that is too large is no gap, unless pages are missing.
            let believed = self.lost || !page.last;
            if believed && gap > least && gap <= rate.saturating_mul(MAX_GAP.cast_signed()) {
                placing.gap = gap.cast_unsigned();
            }
            if page.last && granule < end {
                placing.padding = (end - granule).min(frames).cast_unsigned();
            }
            self.lost = false;
        }
        self.position = granule.unwrap_or(end);
        placing
    }
}

/// Frames of silence in front of a page, and frames at its end that are none of the recording.
#[derive(Default)]
struct Placing {
    gap: u64,
    padding: u64,
}

struct Ogg {
    pages: PageReader<Source>,
    info: SourceInfo,
    spec: AudioSpec,
    /// None where a stream is left out.
    link: Option<Link>,
    /// Decoded blocks of the link's last page.
    queue: VecDeque<AudioBuf>,
    damage: Damage,
    gaps: Gaps,
    finished: bool,
}

/// Open an Ogg source: Opus and Vorbis here, other codecs by symphonia.
pub(super) fn open(
    mut source: Source,
    path: PathBuf,
    options: &DecodeOptions,
) -> Result<Box<dyn Backend>> {
    let head = source.peek(HEAD_BYTES).map_err(|e| Error::io(&path, e))?;
    let streams = beginnings(&head);
    let tracks = streams.iter().map(|(serial, codec, _)| TrackOutline {
        codec: (*codec).to_owned(),
        ..TrackOutline::new(*serial)
    });
    let outline = Outline { tracks: tracks.collect(), ..Outline::default() };
    let candidates = outline.candidates(options.track.as_ref());
    let candidates = candidates.map_err(|reason| Error::unreadable(&path, reason))?;
    let Some(&taken) = candidates.iter().find(|&&at| streams[at].2) else {
        return match candidates.first().map(|&at| streams[at].1) {
            Some(codec) if codec != FLAC || streams.len() > 1 => Err(names::refuse(&path, codec)),
            _ => symphonia_backend::open(source, path),
        };
    };
    let before = candidates.iter().take_while(|&&at| at != taken);
    let failed: Vec<usize> = before.copied().collect();
    let tail = last_page(&mut source).map_err(|e| Error::io(&path, e))?;
    let mut pages = PageReader::new(source);
    let mut info = SourceInfo::new(path, "ogg", "");
    let first = loop {
        match pages.next().map_err(|e| Error::io(&info.path, e))? {
            Some(page) if page.first && page.serial == outline.tracks[taken].id => break page,
            Some(_) => {}
            None => return Err(Error::unreadable(&info.path, "its first Ogg page is damaged")),
        }
    };
    let link = Link::new(&first).map_err(|reason| Error::unreadable(&info.path, reason))?;
    let spec = link.codec.spec();
    let spec = checked_spec(&info, spec.rate, spec.layout)?;
    link.codec.name().clone_into(&mut info.codec);
    info.rate = spec.rate;
    info.layout = spec.layout;
    let pre_skip = link.skip_left.cast_signed();
    let mut ogg = Ogg {
        pages,
        info,
        spec,
        link: Some(link),
        queue: VecDeque::new(),
        damage: Damage::default(),
        gaps: Gaps::default(),
        finished: false,
    };
    while ogg.queue.is_empty() && !ogg.finished {
        ogg.read_page()?;
    }
    if let (Some(tail), Some(link)) = (tail, &ogg.link)
        && tail.serial == link.serial
    {
        let frames = tail.granule - link.origin.unwrap_or(0) - pre_skip;
        ogg.info.declared_frames = Some(u64::try_from(frames).unwrap_or(0));
    }
    tell_tracks(&mut ogg.info, &outline, taken, &failed, options);
    Ok(Box::new(ogg))
}

/// The audio streams that begin at the start: serial number, codec, and whether it is read here.
fn beginnings(head: &[u8]) -> Vec<(u32, &'static str, bool)> {
    let mut pages = PageReader::new(head);
    let mut streams = Vec::new();
    while let Ok(Some(page)) = pages.next()
        && page.first
    {
        if let Some(codec) = audio_codec(&page.body) {
            streams.push((page.serial, codec, Codec::knows(&page.body)));
        }
    }
    streams
}

/// The codec of a stream of audio by its first packet.
fn audio_codec(packet: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 4] = [
        (b"OpusHead", "Opus"),
        (b"\x01vorbis", "Vorbis"),
        (b"\x7fFLAC", FLAC),
        (b"Speex   ", "Speex"),
    ];
    known.iter().find(|(start, _)| packet.starts_with(start)).map(|(_, name)| *name)
}

/// The last page of a file that tells a position, to know the length beforehand.
fn last_page(source: &mut Source) -> std::io::Result<Option<Page>> {
    let Some(len) = source.size() else { return Ok(None) };
    let start = source.stream_position()?;
    source.seek(SeekFrom::Start(len.saturating_sub(TAIL_BYTES).max(start)))?;
    let mut pages = PageReader::new(&mut *source);
    let mut last = None;
    while let Some(page) = pages.next()? {
        if page.granule >= 0 {
            last = Some(page);
        }
    }
    source.seek(SeekFrom::Start(start))?;
    Ok(last)
}

impl Ogg {
    /// Take one page and decode what is on it.
    fn read_page(&mut self) -> Result<()> {
        let Some(page) = self.pages.next().map_err(|e| Error::io(&self.info.path, e))? else {
            self.end_of_source();
            return Ok(());
        };
        if page.first && Codec::knows(&page.body) {
            // Before any audio this is a second stream beside ours, afterwards the next of a chain.
            let next = self.link.as_ref().is_none_or(|link| {
                link.origin.is_some() || link.ended || page.serial == link.serial
            });
            return if next { self.start_link(&page) } else { Ok(()) };
        }
        if page.first
            && self.link.as_ref().is_none_or(|link| link.ended)
            && let Some(codec) = audio_codec(&page.body)
            && self.info.warnings.len() < MAX_WARNINGS
        {
            let at = self.info.seconds();
            let what = format!("a chained stream of {codec} from {at:.3} s on was left out");
            self.info.warnings.push(Warning::Repaired { what });
        }
        if let Some(mut link) = self.link.take_if(|link| link.serial == page.serial) {
            let decoded = self.decode_page(&mut link, &page);
            self.link = Some(link);
            return decoded;
        }
        Ok(())
    }

    /// Queue silence for what is missing in front of a page, and its samples.
    fn decode_page(&mut self, link: &mut Link, page: &Page) -> Result<()> {
        link.ended |= page.last;
        let (mut frames, mut heard) = (0, false);
        let start = self.info.seconds();
        for packet in link.complete_packets(page) {
            let is_header = link.codec.take_header(&packet, &mut self.info.tags);
            if is_header.map_err(|reason| Error::unreadable(&self.info.path, reason))? {
                continue;
            }
            heard = true;
            let block = match link.codec.decode(&packet) {
                Ok(block) => {
                    self.damage.good();
                    block
                }
                Err(lost) => {
                    let at = start + frames as f64 / f64::from(self.spec.rate);
                    self.damage.bad(&self.info, at, lost as u64)?;
                    AudioBuf::silence(link.codec.spec(), lost)
                }
            };
            frames += block.frames();
            self.queue.push_back(block);
        }
        if !heard {
            return Ok(());
        }
        let placing = link.advance(page, frames as i64);
        self.drop_padding(placing.padding);
        if placing.gap > 0 {
            let length = placing.gap as f64 / f64::from(self.spec.rate);
            self.gaps.found(&mut self.info, start, length);
        }
        let mut left = placing.gap;
        while left > 0 {
            let piece = left.min(self.spec.rate.into());
            self.queue.push_front(AudioBuf::silence(link.codec.spec(), piece as usize));
            left -= piece;
        }
        Ok(())
    }

    /// Cut frames off the end of the queue.
    fn drop_padding(&mut self, frames: u64) {
        self.info.trimmed_padding += frames;
        let mut left = frames as usize;
        while left > 0
            && let Some(block) = self.queue.pop_back()
        {
            let cut = left.min(block.frames());
            left -= cut;
            if cut < block.frames() {
                self.queue.push_back(block.view().slice(0..block.frames() - cut).to_owned());
            }
        }
    }

    /// Go on with the next stream of a chain.
    fn start_link(&mut self, page: &Page) -> Result<()> {
        let link = Link::new(page).map_err(|reason| Error::unreadable(&self.info.path, reason))?;
        let (spec, at) = (link.codec.spec(), self.info.seconds());
        checked_spec(&self.info, spec.rate, spec.layout)?;
        self.info.declared_frames = None; // it was the last stream's alone
        let what = if spec.rate != self.spec.rate {
            let own = self.spec.rate;
            Some(format!("has {} Hz instead of {own} Hz and was left out", spec.rate))
        } else if spec.layout != self.spec.layout {
            Some(format!("is {} and was mixed to {}", spec.layout, self.spec.layout))
        } else {
            None
        };
        if self.info.warnings.len() < MAX_WARNINGS {
            self.info.warnings.push(match what {
                Some(what) => {
                    Warning::Repaired { what: format!("a chained stream from {at:.3} s on {what}") }
                }
                None => Warning::Joined { at },
            });
        }
        self.link = (spec.rate == self.spec.rate).then_some(link);
        Ok(())
    }

    fn end_of_source(&mut self) {
        self.finished = true;
        self.gaps.report(&mut self.info);
        self.damage.report(&mut self.info);
        if self.pages.skipped > 0 {
            self.info.warnings.push(Warning::Repaired {
                what: format!(
                    "{} bytes that belong to no intact Ogg page were left out",
                    self.pages.skipped
                ),
            });
        }
        if self.link.as_ref().is_some_and(|link| !link.ended) {
            self.info.warnings.push(Warning::Repaired {
                what: "the Ogg stream stops without its end mark; it was probably cut off"
                    .to_owned(),
            });
        }
    }
}

impl Backend for Ogg {
    fn info(&mut self) -> &mut SourceInfo {
        &mut self.info
    }

    fn next(&mut self) -> Result<Option<AudioBuf>> {
        loop {
            let Some(block) = self.queue.pop_front() else {
                if self.finished {
                    return Ok(None);
                }
                self.read_page()?;
                continue;
            };
            let skip_left = self.link.as_mut().map(|link| &mut link.skip_left);
            let skip = skip_left.map_or(0, |left| {
                let skip = (*left).min(block.frames() as u64);
                *left -= skip;
                skip
            });
            self.info.trimmed_delay += skip;
            let block = match skip {
                0 => block,
                skip => block.view().slice(skip as usize..block.frames()).to_owned(),
            };
            if !block.is_empty() {
                return Ok(Some(relayout(block, self.spec.layout)));
            }
        }
    }
}
