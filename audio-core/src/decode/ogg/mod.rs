//! Ogg Opus (RFC 7845): pre-skip, end trimming by granule position, gaps, chained streams.

use std::collections::VecDeque;
use std::io::{Seek, SeekFrom};
use std::path::PathBuf;

use super::RATE;
use super::head::OpusHead;
use super::packets::OpusPackets;
use super::pages::{Page, PageReader};
use crate::buffer::{AudioBuf, AudioSpec};
use crate::decode::backend::{Backend, Damage, relayout};
use crate::decode::info::SourceInfo;
use crate::decode::source::Source;
use crate::decode::vorbis_comment;
use crate::error::{Error, Result};
use crate::tags::Tags;
use crate::warning::Warning;

/// The longest gap, in frames, that is filled with silence after lost pages.
const MAX_GAP_FRAMES: u64 = 60 * RATE as u64;
/// Bytes at the end of a file in which the last page is looked for.
const TAIL_BYTES: u64 = 1 << 16;
/// A packet may run over many pages, but not beyond this size.
const MAX_PACKET_BYTES: usize = 1 << 20;

/// Whether the first page carries an Opus header.
pub(in crate::decode) fn is_ogg_opus(head: &[u8]) -> bool {
    let segments = head.get(26).map_or(0, |&count| usize::from(count));
    head.starts_with(b"OggS")
        && head.get(27 + segments..).is_some_and(|body| body.starts_with(b"OpusHead"))
}

/// One logical stream of a chain.
struct Link {
    serial: u32,
    packets: OpusPackets,
    queue: VecDeque<Vec<u8>>,
    partial: Vec<u8>, // a packet that goes on on the next page
    skip_left: u64,   // frames of the pre-skip still to drop
    valid_left: u64,  // frames of the queue that are before the stream's end
    gap_left: u64,    // frames of silence to insert before the queue
    origin: Option<i64>,
    position: i64, // granule position after everything that was queued
    next_sequence: u32,
    lost: bool,
    tags_seen: bool,
    ended: bool,
}

impl Link {
    fn new(page: &Page, head: &OpusHead) -> std::result::Result<Self, String> {
        Ok(Self {
            serial: page.serial,
            packets: OpusPackets::new(head)?,
            queue: VecDeque::new(),
            partial: Vec::new(),
            skip_left: head.pre_skip.into(),
            valid_left: 0,
            gap_left: 0,
            origin: None,
            position: 0,
            next_sequence: page.sequence.wrapping_add(1),
            lost: false,
            tags_seen: false,
            ended: page.last,
        })
    }

