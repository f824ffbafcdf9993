//! Intel's matrix unit (AMX): tiles of 16 rows of 64 bytes, and products of such tiles of bf16 or of
//! bytes.
//!
//! Rows of the left operand lie as they are, [`STEPS`] times 32 bits in a tile's row; panels of the
//! right operand are those of other products. Both have zeros up to a whole number of tiles.

use std::arch::asm;
use std::sync::OnceLock;

use super::precision::{Sums, Unit};

/// Rows and columns of the sums that are computed at once: two by two tiles.
pub(crate) const SIDE: usize = 32;

/// Steps of the inner axis in a tile, two elements of bf16 or four bytes each.
pub(crate) const STEPS: usize = 16;

/// What the unit multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Sums are of `f32`.
    Bf16,
    /// Whole numbers from -128 to 127, with sums of 32 bits.
    Bytes,
}

impl Numbers {
    /// Whether this processor has the unit for them, and the system lets this program use it.
    pub(crate) fn is_available(self) -> bool {
        static AVAILABLE: OnceLock<[bool; 2]> = OnceLock::new();
        let available = AVAILABLE.get_or_init(|| {
            // Leaf 7 of EDX: bit 24 for tiles, 22 for products of bf16, and 25 for those of bytes.
            let features = std::arch::x86_64::__cpuid_count(7, 0).edx;
            let has =
                [22, 25].map(|product| features & 1 << 24 != 0 && features & 1 << product != 0);
            let is_permitted = has.contains(&true) && is_permitted();
            has.map(|has| has && is_permitted)
        });
        available[self as usize]
    }
}

/// Asks Linux for room for tiles among what it saves of a thread; without, the first use is a fault.
fn is_permitted() -> bool {
    #[cfg(target_os = "linux")]
    {
        const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
        const TILE_DATA: libc::c_long = 18;
        // SAFETY: the call takes two numbers, and only changes what later instructions may do.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 }
    }
    #[cfg(not(target_os = "linux"))]
    {
        false
    }
}

/// The unit with all its tiles whole ones, on the thread that made it, until it goes.
pub(crate) struct Tiles(());

/// Tiles of both operands side by side whose products are added up.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    /// Bytes from the left operand's beginning to the segment.
    pub(crate) left: usize,
    /// Bytes from the right operand's beginning to the segment.
    pub(crate) right: usize,
}

/// Operands that segments are taken from.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operands {
    /// The first row.
    pub(crate) left: *const u8,
    /// The first row of a panel of [`SIDE`] columns.
    pub(crate) right: *const u8,
    /// Bytes from one row to the next of the left operand.
    pub(crate) stride: usize,
    /// Tiles in a segment, one at least.
    pub(crate) tiles: usize,
}

impl Tiles {
    /// The unit for `numbers`, where there is one.
    pub(crate) fn new(numbers: Numbers) -> Option<Self> {
        #[repr(C, align(64))]
        struct Config([u8; 64]);
        if !numbers.is_available() {
            return None;
        }
        let mut config = Config([0; 64]);
        config.0[0] = 1;
        for tile in 0..8 {
            config.0[16 + 2 * tile] = 64; // bytes of a row
            config.0[48 + tile] = 16; // rows
        }
        // SAFETY: the unit is available; its palette has eight such tiles.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, readonly));
        }
        Some(Self(()))
    }

    /// Adds up the products of all `segments` of [`SIDE`] rows by as many columns, and writes them one
    /// row behind the other: numbers, or the bits of whole numbers.
    ///
    /// # Safety
    /// The unit must be one for `numbers`. For every segment there must be [`SIDE`] rows of whole tiles
    /// on the left, and as many rows of two tiles on the right.
    #[inline(always)]
    pub(crate) unsafe fn add_up(
        &self,
        numbers: Numbers,
        operands: Operands,
        segments: &[Segment],
        sums: &mut Sums,
    ) {
        if segments.is_empty() {
            return sums.0.fill(0.0);
        }
        macro_rules! with {
            ($product:literal) => {
                asm!(
                    "tilezero tmm0",
                    "tilezero tmm1",
                    "tilezero tmm2",
                    "tilezero tmm3",
                    "2:",
                    "mov {upper}, [{segment}]",
                    "mov {right}, [{segment} + 8]",
                    "add {upper}, [{operands}]",
                    "add {right}, [{operands} + 8]",
                    "mov {tiles}, [{operands} + 24]",
                    "lea {lower}, [{upper} + {half}]",
                    "3:",
                    "tileloadd tmm4, [{upper} + {stride}*1]",
                    "tileloadd tmm6, [{right} + {row}*1]",
                    "tileloadd tmm7, [{right} + {row}*1 + 64]",
                    "tileloadd tmm5, [{lower} + {stride}*1]",
                    concat!($product, " tmm0, tmm4, tmm6"),
                    concat!($product, " tmm1, tmm4, tmm7"),
                    concat!($product, " tmm2, tmm5, tmm6"),
                    concat!($product, " tmm3, tmm5, tmm7"),
                    "add {upper}, 64",
                    "add {lower}, 64",
                    "add {right}, 2048",
                    "dec {tiles}",
                    "jnz 3b",
                    "add {segment}, 16",
                    "dec {segments}",
                    "jnz 2b",
                    "tilestored [{sums} + {row}*1], tmm0",
                    "tilestored [{sums} + {row}*1 + 64], tmm1",
                    "tilestored [{sums} + {row}*1 + 2048], tmm2",
                    "tilestored [{sums} + {row}*1 + 2112], tmm3",
                    upper = out(reg) _,
                    lower = out(reg) _,
                    right = out(reg) _,
                    tiles = out(reg) _,
                    segment = inout(reg) segments.as_ptr() => _,
                    segments = inout(reg) segments.len() => _,
                    operands = in(reg) &raw const operands,
                    half = in(reg) SIDE / 2 * operands.stride,
                    stride = in(reg) operands.stride,
                    row = in(reg) 4 * SIDE,
                    sums = in(reg) sums.0.as_mut_ptr(),
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                )
            };
        }
        // SAFETY: the tiles are as `new` made them; the caller promises the unit and the operands, and
        // there is room for four tiles of sums.
        unsafe {
            match numbers {
                Numbers::Bf16 => with!("tdpbf16ps"),
                Numbers::Bytes => with!("tdpbssd"),
            }
        }
    }
}

impl Unit for Tiles {
    const SIDE: usize = SIDE;
    const STEPS: usize = STEPS;

    fn of_thread() -> Option<Self> {
        Self::new(Numbers::Bf16)
    }

    #[inline(always)]
    unsafe fn sums(&self, left: &[u32], right: &[u32], steps: usize, sums: &mut Sums) {
        let (tiles, stride) = (steps.div_ceil(STEPS), steps.next_multiple_of(STEPS));
        debug_assert!(left.len() >= SIDE * stride && right.len() >= SIDE * stride);
        let (left, right) = (left.as_ptr().cast(), right.as_ptr().cast());
        let operands = Operands { left, right, stride: 4 * stride, tiles };
        let whole = [Segment { left: 0, right: 0 }];
        let segments = if tiles == 0 { &[] } else { &whole[..] };
        // SAFETY: `of_thread` made a unit for bf16; the caller promises the numbers.
        unsafe { self.add_up(Numbers::Bf16, operands, segments, sums) };
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: whoever made this has the unit.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}
