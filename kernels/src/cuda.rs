//! Opens libtorch's CUDA libraries at run time and says what is missing when it can't.
//!
//! Nothing here computes; which devices exist is libtorch's to say, once its CUDA half is there.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Serialize;

/// What was found when the CUDA half of libtorch was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CudaLibraries {
    /// They are open.
    Open {
        /// The libraries, in the order in which they were opened.
        libraries: Vec<PathBuf>,
    },
    /// There is no NVIDIA driver, so they were left alone.
    NoDriver {
        /// What the system says about the driver's library.
        reason: String,
    },
    /// This libtorch has no CUDA half.
    CpuOnly {
        /// The folder that was searched.
        folder: PathBuf,
    },
    /// A library that they need is missing or does not fit.
    Broken {
        /// The system's words, which name the library.
        reason: String,
    },
}

impl std::fmt::Display for CudaLibraries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open { libraries } => {
                let names: Vec<String> =
                    libraries.iter().map(|l| l.display().to_string()).collect();
                write!(f, "open: {}", names.join(", "))
            }
            Self::NoDriver { reason } => write!(f, "no NVIDIA driver: {reason}"),
            Self::CpuOnly { folder } => {
                write!(f, "the libtorch in {} has no CUDA libraries", folder.display())
            }
            Self::Broken { reason } => write!(f, "libtorch's CUDA libraries do not load: {reason}"),
        }
    }
}

/// The driver's library, which comes with the driver and not with libtorch.
#[cfg(target_os = "windows")]
const DRIVER: &str = "nvcuda.dll";
#[cfg(not(target_os = "windows"))]
const DRIVER: &str = "libcuda.so.1";

#[cfg(target_os = "windows")]
const LIBRARIES: [&str; 2] = ["c10_cuda.dll", "torch_cuda.dll"];
#[cfg(not(target_os = "windows"))]
const LIBRARIES: [&str; 2] = ["libc10_cuda.so", "libtorch_cuda.so"];

/// Opens the CUDA half of the libtorch in `folder`, once in the life of the program; later calls
/// return what the first one found. Call it before libtorch is first used.
pub fn open_libraries(folder: &Path) -> &'static CudaLibraries {
    static FOUND: OnceLock<CudaLibraries> = OnceLock::new();
    FOUND.get_or_init(|| find(folder))
}

fn find(folder: &Path) -> CudaLibraries {
    if let Err(reason) = open_global(Path::new(DRIVER)) {
        return CudaLibraries::NoDriver { reason };
    }
    let libraries: Vec<PathBuf> = LIBRARIES.iter().map(|name| folder.join(name)).collect();
    if !libraries.iter().all(|library| library.is_file()) {
        return CudaLibraries::CpuOnly { folder: folder.to_owned() };
    }
    for library in &libraries {
        if let Err(reason) = open_global(library) {
            return CudaLibraries::Broken { reason };
        }
    }
    CudaLibraries::Open { libraries }
}

/// Opens a library for the rest of the program, with its symbols visible to all others.
fn open_global(library: &Path) -> Result<(), String> {
    #[cfg(unix)]
    let opened = {
        use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
        // SAFETY: opening a library runs its initialisers. Those of the CUDA driver and of
        // libtorch register themselves with libraries that are already loaded and have no other
        // precondition; the handle is leaked below, so that no code of theirs is ever unloaded.
        unsafe { Library::open(Some(library), RTLD_NOW | RTLD_GLOBAL) }
    };
    #[cfg(windows)]
    let opened = {
        use libloading::os::windows::Library;
        // SAFETY: as above; symbols of a DLL are always visible to those who ask for it by name.
        unsafe { Library::new(library) }
    };
    match opened {
        Ok(library) => {
            std::mem::forget(library);
            Ok(())
        }
        // The cause, not the error itself, names the library.
        Err(error) => {
            Err(std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string))
        }
    }
}

/// The folder from which libtorch was loaded into this program, if the system tells.
#[must_use]
pub fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    folder_in_maps(&maps)
}

fn folder_in_maps(maps: &str) -> Option<PathBuf> {
    maps.lines()
        .filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])))
        .find(|path| path.file_name().is_some_and(|name| name == "libtorch_cpu.so"))
        .and_then(Path::parent)
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_folder_in_a_memory_map() {
        let maps = "7f0-7f1 r-xp 00000000 08:01 12  /usr/lib/libc.so.6\n\
                    7f2-7f3 r-xp 00000000 08:01 13  /opt/a torch/lib/libtorch_cpu.so\n";
        assert_eq!(folder_in_maps(maps), Some(PathBuf::from("/opt/a torch/lib")));
        assert_eq!(folder_in_maps("7f0-7f1 rw-p 0 0:0 0 [heap]\n"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_missing_library_is_named() {
        let error = open_global(Path::new("/nowhere/libnone.so")).expect_err("it is not there");
        assert!(error.contains("libnone.so"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn an_existing_library_opens() {
        assert_eq!(open_global(Path::new("libm.so.6")), Ok(()));
    }
}
