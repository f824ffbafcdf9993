//! Convolution as the sum that defines it, by a matrix unit.
//!
//! Rows of channels lie one behind the other as the unit's numbers, so that what a tap sees is the
//! same memory some rows on: nothing is copied or moved for the taps. The unit multiplies bf16 or
//! bytes. Numbers of 32 bits become whole numbers of 23 bits and a sign, in parts of the largest in a
//! group of rows or among the weights of an output, and these three digits of eight bits. Of the
//! products of digits the six largest are added up, which rounds nothing: what is left out is as small
//! as what sums of as many 32-bit numbers round.
//!
//! Source of the digits: Ozaki et al., "Error-free transformations of matrix multiplication by using
//! fast routines of matrix multiplication and its applications" (Numerical Algorithms 59, 2012).

use std::arch::x86_64::*;
use std::cell::RefCell;

use super::{ConvolutionConfig, Group, Onto};
use crate::gemm::amx::{Numbers, Operands, SIDE, STEPS, Segment, Tiles};
use crate::gemm::{Gemm, Precision, Sums, bf16};
use crate::row_activation::RowActivation;
use crate::simd::{Avx512, Lanes, Level};

/// Rows that are computed together: with their digits, about half of a second cache.
pub(super) const ROWS: usize = 512;

/// Most rows between the first tap and the last, which a group has besides its own.
const MOST_AROUND: usize = 4 * ROWS;

/// What the largest number becomes, a little less than three digits hold.
const LARGEST: f32 = 8_355_000.0;
/// Added to a whole number, makes its digits from -128 to 127 bytes from 0 to 255.
const OFFSET: i32 = 0x80_8080;
/// Smaller numbers than this, where there are no larger ones, are zeros.
const SMALLEST: f32 = 1e-30;
/// Most products of three pairs of digits that sums of 32 bits hold.
const MOST_PRODUCTS: usize = (1 << 31) / (3 << 14) - 1;

/// Digits of both operands whose products count as much, the smallest first.
const LEVELS: [&[[usize; 2]]; 3] = [&[[0, 2], [1, 1], [2, 0]], &[[0, 1], [1, 0]], &[[0, 0]]];

/// What a row of a tile holds.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; STEPS]);

const EMPTY: Line = Line([0; STEPS]);

/// The weights as the unit's numbers.
#[derive(Debug, Clone)]
pub(super) struct Direct {
    config: ConvolutionConfig,
    gemm: Gemm,
    numbers: Numbers,
    /// Elements from one row of an operand to the next.
    width: usize,
    /// Stretches of a row and those behind it that are multiplied: one for each tap, or all taps in one
    /// where rows are narrow and lie one behind the other.
    taps: usize,
    /// Tiles side by side that a stretch fills.
    tiles: usize,
    /// Panels of [`SIDE`] outputs, of digits, of taps, of tiles.
    weight: Vec<Line>,
    /// What digits of an output's weights count, for whole panels.
    units: Vec<f32>,
}

/// Memory of a thread for the rows of a group.
#[derive(Default)]
struct Scratch {
    values: Vec<f32>,
    operand: Vec<Line>,
}

thread_local! {
    /// Kept from one layer to the next, which need about the same: some megabytes.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Numbers {
    fn digits(self) -> usize {
        match self {
            Self::Bf16 => 1,
            Self::Bytes => LEVELS.len(),
        }
    }

    /// Elements in 32 bits.
    fn of_word(self) -> usize {
        match self {
            Self::Bf16 => 2,
            Self::Bytes => 4,
        }
    }

    /// Elements in a row of a tile.
    fn of_line(self) -> usize {
        STEPS * self.of_word()
    }

    fn levels(self) -> &'static [&'static [[usize; 2]]] {
        &LEVELS[LEVELS.len() - self.digits()..]
    }
}

