//! The stack machine: opcodes of pickle protocols 0 to 5. Every length is checked against the
//! bytes that are left before anything is allocated.

use std::collections::HashMap;

use super::node::{Id, MAX_NODES, Node, Pickle};
use super::text;
use crate::checkpoint::fault::{Fault, Outcome, within};

/// Deepest nesting of marks; Python's own pickler stops at a nesting of a thousand.
const MAX_MARKS: u64 = 1 << 20;

/// Reads one pickle from the start of `data`; gives it and the number of bytes that it took.
pub(crate) fn parse(data: &[u8]) -> Outcome<(Pickle, usize)> {
    let mut machine = Machine {
        data,
        pos: 0,
        pickle: Pickle::of_size(data.len()),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    machine.run()?;
    let pos = machine.pos;
    Ok((machine.pickle, pos))
}

pub(super) struct Machine<'a> {
    data: &'a [u8],
    pos: usize,
    pub(super) pickle: Pickle,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Outcome<()> {
        loop {
            let op = self.take(1)?[0];
            if op == b'.' {
                self.pickle.root = self.pop()?;
                return Ok(());
            }
            self.step(op)?;
        }
    }

    fn step(&mut self, op: u8) -> Outcome<()> {
        match op {
            0x80 => {
                let version = self.take(1)?[0];
                if version > 5 {
                    return Err(Fault::Unsupported(format!(
                        "pickle protocol {version} is newer than what can be read (5); save with \
                         protocol 2"
                    )));
                }
                Ok(())
            }
            0x95 => {
                let size = self.u64()?; // a frame only says that so many bytes follow
                if size > (self.data.len() - self.pos) as u64 {
                    return Err(truncated());
                }
                Ok(())
            }
            b'(' => {
                within("nesting of a pickle", self.marks.len() as u64, MAX_MARKS)?;
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => match self.marks.last() {
                Some(mark) if *mark == self.stack.len() => {
                    self.marks.pop();
                    Ok(())
                }
                _ => self.pop().map(drop),
            },
            b'1' => self.pop_mark().map(drop),
            b'2' => {
                let top = self.top()?;
                self.put(top)
            }
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'J' | b'K' | b'M' | 0x8a | 0x8b | b'G' => self.number(op),
            b'I' | b'L' | b'F' | b'S' | b'V' => {
                let node = text::value(op, &self.latin_line()?)?;
                self.push(node)
            }
            b'X' | 0x8c | 0x8d | b'T' | b'U' | b'B' | b'C' | 0x8e | 0x96 => self.text(op),
            b']' => self.push(Node::List(Vec::new())),
            b')' => self.push(Node::Tuple(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            0x8f => self.push(Node::List(Vec::new())), // a set, kept as a list
            b'l' | 0x91 => {
                let items = self.pop_mark()?;
                self.push(Node::List(items))
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Node::Tuple(items))
            }
            0x85..=0x87 => {
                let count = usize::from(op - 0x84);
                let at = self.stack.len().checked_sub(count).ok_or_else(underflow)?;
                if self.marks.last().is_some_and(|mark| at < *mark) {
                    return Err(underflow());
                }
                let items = self.stack.split_off(at);
                self.push(Node::Tuple(items))
            }
            b'd' => {
                let items = self.pop_mark()?;
                let pairs = pairs(&items)?;
                self.push(Node::Dict(pairs))
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.append(&items)
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(&items)
            }
            b'q' | b'r' | b'p' | 0x94 => {
                let slot = match op {
                    b'q' => u32::from(self.take(1)?[0]),
                    b'r' => self.u32()?,
                    b'p' => text::slot(self.line()?)?,
                    _ => self.memo.len() as u32, // at most MAX_NODES
                };
                let top = self.top()?;
                within("number of memo entries", self.memo.len() as u64, MAX_NODES)?;
                self.memo.insert(slot, top);
                Ok(())
            }
            b'h' | b'j' | b'g' => {
                let slot = match op {
                    b'h' => u32::from(self.take(1)?[0]),
                    b'j' => self.u32()?,
                    _ => text::slot(self.line()?)?,
                };
                let id = *self.memo.get(&slot).ok_or_else(|| {
                    Fault::damaged(format!("a pickle uses memo slot {slot} before it is set"))
                })?;
                self.put(id)
            }
            b'c' | 0x93 | b'Q' | b'R' | 0x81 | 0x92 | b'o' | b'i' | b'b' => self.object(op),
            0x82..=0x84 => Err(Fault::Refused("the copyreg extension registry".into())),
            0x97 | 0x98 => {
                Err(Fault::Unsupported("a pickle with out-of-band buffers; save it again".into()))
            }
            _ => Err(Fault::damaged(format!("unknown pickle opcode 0x{op:02x}"))),
        }
    }

    fn object(&mut self, op: u8) -> Outcome<()> {
        let id = match op {
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.global(module, name)?
            }
            0x93 => {
                let name = self.pop()?;
                let module = self.pop()?;
                let (module, name) = (self.pickle.str(module)?, self.pickle.str(name)?);
                let (module, name) = (module.to_owned(), name.to_owned());
                self.global(&module, &name)?
            }
            b'Q' => {
                let id = self.pop()?;
                self.persistent(id)?
            }
            b'R' => {
                let args = self.pop()?;
                let callable = self.pop()?;
                self.reduce(callable, args)?
            }
            0x81 | 0x92 => {
                let keywords = if op == 0x92 { Some(self.pop()?) } else { None };
                let args = self.pop()?;
                let class = self.pop()?;
                self.new_object(class, args, keywords)?
            }
            b'o' | b'i' => {
                let line = |machine: &mut Self| -> Outcome<Id> {
                    let module = machine.line()?;
                    let name = machine.line()?;
                    machine.global(module, name)
                };
                let named = if op == b'i' { Some(line(self)?) } else { None };
                let mut args = self.pop_mark()?;
                let class = match named {
                    Some(class) => class,
                    None if args.is_empty() => return Err(underflow()),
                    None => args.remove(0),
                };
                let args = self.pickle.add(Node::Tuple(args))?;
                self.new_object(class, args, None)?
            }
            _ => {
                let state = self.pop()?;
                let target = self.top()?;
                return self.build(target, state);
            }
        };
        self.put(id)
    }

    fn number(&mut self, op: u8) -> Outcome<()> {
        let node = match op {
            b'J' => Node::Int(i64::from(self.u32()?.cast_signed())),
            b'K' => Node::Int(i64::from(self.take(1)?[0])),
            b'M' => Node::Int(i64::from(u16::from_le_bytes(self.array()?))),
            b'G' => Node::Float(f64::from_be_bytes(self.array()?)),
            _ => {
                let size =
                    if op == 0x8a { usize::from(self.take(1)?[0]) } else { self.u32()? as usize };
                integer(self.take(size)?)
            }
        };
        self.push(node)
    }

    fn text(&mut self, op: u8) -> Outcome<()> {
        let size = match op {
            b'X' | b'T' | b'B' => u64::from(self.u32()?),
            0x8c | b'U' | b'C' => u64::from(self.take(1)?[0]),
            _ => self.u64()?,
        };
        let bytes = self.take(usize::try_from(size).map_err(|_| truncated())?)?;
        let is_text = matches!(op, b'X' | 0x8c | 0x8d);
        // The strings of Python 2 ('T', 'U') are bytes that are nearly always text.
        let node = match std::str::from_utf8(bytes) {
            Ok(text) if is_text || matches!(op, b'T' | b'U') => Node::Str(text.into()),
            // Python writes lone surrogates as they are; they only occur in odd file names.
            Err(_) if is_text => Node::Str(String::from_utf8_lossy(bytes).into()),
            _ => Node::Bytes(bytes.into()),
        };
        self.push(node)
    }

    fn append(&mut self, items: &[Id]) -> Outcome<()> {
        let target = self.top()?;
        match &mut self.pickle.nodes[target as usize] {
            Node::List(list) => list.extend_from_slice(items),
            Node::Object(object) => object.list.extend_from_slice(items),
            _ => return Err(Fault::damaged("a pickle appends to something that is no list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Outcome<()> {
        let target = self.top()?;
        let pairs = pairs(items)?;
        match &mut self.pickle.nodes[target as usize] {
            Node::Dict(dict) => dict.extend(pairs),
            Node::Object(object) => object.dict.extend(pairs),
            _ => return Err(Fault::damaged("a pickle sets items of something that is no dict")),
        }
        Ok(())
    }

    fn push(&mut self, node: Node) -> Outcome<()> {
        let id = self.pickle.add(node)?;
        self.put(id)
    }

    fn put(&mut self, id: Id) -> Outcome<()> {
        within("number of values on a pickle's stack", self.stack.len() as u64, MAX_NODES)?;
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Outcome<Id> {
        if self.marks.last().is_some_and(|mark| self.stack.len() <= *mark) {
            return Err(underflow());
        }
        self.stack.pop().ok_or_else(underflow)
    }

    fn top(&self) -> Outcome<Id> {
        self.stack.last().copied().ok_or_else(underflow)
    }

    fn pop_mark(&mut self) -> Outcome<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        if mark > self.stack.len() {
            return Err(underflow());
        }
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, size: usize) -> Outcome<&'a [u8]> {
        let end = self.pos.checked_add(size).filter(|end| *end <= self.data.len());
        let bytes = &self.data[self.pos..end.ok_or_else(truncated)?];
        self.pos += size;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn u32(&mut self) -> Outcome<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Outcome<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn line(&mut self) -> Outcome<&'a str> {
        std::str::from_utf8(self.line_bytes()?)
            .map_err(|_| Fault::damaged("a line of a pickle, such as a class name, is no text"))
    }

    /// A line of latin-1, which protocol 0 writes texts in.
    fn latin_line(&mut self) -> Outcome<String> {
        Ok(self.line_bytes()?.iter().map(|byte| char::from(*byte)).collect())
    }

    fn line_bytes(&mut self) -> Outcome<&'a [u8]> {
        let rest = &self.data[self.pos..];
        let size = rest.iter().position(|b| *b == b'\n').ok_or_else(truncated)?;
        self.pos += size + 1;
        Ok(&rest[..size])
    }
}

fn pairs(items: &[Id]) -> Outcome<Vec<(Id, Id)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
    } else {
        Err(Fault::damaged("a pickle has a key without a value"))
    }
}

/// The integer of these little-endian bytes.
pub(super) fn integer(bytes: &[u8]) -> Node {
    if bytes.len() > 8 {
        return Node::Big(bytes.into());
    }
    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Node::Int(i64::from_le_bytes(wide))
}

fn truncated() -> Fault {
    Fault::damaged("a pickle ends in the middle of a value")
}

fn underflow() -> Fault {
    Fault::damaged("a pickle takes more values than it has put")
}