    /// The packets that end on this page.
    fn complete_packets(&mut self, page: &Page) -> Vec<Vec<u8>> {
        if page.sequence != self.next_sequence {
            self.lost = true;
            self.partial.clear();
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

    /// Queue a page's packets; how many of their frames are before the stream's end follows from
    /// the granule position.
    fn queue_page(&mut self, page: &Page, tags: &mut Tags) -> u64 {
        let mut packets = self.complete_packets(page);
        if !self.tags_seen && !packets.is_empty() {
            self.tags_seen = true;
            if let Some(comments) = packets[0].strip_prefix(b"OpusTags") {
                vorbis_comment::read(comments, tags);
                packets.remove(0);
            }
        }
        self.ended |= page.last;
        if packets.is_empty() {
            return 0;
        }
        let frames: i64 = packets.iter().map(|packet| self.packets.frames_of(packet) as i64).sum();
        let granule = Some(page.granule).filter(|&granule| granule >= 0);
        if self.origin.is_none() {
            // A stream cut out of a longer one starts above zero; one shorter than a page ends early.
            let origin = granule.map_or(0, |granule| (granule - frames).max(0));
            self.origin = Some(origin);
            self.position = origin;
            self.lost = false;
        }
        let end = self.position.saturating_add(frames);
        let mut padding = 0;
        if let Some(granule) = granule {
            if self.lost && granule > end {
                self.gap_left = u64::try_from(granule - end).unwrap_or(0).min(MAX_GAP_FRAMES);
            }
            if page.last && granule < end {
                padding = (end - granule).min(frames).cast_unsigned();
            }
            self.lost = false;
        }
        self.position = granule.unwrap_or(end);
        self.valid_left = frames.cast_unsigned() - padding;
        self.queue.extend(packets);
        padding
    }
}

struct OggOpus {
    pages: PageReader<Source>,
    info: SourceInfo,
    spec: AudioSpec,
    link: Link,
    damage: Damage,
    finished: bool,
}

/// Open an Ogg source whose first stream is Opus.
pub(in crate::decode) fn open_ogg(mut source: Source, path: PathBuf) -> Result<Box<dyn Backend>> {
    let tail = last_page(&mut source).map_err(|e| Error::io(&path, e))?;
    let mut pages = PageReader::new(source);
    let mut info = SourceInfo::new(path, "ogg", "opus");
    let first = pages.next().map_err(|e| Error::io(&info.path, e))?;
    let first =
        first.ok_or_else(|| Error::unreadable(&info.path, "its first Ogg page is damaged"))?;
    let unreadable = |reason| Error::unreadable(&info.path, reason);
    let head = OpusHead::parse(&first.body).map_err(unreadable)?;
    let link = Link::new(&first, &head).map_err(unreadable)?;
    let spec = AudioSpec { rate: RATE, layout: head.layout };
    info.rate = spec.rate;
    info.layout = spec.layout;
    let mut ogg = OggOpus { pages, info, spec, link, damage: Damage::default(), finished: false };
    while ogg.link.queue.is_empty() && !ogg.finished {
        ogg.read_page()?;
    }
    if let Some(tail) = tail.filter(|tail| tail.serial == ogg.link.serial) {
        let frames = tail.granule - ogg.link.origin.unwrap_or(0) - i64::from(head.pre_skip);
        ogg.info.declared_frames = Some(u64::try_from(frames).unwrap_or(0));
    }
    Ok(Box::new(ogg))
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

impl OggOpus {
    /// Take one page and queue what is on it.
    fn read_page(&mut self) -> Result<()> {
        let Some(page) = self.pages.next().map_err(|e| Error::io(&self.info.path, e))? else {
            self.end_of_source();
            return Ok(());
        };
        if page.first && page.body.starts_with(b"OpusHead") {
            // Before any audio this is a second stream beside ours, afterwards the next of a chain.
            if self.link.origin.is_some() || self.link.ended || page.serial == self.link.serial {
                return self.start_link(&page);
            }
        } else if page.serial == self.link.serial {
            self.info.trimmed_padding += self.link.queue_page(&page, &mut self.info.tags);
        }
        Ok(())
    }

    /// Go on with the next stream of a chain.
    fn start_link(&mut self, page: &Page) -> Result<()> {
        let unreadable = |reason| Error::unreadable(&self.info.path, reason);
        let head = OpusHead::parse(&page.body).map_err(unreadable)?;
        self.link = Link::new(page, &head).map_err(unreadable)?;
        self.info.declared_frames = None; // it was the last stream's alone
        if head.layout != self.spec.layout {
            self.info.warnings.push(Warning::Repaired {
                what: format!(
                    "a chained stream from {:.3} s on is {} and was mixed to {}",
                    self.info.seconds(),
                    head.layout,
                    self.spec.layout
                ),
            });
        }
        Ok(())
    }

    fn end_of_source(&mut self) {
        self.finished = true;
        self.damage.report(&mut self.info);
        if self.pages.skipped > 0 {
            self.info.warnings.push(Warning::Repaired {
                what: format!(
                    "{} bytes that belong to no intact Ogg page were left out",
                    self.pages.skipped
                ),
            });
        }
        if !self.link.ended {
            self.info.warnings.push(Warning::Repaired {
                what: "the Ogg stream stops without its end mark; it was probably cut off"
                    .to_owned(),
            });
        }
    }

    /// The next block before trimming: silence for a gap, or a decoded packet.
    fn decode_one(&mut self) -> Result<Option<AudioBuf>> {
        let link = &mut self.link;
        if link.gap_left > 0 {
            let frames = link.gap_left.min(RATE.into());
            link.gap_left -= frames;
            self.damage.lost(frames.div_ceil(960), frames);
            let spec = link.packets.spec();
            return Ok(Some(AudioBuf::silence(spec, frames as usize)));
        }
        let Some(packet) = link.queue.pop_front() else { return Ok(None) };
        let block = match link.packets.decode(&packet) {
            Some(block) => {
                self.damage.good();
                block
            }
            None => {
                let frames = link.packets.frames_of(&packet);
                self.damage.bad(&self.info, frames as u64)?;
                AudioBuf::silence(link.packets.spec(), frames)
            }
        };
        let valid = link.valid_left.min(block.frames() as u64);
        link.valid_left -= valid;
        Ok(Some(block.view().slice(0..valid as usize).to_owned()))
    }
}

impl Backend for OggOpus {
    fn info(&mut self) -> &mut SourceInfo {
        &mut self.info
    }

    fn next(&mut self) -> Result<Option<AudioBuf>> {
        loop {
            let Some(block) = self.decode_one()? else {
                if self.finished {
                    return Ok(None);
                }
                self.read_page()?;
                continue;
            };
            let skip = self.link.skip_left.min(block.frames() as u64);
            self.link.skip_left -= skip;
            self.info.trimmed_delay += skip;
            let block = if skip > 0 {
                block.view().slice(skip as usize..block.frames()).to_owned()
            } else {
                block
            };
            if !block.is_empty() {
                return Ok(Some(relayout(block, self.spec.layout)));
            }
        }
    }
}