impl Direct {
    /// Of `weight [kernel, inputs, outputs]`, whose sizes were checked; nothing where the processor
    /// has no unit for them, or another way is better.
    pub(super) fn new(gemm: Gemm, config: ConvolutionConfig, weight: &[f32]) -> Option<Self> {
        let numbers = match gemm.precision() {
            Precision::Single => Numbers::Bytes,
            Precision::Bf16 => Numbers::Bf16,
        };
        let has_unit = gemm.level() == Level::Avx512
            && is_x86_feature_detected!("avx512bf16")
            && numbers.is_available();
        let ConvolutionConfig { inputs, outputs, kernel, dilation } = config;
        let is_near = (kernel - 1) * dilation <= MOST_AROUND;
        let has_digits = numbers == Numbers::Bf16
            || inputs * kernel <= MOST_PRODUCTS && weight.iter().all(|x| x.is_finite());
        if !has_unit || !is_near || !has_digits {
            return None;
        }
        let mut units = vec![0.0f32; outputs.next_multiple_of(SIDE)];
        for row in weight.chunks_exact(outputs) {
            units.iter_mut().zip(row).for_each(|(unit, x)| *unit = unit.max(x.abs()));
        }
        let factors: Vec<f32> = units.iter().map(|&largest| factor(largest)).collect();
        units.iter_mut().for_each(|unit| *unit /= LARGEST);
        let of_line = numbers.of_line();
        let (tiles, whole) = (inputs.div_ceil(of_line), (kernel * inputs).div_ceil(of_line));
        // Operands of bytes are written sixteen elements at a time.
        let is_whole = dilation == 1 && inputs % 16 == 0 && numbers == Numbers::Bytes;
        let (width, taps, tiles) = match is_whole && whole < kernel * tiles {
            true => (inputs, 1, whole),
            false => (tiles * of_line, kernel, tiles),
        };
        let mut direct =
            Self { config, gemm, numbers, width, taps, tiles, weight: Vec::new(), units };
        direct.weight = vec![EMPTY; direct.lines() * outputs.div_ceil(SIDE)];
        for (at, row) in weight.chunks_exact(outputs).enumerate() {
            for (output, &x) in row.iter().enumerate() {
                let parts = match numbers {
                    Numbers::Bf16 => [bf16(x), 0, 0],
                    Numbers::Bytes => digits((x * factors[output]).round_ties_even() as i32),
                };
                for (digit, part) in parts.into_iter().enumerate().take(numbers.digits()) {
                    let (line, word, shift) = direct.place(digit, at, output);
                    direct.weight[line].0[word] |= part << shift;
                }
            }
        }
        Some(direct)
    }

    /// How its products are made.
    pub(super) fn gemm(&self) -> Gemm {
        self.gemm
    }

    /// Its sizes.
    pub(super) fn config(&self) -> ConvolutionConfig {
        self.config
    }

    /// Lines of a panel.
    fn lines(&self) -> usize {
        self.numbers.digits() * self.taps * self.tiles * 2 * STEPS
    }

    /// The line, word, and bit where a digit of the weight of `at [kernel, inputs]` and `output` is.
    fn place(&self, digit: usize, at: usize, output: usize) -> (usize, usize, usize) {
        let ConvolutionConfig { inputs, kernel, .. } = self.config;
        let (of_tap, of_word) = (kernel * inputs / self.taps, self.numbers.of_word());
        let (tap, input) = (at / of_tap, at % of_tap);
        let (row, column) = (input / of_word, output % SIDE);
        let rows = (digit * self.taps + tap) * self.tiles * STEPS + row;
        let line = output / SIDE * self.lines() + 2 * rows + column / STEPS;
        (line, column % STEPS, input % of_word * (32 / of_word))
    }

    /// The weights `[kernel, inputs, outputs]`, as exact as they are kept.
    pub(super) fn weight(&self) -> Vec<f32> {
        let ConvolutionConfig { inputs, outputs, kernel, .. } = self.config;
        let part = |digit, at, output| {
            let (line, word, shift) = self.place(digit, at, output);
            self.weight[line].0[word] >> shift
        };
        let number = |at, output| match self.numbers {
            Numbers::Bf16 => f32::from_bits(part(0, at, output) << 16),
            Numbers::Bytes => {
                let whole = (0..LEVELS.len()).fold(0, |whole, digit| {
                    whole * 256 + i32::from(part(digit, at, output) as u8 as i8)
                });
                whole as f32 * self.units[output]
            }
        };
        (0..kernel * inputs)
            .flat_map(|at| (0..outputs).map(move |output| number(at, output)))
            .collect()
    }

    /// Some rows, on this thread.
    pub(super) fn group(&self, group: Group<'_>) {
        // SAFETY: `new` made sure of the instructions.
        SCRATCH.with_borrow_mut(|scratch| unsafe { self.with_scratch(group, scratch) });
    }

