//! Packages of the operating system. A further need is one more entry in a table.
//!
//! Installed when this program may (root on a system with apt), else named in one line.

use std::env;
use std::process::Command;

use super::python;
use crate::problem::{Problem, Result};
use crate::shell;

/// Package managers: the program that tells whether it is there, and how it installs.
const MANAGERS: [(&str, &str); 5] = [
    ("apt-get", "sudo apt-get install -y"),
    ("dnf", "sudo dnf install -y"),
    ("pacman", "sudo pacman -S --needed"),
    ("zypper", "sudo zypper install -y"),
    ("brew", "brew install"),
];
/// The one that [`install_with_apt`] uses.
const APT: usize = 0;

/// Something that a build needs from the system, and the package that holds it.
pub(crate) struct Need {
    what: &'static str,
    present: fn() -> bool,
    /// The package's name for each of [`MANAGERS`].
    packages: [&'static str; MANAGERS.len()],
}

/// Needed by every build.
pub(crate) const BUILD: &[Need] = &[Need {
    what: "a C++ compiler",
    present: has_cxx,
    packages: ["g++", "gcc-c++", "gcc", "gcc-c++", "gcc"],
}];

/// Needed to install libtorch, and not afterwards.
pub(crate) const INSTALL: &[Need] = &[Need {
    what: "Python 3 with pip",
    present: || python::installer().is_some(),
    packages: ["python3-pip", "python3-pip", "python-pip", "python3-pip", "python"],
}];

fn has_cxx() -> bool {
    if cfg!(windows) {
        return true; // Rust's own check for the Visual Studio tools comes first and says more
    }
    let named = env::var("CXX").ok().filter(|cxx| !cxx.is_empty());
    match named {
        Some(cxx) => {
            cxx.split_whitespace().next().is_some_and(|cxx| shell::works(cxx, &["--version"]))
        }
        None => ["c++", "g++", "clang++"].iter().any(|cxx| shell::works(cxx, &["--version"])),
    }
}

/// Sees to it that all `needs` are there.
pub(crate) fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = missing.iter().map(|need| need.what).collect::<Vec<_>>().join(", ");
    if shell::works("apt-get", &["--version"]) && is_root() {
        install_with_apt(&what, &missing)?;
        if missing.iter().all(|need| (need.present)()) {
            return Ok(());
        }
    }
    Err(Problem::new(format!("this machine lacks {what}"), remedy(&missing)))
}

fn is_root() -> bool {
    shell::output("id", &["-u"]).is_some_and(|uid| uid.trim() == "0")
}

fn install_with_apt(what: &str, missing: &[&Need]) -> Result<()> {
    eprintln!("setup: installing {what}");
    let remedy = remedy(missing);
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    shell::run(&mut apt(&["update", "-qq"]), &remedy)?;
    let packages = missing.iter().map(|need| need.packages[APT]);
    shell::run(
        apt(&["install", "-y", "-qq", "--no-install-recommends", "-o=Dpkg::Use-Pty=0"])
            .args(packages),
        &remedy,
    )
}

/// One line that installs what is missing, for the package manager that this system has.
fn remedy(missing: &[&Need]) -> String {
    let packages = |manager: usize| {
        missing.iter().map(|need| need.packages[manager]).collect::<Vec<_>>().join(" ")
    };
    match MANAGERS.iter().position(|(program, _)| shell::works(program, &["--version"])) {
        Some(manager) => {
            let install = MANAGERS[manager].1;
            format!("run `{install} {}`, then this command again", packages(manager))
        }
        None => format!(
            "install it with your system's package manager (Debian calls it {}), then run this command again",
            packages(APT)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Need = Need {
        what: "a unicorn",
        present: || false,
        packages: ["libunicorn-dev", "unicorn-devel", "unicorn", "unicorn-devel", "unicorn"],
    };

    #[test]
    fn remedy_names_the_package() {
        let text = remedy(&[&NEVER]);
        assert!(text.contains("unicorn") && text.ends_with("this command again"), "{text}");
    }

    #[test]
    fn what_is_there_is_not_asked_for() {
        assert!(ensure(&[Need { present: || true, ..NEVER }]).is_ok());
    }
}
