//! How many processors this process may use: one budget, of which every job with its threads takes
//! a part.

use std::path::Path;

/// Processors that this process may use: its affinity and the quotas of its control groups count.
pub(crate) fn count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Where [`count`] comes from, in words.
pub(crate) fn origin() -> String {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let groups = read("/proc/self/cgroup".as_ref()).unwrap_or_default();
    let allowed = read("/proc/self/status".as_ref()).and_then(|status| allowed(&status));
    let present =
        read("/sys/devices/system/cpu/online".as_ref()).map_or(0, |list| in_list(list.trim()));
    explained(count(), quota(&groups, read), allowed, present)
}

/// A limit of a control group.
#[derive(Debug, PartialEq)]
struct Quota {
    /// In processors.
    processors: f64,
    version: u8,
}

fn explained(count: usize, quota: Option<Quota>, allowed: Option<usize>, present: usize) -> String {
    match (quota, allowed) {
        (Some(Quota { processors, version }), _) if processors < (count + 1) as f64 => {
            format!("CPU quota of {processors} (cgroup v{version})")
        }
        (_, Some(allowed)) if allowed < present => {
            format!("affinity: {allowed} of {present} processors")
        }
        _ => "all processors of this machine".to_owned(),
    }
}

/// The least quota of the control groups that `groups`, as in /proc/self/cgroup, and their parents
/// have.
fn quota(groups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<Quota> {
    let mut least: Option<Quota> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let version = match controllers {
            "" => 2,
            some if some.split(',').any(|name| name == "cpu") => 1,
            _ => continue,
        };
        let mounts: &[&str] = match version {
            2 => &["/sys/fs/cgroup", "/sys/fs/cgroup/unified"],
            _ => &["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"],
        };
        for (mount, group) in
            mounts.iter().flat_map(|mount| Path::new(path).ancestors().map(move |g| (mount, g)))
        {
            let folder = Path::new(mount).join(group.strip_prefix("/").unwrap_or(group));
            let number = |name: &str| -> Option<f64> {
                read(&folder.join(name))?.trim().parse().ok().filter(|number| *number > 0.0)
            };
            let processors = match version {
                2 => read(&folder.join("cpu.max")).as_deref().and_then(of_max),
                _ => {
                    number("cpu.cfs_quota_us").zip(number("cpu.cfs_period_us")).map(|(q, p)| q / p)
                }
            };
            if let Some(processors) = processors
                && least.as_ref().is_none_or(|least| processors < least.processors)
            {
                least = Some(Quota { processors, version });
            }
        }
    }
    least
}

/// `max 100000` is no limit, `150000 100000` is one of 1.5 processors.
fn of_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period) = (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?);
    (period > 0.0).then_some(quota / period)
}

/// Processors that `status`, as in /proc/self/status, allows.
fn allowed(status: &str) -> Option<usize> {
    status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .map(str::trim)
        .map(in_list)
}

/// Numbers in a list such as `0-3,8`.
fn in_list(list: &str) -> usize {
    let length = |part: &str| -> Option<usize> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        last.checked_sub(first)?.checked_add(1)
    };
    list.split(',').filter_map(length).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_quotas_of_both_versions_are_found() {
        let files = |found: &'static [(&str, &str)]| {
            move |path: &Path| {
                let entry = found.iter().find(|(name, _)| Path::new(name) == path);
                entry.map(|(_, text)| (*text).to_owned())
            }
        };
        let v2 = files(&[
            ("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
            ("/sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
        ]);
        let quota_of = |processors, version| Some(Quota { processors, version });
        assert_eq!(quota("0::/a/b\n", v2), quota_of(1.5, 2));
        let v1 = files(&[
            ("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "200000\n"),
            ("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n"),
            ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(quota("5:memory:/x\n4:cpu,cpuacct:/x\n", v1), quota_of(2.0, 1));
        assert_eq!(quota("0::/\n", files(&[])), None);
    }

    #[test]
    fn threads_the_number_has_a_reason() {
        let quota = || Some(Quota { processors: 1.5, version: 2 });
        assert_eq!(explained(1, quota(), Some(8), 8), "CPU quota of 1.5 (cgroup v2)");
        assert_eq!(
            explained(1, None, allowed("a: 1\nCpus_allowed_list:\t3\n"), 8),
            "affinity: 1 of 8 processors"
        );
        assert_eq!(
            explained(8, None, Some(in_list("0-3,8-11")), 8),
            "all processors of this machine"
        );
    }
}