    /// # Safety
    /// The processor must have AVX-512 with bf16.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn with_scratch(&self, group: Group<'_>, scratch: &mut Scratch) {
        let ConvolutionConfig { outputs, kernel, dilation, .. } = self.config;
        let Group { bias, onto, .. } = group;
        let (source, out) = (Source::of(&group, self.config.reach()), group.out);
        let rows = out.len() / outputs;
        let height = rows.next_multiple_of(SIDE) + (kernel - 1) * dilation;
        // SAFETY: the caller promises the instructions.
        let unit = match unsafe { self.fill(&source, height, scratch) } {
            Some(unit) => unit,
            // As in any sum with numbers that are none.
            None => return out.fill(f32::NAN),
        };
        let row = 4 * self.width / self.numbers.of_word();
        let (plane, taps, tap) = (64 * self.plane(height), self.taps, 128 * STEPS * self.tiles);
        let segments = |pairs: &&[[usize; 2]]| -> Vec<Segment> {
            let of_pair = |&[left, right]: &[usize; 2]| {
                (0..taps).map(move |k| Segment {
                    left: left * plane + k * dilation * row,
                    right: (right * taps + k) * tap,
                })
            };
            pairs.iter().flat_map(of_pair).collect()
        };
        let levels: Vec<_> = self.numbers.levels().iter().map(segments).collect();
        let tiles = Tiles::new(self.numbers).expect("asked for when weights were made for it");
        let mut sums = [const { Sums([0.0; SIDE * SIDE]) }; LEVELS.len()];
        for (panel, weight) in self.weight.chunks_exact(self.lines()).enumerate() {
            for at in (0..rows).step_by(SIDE) {
                let operands = Operands {
                    left: scratch.operand.as_ptr().cast::<u8>().wrapping_add(at * row),
                    right: weight.as_ptr().cast(),
                    stride: row,
                    tiles: self.tiles,
                };
                let (column, rows) = (panel * SIDE, [at, SIDE.min(rows - at)]);
                let columns = [column, SIDE.min(outputs - column)];
                let mut tile = Tile { rows, columns, outputs, bias, onto, out: &mut *out };
                // SAFETY: the caller promises the instructions, and `new` made sure of the unit; both
                // operands have the segments' tiles, output and residual the rows and columns.
                unsafe {
                    tile.fetch();
                    for (segments, sums) in levels.iter().zip(&mut sums) {
                        tiles.add_up(self.numbers, operands, segments, sums);
                    }
                    match self.numbers {
                        Numbers::Bf16 => tile.finish(&Singles(&sums[0])),
                        Numbers::Bytes => {
                            let units = &self.units[column..column + SIDE];
                            tile.finish(&Digits { sums: &sums, unit: 65_536.0 * unit, units });
                        }
                    }
                }
            }
        }
    }

    /// Lines of a digit of `height` rows, and of what the last of them are multiplied with behind these.
    fn plane(&self, height: usize) -> usize {
        let beyond = if self.taps < self.config.kernel { self.tiles } else { 0 };
        (height * self.width).div_ceil(self.numbers.of_line()) + beyond
    }

    /// Makes `height` rows an operand, and says what its digits count. Nothing where a number is none.
    ///
    /// # Safety
    /// The processor must have AVX-512 with bf16.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn fill(
        &self,
        source: &Source<'_>,
        height: usize,
        Scratch { values, operand }: &mut Scratch,
    ) -> Option<f32> {
        let (tiles, lines) = (self.tiles, self.plane(height));
        let wanted = lines * self.numbers.digits();
        if operand.len() < wanted {
            operand.resize(wanted, EMPTY);
        }
        let of_line = self.numbers.of_line();
        if self.numbers == Numbers::Bf16 {
            for (row, lines) in operand.chunks_exact_mut(tiles).take(height).enumerate() {
                let Some(row) = source.row(row, self.config.inputs) else {
                    lines.fill(EMPTY);
                    continue;
                };
                for (at, line) in lines.iter_mut().enumerate() {
                    // SAFETY: the caller promises the instructions; a line is 512 bits.
                    unsafe {
                        let low = source.load(row, at * of_line);
                        let high = source.load(row, at * of_line + 16);
                        let numbers = _mm512_cvtne2ps_pbh(high, low);
                        (&raw mut *line).cast::<__m512bh>().write(numbers);
                    }
                }
            }
            return Some(1.0);
        }
        let width = self.width;
        if values.len() < lines * of_line {
            values.resize(lines * of_line, 0.0);
        }
        values[height * width..lines * of_line].fill(0.0);
        let (mut largest, mut none) = (_mm512_setzero_ps(), _mm512_setzero_ps());
        for (row, values) in values.chunks_exact_mut(width).take(height).enumerate() {
            let Some(row) = source.row(row, self.config.inputs) else {
                values.fill(0.0);
                continue;
            };
            for (at, values) in values.chunks_exact_mut(16).enumerate() {
                // SAFETY: the caller promises the instructions; there are sixteen values.
                let value = unsafe { source.load(row, 16 * at) };
                largest = _mm512_max_ps(largest, _mm512_abs_ps(value));
                none = _mm512_fmadd_ps(value, _mm512_setzero_ps(), none);
                // SAFETY: as above.
                unsafe { _mm512_storeu_ps(values.as_mut_ptr(), value) };
            }
        }
        if _mm512_reduce_add_ps(none).is_nan() {
            return None;
        }
        let largest = _mm512_reduce_max_ps(largest);
        let (factor, offset) = (_mm512_set1_ps(factor(largest)), _mm512_set1_epi32(OFFSET));
        let sign = _mm_set1_epi8(-128);
        for (at, values) in values[..lines * of_line].chunks_exact(of_line).enumerate() {
            for (part, values) in values.chunks_exact(16).enumerate() {
                // SAFETY: sixteen values, and a quarter of a line for each of their digits.
                unsafe {
                    let value = _mm512_mul_ps(_mm512_loadu_ps(values.as_ptr()), factor);
                    let whole = _mm512_add_epi32(_mm512_cvtps_epi32(value), offset);
                    let digits =
                        [_mm512_srli_epi32::<16>(whole), _mm512_srli_epi32::<8>(whole), whole];
                    for (digit, bytes) in digits.into_iter().enumerate() {
                        let bytes = _mm_xor_si128(_mm512_cvtepi32_epi8(bytes), sign);
                        let line = operand.as_mut_ptr().add(digit * lines + at);
                        line.cast::<__m128i>().add(part).write(bytes);
                    }
                }
            }
        }
        Some(largest / LARGEST)
    }
}

