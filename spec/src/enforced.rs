//! Which clauses a rule of this crate enforces, and from which level on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::LazyLock;

use crate::clause::Catalogue;
use crate::counts::ids;
use crate::promise::AfterFailure;
use crate::promise::ClearRule;
use crate::promise::Level;
use crate::promise::Observers;
use crate::promise::Promises;
use crate::promise::SyncfsReport;
use crate::promise::Unwritten;

macro_rules! enforced {
    ($($id:literal $level:ident,)*) => {
        /// The ids of all clauses that a rule enforces.
        pub const ENFORCED: &[&str] = &[$($id,)*];

        const LEVELS: &[(&str, Level)] = &[$(($id, Level::$level),)*];
    };
}

enforced! {
    "NS-CREATE-01" Posix,
    "NS-UNLINK-01" Posix,
    "NS-UNLINK-02" Posix,
    "NS-RENAME-01" Posix,
    "NS-RENAME-02" Posix,
    "NS-RENAME-03" Posix,
    "NS-RENAME-04" Linux,
    "NS-EXCH-01" Linux,
    "NS-UNNAMED-01" Linux,
    "NS-UNNAMED-02" Linux,
    "NS-LINK-01" Posix,
    "NS-DIR-01" Posix,
    "NS-READDIR-01" Posix,
    "NS-INO-01" Linux,
    "NS-EXCL-01" Posix,
    "LOCK-REC-01" Posix,
    "LOCK-REC-02" Posix,
    "LOCK-REC-03" Posix,
    "LOCK-REC-04" Posix,
    "LOCK-REC-05" Posix,
    "LOCK-REC-06" Posix,
    "LOCK-OFD-01" Linux,
    "LOCK-FILE-01" Linux,
    "LOCK-FILE-02" Linux,
    "LOCK-FILE-03" Linux,
    "DATA-RW-01" Posix,
    "DATA-RW-02" Posix,
    "DATA-RW-03" Posix,
    "DATA-RW-04" Posix,
    "DATA-RW-05" Posix,
    "DATA-RW-06" Posix,
    "DATA-OFF-01" Posix,
    "DATA-ISO-01" Strict,
    "DATA-ERR-01" Strict,
    "DATA-STALE-01" Strict,
    "DATA-DIO-01" Linux,
    "DATA-DIO-02" Linux,
    "TRUNC-01" Posix,
    "TRUNC-02" Posix,
    "TRUNC-03" Posix,
    "TRUNC-04" Linux,
    "APP-01" Posix,
    "APP-02" Posix,
    "MAP-01" Posix,
    "MAP-02" Linux,
    "MAP-03" Strict,
    "MAP-04" Strict,
    "MAP-05" Posix,
    "MAP-06" Posix,
    "MAP-07" Posix,
    "MAP-08" Posix,
    "MAP-09" Posix,
    "MAP-11" Linux,
    "MAP-12" Strict,
    "MAP-13" Posix,
    "MAP-14" Posix,
    "FALLOC-01" Posix,
    "FALLOC-02" Posix,
    "FALLOC-03" Linux,
    "FALLOC-04" Linux,
    "FALLOC-05" Linux,
    "SEEK-01" Posix,
    "SEEK-02" Posix,
    "SEEK-04" Posix,
    "SEEK-05" Linux,
    "SEEK-06" Strict,
    "SEEK-07" Strict,
    "COPY-01" Linux,
    "COPY-02" Linux,
    "COPY-03" Linux,
    "COPY-04" Linux,
    "COPY-05" Linux,
    "COPY-06" Linux,
    "COPY-07" Linux,
    "COPY-08" Linux,
    "COPY-09" Linux,
    "COPY-10" Linux,
    "COPY-11" Strict,
    "COPY-12" Linux,
    "DEDUP-01" Linux,
    "XATTR-01" Linux,
    "XATTR-02" Linux,
    "XATTR-03" Linux,
    "XATTR-04" Linux,
    "XATTR-05" Linux,
    "MODE-01" Posix,
    "MODE-02" Posix,
    "MODE-03" Linux,
    "MODE-04" Linux,
    "SNAP-01" Strict,
    "SNAP-02" Strict,
    "SNAP-03" Linux,
    "SNAP-04" Linux,
    "SNAP-05" Strict,
    "SNAP-06" Strict,
    "SNAP-07" Linux,
    "ALLOC-01" Strict,
    "ALLOC-02" Strict,
    "ALLOC-03" Strict,
    "ALLOC-04" Strict,
    "ALLOC-05" Strict,
    "ALLOC-06" Strict,
    "ALLOC-07" Strict,
    "REF-01" Strict,
    "REF-02" Strict,
    "REF-03" Strict,
    "REF-04" Strict,
    "RED-01" Strict,
    "RED-02" Strict,
    "RED-03" Strict,
    "RED-04" Strict,
    "RED-05" Linux,
    "RED-06" Linux,
    "RED-07" Linux,
    "RED-08" Linux,
    "RED-09" Strict,
    "RED-10" Strict,
    "DUR-FSYNC-01" Posix,
    "DUR-FSYNC-02" Linux,
    "DUR-FSYNC-03" Posix,
    "DUR-FSYNC-05" Strict,
    "DUR-FDS-01" Posix,
    "DUR-OSYNC-01" Posix,
    "DUR-MSYNC-01" Posix,
    "DUR-SYNCFS-01" Linux,
    "DUR-DIR-01" Linux,
    "DUR-DIR-02" Linux,
    "DUR-DIR-03" Strict,
    "DUR-RENAME-01" Linux,
    "DUR-RENAME-02" Linux,
    "DUR-LINK-01" Linux,
    "CRASH-01" Linux,
    "CRASH-02" Strict,
    "CRASH-03" Posix,
    "CRASH-04" Linux,
    "CRASH-05" Strict,
    "CRASH-06" Linux,
    "CRASH-07" Strict,
    "CRASH-08" Strict,
    "CRASH-09" Linux,
    "CRASH-12" Linux,
    "ERR-REPORT-01" Posix,
    "ERR-REPORT-02" Linux,
    "ERR-REPORT-03" Linux,
    "ERR-REPORT-04" Strict,
    "ERR-REPORT-05" Linux,
    "ERR-REPORT-06" Linux,
    "ERR-REPORT-07" Linux,
    "ERR-REPORT-08" Linux,
    "ERR-REPORT-09" Strict,
    "ERR-RETRY-01" Posix,
    "ERR-SUSP-01" Posix,
    "ERR-META-01" Strict,
    "ERR-STICKY-01" Strict,
    "ERR-STICKY-02" Linux,
    "ERR-STICKY-03" Posix,
    "ERR-STICKY-04" Posix,
    "ERR-REPORT-10" Posix,
    "ERR-REPORT-11" Posix,
    "ERR-CLAIM-01" Strict,
    "ERR-CLOSE-01" Linux,
    "ERR-FALSE-01" Linux,
    "ERR-FALSE-02" Strict,
    "LIM-01" Posix,
    "LIM-02" Posix,
    "LIM-03" Linux,
    "LIM-04" Linux,
    "LIM-05" Linux,
    "LIM-06" Linux,
    "LIM-07" Linux,
    "RSTAB-01" Posix,
    "RSTAB-02" Strict,
    "RSTAB-03" Strict,
}

