//! Intel's matrix unit (AMX): tiles of 16 rows of 64 bytes, and products of such tiles of bf16.
//!
//! Rows of the left operand lie as they are, [`STEPS`] numbers in a tile's row; panels of the right
//! operand are those of other products. Both have zeros up to a whole number of tiles.

use std::arch::asm;
use std::sync::OnceLock;

use super::precision::{Strided, Sums, Unit};

/// Rows and columns of the sums that are computed at once: two by two tiles.
const SIDE: usize = 32;

/// Steps of the inner axis, two elements each, in a tile.
const STEPS: usize = 16;

/// Whether this processor has the unit, and the system lets this program use it.
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        // Tiles and their products of bf16: leaf 7, bits 24 and 22 of EDX.
        const FEATURES: u32 = 1 << 24 | 1 << 22;
        std::arch::x86_64::__cpuid_count(7, 0).edx & FEATURES == FEATURES && is_permitted()
    })
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
pub(super) struct Tiles(());

impl Unit for Tiles {
    const SIDE: usize = SIDE;
    const STEPS: usize = STEPS;

    fn of_thread() -> Option<Self> {
        #[repr(C, align(64))]
        struct Config([u8; 64]);
        if !is_available() {
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

    #[inline(always)]
    unsafe fn sums(&self, left: &[u32], right: &[u32], steps: usize, sums: &mut Sums) {
        let steps = steps.next_multiple_of(STEPS);
        let strides = Strided { row: steps, tap: 0, taps: 1, steps, plane: 0, parts: 1 };
        // SAFETY: the caller's promises.
        unsafe { self.strided_sums(left, strides, right, sums) };
    }

    #[inline(always)]
    unsafe fn strided_sums(&self, left: &[u32], strides: Strided, right: &[u32], sums: &mut Sums) {
        let Strided { row, tap, taps, steps, plane, parts } = strides;
        let tiles = steps / STEPS;
        if tiles == 0 || taps == 0 {
            return sums.0.fill(0.0);
        }
        let seen = (SIDE - 1) * row + (taps - 1) * tap + steps;
        debug_assert!(left.len() >= seen + (parts - 1) * plane);
        debug_assert!(steps % STEPS == 0 && right.len() >= SIDE * taps * steps * parts);
        if parts == 3 {
            // SAFETY: the tiles are as `of_thread` made them; the caller promises the numbers, and there
            // is room for four tiles of sums. Of the products of parts, the six largest.
            unsafe {
                asm!(
                    "tilezero tmm0",
                    "tilezero tmm1",
                    "tilezero tmm2",
                    "tilezero tmm3",
                    "2:",
                    "mov {count}, {tiles}",
                    "3:",
                    "tileloadd tmm6, [{right} + {row}*1]",
                    "tileloadd tmm7, [{right} + {row}*1 + 64]",
                    "tileloadd tmm4, [{upper} + {stride}*1]",
                    "tileloadd tmm5, [{lower} + {stride}*1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "add {upper}, {plane}",
                    "add {lower}, {plane}",
                    "tileloadd tmm4, [{upper} + {stride}*1]",
                    "tileloadd tmm5, [{lower} + {stride}*1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "add {upper}, {plane}",
                    "add {lower}, {plane}",
                    "tileloadd tmm4, [{upper} + {stride}*1]",
                    "tileloadd tmm5, [{lower} + {stride}*1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "sub {upper}, {plane}",
                    "sub {lower}, {plane}",
                    "tileloadd tmm6, [{right} + {row}*1 + 2048]",
                    "tileloadd tmm7, [{right} + {row}*1 + 2112]",
                    "tileloadd tmm4, [{upper} + {stride}*1]",
                    "tileloadd tmm5, [{lower} + {stride}*1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "sub {upper}, {plane}",
                    "sub {lower}, {plane}",
                    "tileloadd tmm4, [{upper} + {stride}*1]",
                    "tileloadd tmm5, [{lower} + {stride}*1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "tileloadd tmm6, [{right} + {row}*1 + 4096]",
                    "tileloadd tmm7, [{right} + {row}*1 + 4160]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "add {upper}, 64",
                    "add {lower}, 64",
                    "add {right}, 6144",
                    "dec {count}",
                    "jnz 3b",
                    "add {upper}, {next}",
                    "add {lower}, {next}",
                    "dec {taps}",
                    "jnz 2b",
                    "tilestored [{sums} + {row}*1], tmm0",
                    "tilestored [{sums} + {row}*1 + 64], tmm1",
                    "tilestored [{sums} + {row}*1 + 2048], tmm2",
                    "tilestored [{sums} + {row}*1 + 2112], tmm3",
                    upper = inout(reg) left.as_ptr() => _,
                    lower = inout(reg) left[SIDE / 2 * row..].as_ptr() => _,
                    right = inout(reg) right.as_ptr() => _,
                    count = out(reg) _,
                    tiles = in(reg) tiles,
                    taps = inout(reg) taps => _,
                    next = in(reg) 4 * (tap as isize - steps as isize),
                    stride = in(reg) 4 * row,
                    plane = in(reg) 4 * plane,
                    row = in(reg) 4 * SIDE,
                    sums = in(reg) sums.0.as_mut_ptr(),
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
            return;
        }
        // SAFETY: the tiles are as `of_thread` made them; the caller promises the numbers, and there
        // is room for four tiles of sums.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "mov {count}, {tiles}",
                "3:",
                "tileloadd tmm4, [{upper} + {stride}*1]",
                "tileloadd tmm6, [{right} + {row}*1]",
                "tileloadd tmm7, [{right} + {row}*1 + 64]",
                "tileloadd tmm5, [{lower} + {stride}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {upper}, 64",
                "add {lower}, 64",
                "add {right}, 2048",
                "dec {count}",
                "jnz 3b",
                "add {upper}, {next}",
                "add {lower}, {next}",
                "dec {taps}",
                "jnz 2b",
                "tilestored [{sums} + {row}*1], tmm0",
                "tilestored [{sums} + {row}*1 + 64], tmm1",
                "tilestored [{sums} + {row}*1 + 2048], tmm2",
                "tilestored [{sums} + {row}*1 + 2112], tmm3",
                upper = inout(reg) left.as_ptr() => _,
                lower = inout(reg) left[SIDE / 2 * row..].as_ptr() => _,
                right = inout(reg) right.as_ptr() => _,
                count = out(reg) _,
                tiles = in(reg) tiles,
                taps = inout(reg) taps => _,
                next = in(reg) 4 * (tap as isize - steps as isize),
                stride = in(reg) 4 * row,
                row = in(reg) 4 * SIDE,
                sums = in(reg) sums.0.as_mut_ptr(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: whoever made this has the unit.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}