/// Rows that go in.
struct Source<'a> {
    x: &'a [f32],
    /// The first row, which may be none of `x`.
    start: isize,
    scale: f32,
    before: &'a RowActivation,
}

impl<'a> Source<'a> {
    fn of(group: &Group<'a>, reach: usize) -> Self {
        let Group { x, first, scale, before, .. } = *group;
        Self { x, start: first - reach as isize, scale, before }
    }

    fn row(&self, at: usize, inputs: usize) -> Option<&'a [f32]> {
        let row = usize::try_from(self.start.checked_add_unsigned(at)?).ok()?;
        self.x.get(row * inputs..(row + 1) * inputs)
    }

    /// Sixteen elements of a row, from `channel` on, behind the activation; zeros behind the row.
    ///
    /// # Safety
    /// The processor must have AVX-512; the activation must be one for such rows.
    #[inline(always)]
    unsafe fn load(&self, row: &[f32], channel: usize) -> __m512 {
        let row = row.get(channel..).unwrap_or_default();
        // SAFETY: the caller promises the instructions and the activation; elements are there.
        unsafe {
            let value = match row.len() {
                0 => return _mm512_setzero_ps(),
                n @ 1..16 => Avx512::load_part(row.as_ptr(), n),
                _ => Avx512::load(row.as_ptr()),
            };
            self.before.of_lanes(value.mul(Avx512::splat(self.scale)), channel).0
        }
    }
}

/// What makes whole numbers of numbers up to `largest`.
fn factor(largest: f32) -> f32 {
    if largest < SMALLEST { 0.0 } else { LARGEST / largest }
}

/// The digits of a whole number, the one that counts most first.
fn digits(whole: i32) -> [u32; 3] {
    let [_, digits @ ..] = (whole + OFFSET).to_be_bytes();
    digits.map(|digit| u32::from(digit ^ 0x80))
}

/// Sums of a tile, sixteen at a time.
trait TileSums {
    /// Those of a row from `column` on.
    ///
    /// # Safety
    /// The processor must have AVX-512; row and column must be of the tile.
    unsafe fn at(&self, row: usize, column: usize) -> Avx512;
}

struct Singles<'a>(&'a Sums);

impl TileSums for Singles<'_> {
    #[inline(always)]
    unsafe fn at(&self, row: usize, column: usize) -> Avx512 {
        // SAFETY: the caller promises the instructions and the place.
        unsafe { Avx512::load(self.0.0.as_ptr().add(row * SIDE + column)) }
    }
}

