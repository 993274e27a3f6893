//! Finds and kills everything that descends from this process.

use std::collections::BTreeMap;

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

/// Kills every process that descends from this one, once. Returns how many there were.
///
/// A process may fork while the list is read, so the caller repeats this until it has no children
/// left: a child that was orphaned becomes this process's own, as this is the subreaper.
//= docs/threat-model.md#T7
pub(super) fn kill_all() -> usize {
    let descendants = of(getpid().as_raw_nonzero().get(), &parents());
    for (pid, parent) in &descendants {
        kill(*pid, *parent);
    }
    descendants.len()
}

/// Kills one process if it is still the one that was seen, and not a stranger who got its number.
fn kill(pid: i32, parent: i32) {
    let Some(known) = Pid::from_raw(pid) else { return };
    let Ok(process) = pidfd_open(known, PidfdFlags::empty()) else { return };
    if parent_of(pid) == Some(parent) {
        // It may have ended meanwhile, which is what is wanted.
        pidfd_send_signal(process, Signal::KILL).ok();
    }
}

/// Returns each process and its parent.
fn parents() -> Vec<(i32, i32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((pid, parent_of(pid)?))
        })
        .collect()
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    parent_in(&String::from_utf8_lossy(&stat))
}

/// Reads the parent out of a `stat` line: `pid (name) state parent …`, where a name may hold anything.
fn parent_in(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn of(ancestor: i32, parents: &[(i32, i32)]) -> BTreeMap<i32, i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (pid, parent) in parents {
        children.entry(*parent).or_default().push(*pid);
    }
    let mut found = BTreeMap::new();
    let mut open = vec![ancestor];
    while let Some(parent) = open.pop() {
        for pid in children.remove(&parent).unwrap_or_default() {
            if found.insert(pid, parent).is_none() {
                open.push(pid);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_descendants_are_found() {
        let parents = [(1, 0), (10, 1), (11, 10), (12, 11), (13, 10), (20, 1), (21, 20)];
        assert_eq!(of(10, &parents), BTreeMap::from([(11, 10), (12, 11), (13, 10)]));
        assert_eq!(of(21, &parents), BTreeMap::new());
    }

    #[test]
    fn a_name_cannot_pretend_to_be_a_parent() {
        assert_eq!(parent_in("7 (sh) S 3 7 7 0"), Some(3));
        assert_eq!(parent_in("7 (a) S 1 (b) S 3 7"), Some(3));
        assert_eq!(parent_in("7 (x"), None);
    }
}