/// Of each clause by its number: is it enforced under these promises, at this level?
pub(crate) fn enforced(promises: &Promises, level: Level) -> Arc<[bool]> {
    let binds = |number: usize| level_of(number).is_some_and(|from| from <= level);
    let ids = ids().iter().enumerate();
    ids.map(|(number, id)| binds(number) && is_promised(promises, id)).collect()
}

/// Is a clause promised at all, at whatever level?
fn is_promised(promises: &Promises, clause: &str) -> bool {
    let error = promises.error;
    match clause {
        // What is still due is told by whoever waits for it.
        "ERR-REPORT-07" => error.syncfs != SyncfsReport::Silent && !error.retries(),
        "ERR-RETRY-01" => error.retries(),
        "ERR-SUSP-01" => error.unwritten == Unwritten::WaitedFor,
        // Where old bytes come back only from the device, nobody promises when.
        "RSTAB-03" => error.after_failure != AfterFailure::MayRevertAfterEviction,
        "ERR-REPORT-11" => error.observers == Observers::Writer,
        "ERR-STICKY-03" => error.clear == ClearRule::LastClose,
        "ERR-STICKY-04" => error.clear == ClearRule::Remount,
        _ => true,
    }
}

/// The level from which on a clause of this number is enforced; a clause of no rule binds as the
/// catalogue says.
fn level_of(number: usize) -> Option<Level> {
    static BY_NUMBER: LazyLock<Vec<Option<Level>>> = LazyLock::new(|| {
        let ruled: BTreeMap<&str, Level> = LEVELS.iter().copied().collect();
        let told = |id: &str| Catalogue::embedded().get(id)?.level.level();
        ids().iter().map(|id| ruled.get(id).copied().or_else(|| told(id))).collect()
    });
    BY_NUMBER.get(number).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of every rule: where a clause has to be cited to be enforced.
    const RULES: &[&str] = &[
        include_str!("model/names.rs"),
        include_str!("model/regular.rs"),
        include_str!("ops/mod.rs"),
        include_str!("ops/permitted.rs"),
        include_str!("ops/flock.rs"),
        include_str!("ops/given_up.rs"),
        include_str!("ops/record_lock.rs"),
        include_str!("ops/open.rs"),
        include_str!("ops/read.rs"),
        include_str!("ops/write.rs"),
        include_str!("ops/seek.rs"),
        include_str!("ops/stat.rs"),
        include_str!("ops/truncate.rs"),
        include_str!("ops/unnamed.rs"),
        include_str!("ops/sync.rs"),
        include_str!("ops/read_directory.rs"),
        include_str!("ops/make_directory.rs"),
        include_str!("ops/remove.rs"),
        include_str!("ops/rename.rs"),
        include_str!("ops/exchange.rs"),
        include_str!("ops/memory.rs"),
        include_str!("ops/mmap.rs"),
        include_str!("ops/mprotect.rs"),
        include_str!("ops/cut.rs"),
        include_str!("ops/snapshot.rs"),
        include_str!("ops/space.rs"),
        include_str!("ops/store.rs"),
        include_str!("ops/load.rs"),
        include_str!("ops/msync.rs"),
        include_str!("errors/mapped.rs"),
        include_str!("errors/placed.rs"),
        include_str!("ops/allocate.rs"),
        include_str!("ops/room.rs"),
        include_str!("ops/attribute.rs"),
        include_str!("ops/mode.rs"),
        include_str!("ops/search.rs"),
        include_str!("ops/share.rs"),
        include_str!("crash/attributes.rs"),
        include_str!("ops/link.rs"),
        include_str!("crash/adopt.rs"),
        include_str!("crash/mod.rs"),
        include_str!("crash/content.rs"),
        include_str!("crash/names.rs"),
        include_str!("crash/order.rs"),
        include_str!("crash/survive.rs"),
        include_str!("errors/failure.rs"),
        include_str!("errors/kind.rs"),
        include_str!("errors/ledger.rs"),
        include_str!("errors/success.rs"),
        include_str!("errors/reads.rs"),
    ];

    #[test]
    fn every_enforced_clause_is_cited_by_a_rule() {
        for id in ENFORCED {
            let quoted = format!("\"{id}\"");
            assert!(RULES.iter().any(|rule| rule.contains(&quoted)), "no rule cites {id}");
        }
    }

    #[test]
    fn every_clause_is_enforced_from_the_level_that_the_catalogue_tells() {
        for (id, level) in LEVELS {
            let clause = Catalogue::embedded().get(id).expect("the catalogue has it");
            // What only a profile promises binds at every level, under that profile.
            let told = clause.level.level().unwrap_or(Level::Posix);
            assert_eq!(told, *level, "{id}");
        }
    }

    #[test]
    fn every_clause_is_enforced_once() {
        for (at, id) in ENFORCED.iter().enumerate() {
            assert!(!ENFORCED[..at].contains(id), "{id}");
        }
    }
}