/// Sums of digits, those that count least first.
struct Digits<'a> {
    sums: &'a [Sums; LEVELS.len()],
    /// What they count, but for the column's.
    unit: f32,
    units: &'a [f32],
}

impl TileSums for Digits<'_> {
    #[inline(always)]
    unsafe fn at(&self, row: usize, column: usize) -> Avx512 {
        // SAFETY: the caller promises the instructions and the place.
        unsafe {
            let mut value = _mm512_setzero_ps();
            for sums in self.sums.iter().rev() {
                let whole = _mm512_loadu_si512(sums.0.as_ptr().add(row * SIDE + column).cast());
                value = _mm512_fmadd_ps(value, _mm512_set1_ps(256.0), _mm512_cvtepi32_ps(whole));
            }
            let unit = Avx512::load(self.units.as_ptr().add(column)).mul(Avx512::splat(self.unit));
            Avx512(value).mul(unit)
        }
    }
}

/// Where the results of a tile go.
struct Tile<'a> {
    /// The first row, and their number.
    rows: [usize; 2],
    /// The first column, and their number.
    columns: [usize; 2],
    outputs: usize,
    bias: &'a [f32],
    onto: Onto<'a>,
    out: &'a mut [f32],
}

impl Tile<'_> {
    /// Asks for the memory that [`Tile::finish`] needs.
    ///
    /// # Safety
    /// As [`Tile::finish`].
    #[inline(always)]
    unsafe fn fetch(&self) {
        let ([first, rows], [column, columns]) = (self.rows, self.columns);
        for row in first..first + rows {
            // Rows need not begin with a line of the cache.
            for column in [column, column + columns / 2, column + columns - 1] {
                let at = row * self.outputs + column;
                // SAFETY: the place is inside of both lists.
                unsafe {
                    _mm_prefetch::<_MM_HINT_ET0>(self.out.as_ptr().add(at).cast());
                    if let Some(residual) = self.onto.residual {
                        _mm_prefetch::<_MM_HINT_T0>(residual.as_ptr().add(at).cast());
                    }
                }
            }
        }
    }

    /// Writes `sums` and what they are added to.
    ///
    /// # Safety
    /// The processor must have AVX-512; output, residual and bias must have these rows and columns, and
    /// the sums as many.
    #[inline(always)]
    unsafe fn finish(&mut self, sums: &impl TileSums) {
        let ([first, rows], [column, columns]) = (self.rows, self.columns);
        for half in (0..columns).step_by(16) {
            let n = 16.min(columns - half);
            // SAFETY: the caller's promises.
            unsafe {
                let load = |from: *const f32| match n {
                    16 => Avx512::load(from),
                    _ => Avx512::load_part(from, n),
                };
                let bias = load(self.bias.as_ptr().add(column + half));
                for row in 0..rows {
                    let at = (first + row) * self.outputs + column + half;
                    let mut value = sums.at(row, half).add(bias);
                    if let Some(residual) = self.onto.residual {
                        value = value.add(load(residual.as_ptr().add(at)));
                    }
                    let to = self.out.as_mut_ptr().add(at);
                    if self.onto.output {
                        value = value.add(load(to));
                    }
                    match n {
                        16 => value.store(to),
                        _ => value.store_part(to, n),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_come_back_as_exact_as_they_are_kept() {
        // Taps side by side, and in one stretch.
        for inputs in [70, 32] {
            let config = ConvolutionConfig { inputs, outputs: 45, kernel: 3, dilation: 1 };
            let weight: Vec<f32> = (0..3 * inputs * 45).map(|i| (i as f32 * 0.71).sin()).collect();
            for (precision, bound) in [(Precision::Single, 2e-7), (Precision::Bf16, 2e-3)] {
                let Some(gemm) = Gemm::new(precision) else { continue };
                let Some(direct) = Direct::new(gemm, config, &weight) else { continue };
                for (found, wanted) in direct.weight().iter().zip(&weight) {
                    assert!((found - wanted).abs() < bound, "{precision:?}: {found}, not {wanted}");
                }
            }
        }
    }

    #[test]
    fn digits_make_the_number() {
        for whole in [0, 1, -1, 127, 128, -128, -129, 70_000, 8_355_000, -8_355_000] {
            let digits = digits(whole).map(|digit| i32::from(digit as u8 as i8));
            assert_eq!(digits.into_iter().fold(0, |sum, digit| 256 * sum + digit), whole);
        }
    }
}
