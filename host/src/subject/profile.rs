//! Profiles of the stack: how it behaves when writes fail. Data, not code: `host/profiles`, one
//! file each. What is expected of each is another file, in `spec/profiles`, made from the same
//! sources and not from this one.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use crate::cache::ClearRule;
use crate::cache::CloseReports;
use crate::cache::ErrorPolicy;
use crate::cache::Observers;
use crate::cache::PageAfterFailure;
use crate::cache::ReportTime;
use crate::cache::SizeAfterFailure;
use crate::cache::Suspension;
use crate::cache::SyncAllReports;
use crate::cache::Syncs;
use crate::cow::RecordFailure;
use crate::subject::Policies;

/// How a stack behaves, as it is written in a profile.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    observers: Spanned<Observers>,
    clear: Spanned<ClearRule>,
    report: Spanned<ReportTime>,
    page_after_failure: Spanned<PageAfterFailure>,
    size_after_failure: Spanned<SizeAfterFailure>,
    survives_eviction: Spanned<bool>,
    syncfs: Spanned<SyncAllReports>,
    close: Spanned<CloseReports>,
    suspend: Spanned<Suspension>,
    syncs: Spanned<Syncs>,
    log_failure: RecordFailure,
    tree_failure: RecordFailure,
}

/// Two values of a profile that cannot go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impossible {
    /// Where in the text the value is that is to be changed.
    pub place: Range<usize>,
    key: &'static str,
    why: &'static str,
}

impl fmt::Display for Impossible {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.key, self.why)
    }
}

impl Behaviour {
    /// The policies of the layers.
    ///
    /// # Errors
    /// If two of its values cannot go together.
    pub fn policies(&self) -> Result<Policies, Impossible> {
        let mut policies = Policies::reporting(self.errors()?);
        policies.cow.log_failure = self.log_failure;
        policies.cow.flush_failure = self.log_failure;
        policies.cow.tree_failure = self.tree_failure;
        Ok(policies)
    }

    fn errors(&self) -> Result<ErrorPolicy, Impossible> {
        let policy = ErrorPolicy {
            observers: *self.observers.get_ref(),
            clear_rule: *self.clear.get_ref(),
            report: *self.report.get_ref(),
            page_after_failure: *self.page_after_failure.get_ref(),
            size_after_failure: *self.size_after_failure.get_ref(),
            survives_eviction: *self.survives_eviction.get_ref(),
            sync_all: *self.syncfs.get_ref(),
            close: *self.close.get_ref(),
            suspension: *self.suspend.get_ref(),
            syncs: *self.syncs.get_ref(),
        };
        let Some(conflict) = policy.conflict() else { return Ok(policy) };
        let place = match conflict.key {
            "clear" => self.clear.span(),
            "report" => self.report.span(),
            "suspend" => self.suspend.span(),
            "syncs" => self.syncs.span(),
            _ => self.survives_eviction.span(),
        };
        Err(Impossible { place, key: conflict.key, why: conflict.why })
    }
}

macro_rules! embedded {
    ($($name:literal)*) => {
        /// The profiles of this program, the default first: name and text.
        const EMBEDDED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../profiles/", $name, ".toml"))),)*];
    };
}

embedded! {
    "strict-sticky"
    "strict-retry"
    "linux-flags"
    "linux-errseq-4.13"
    "linux-errseq-4.17"
    "linux-5.8"
    "ext4-ordered"
    "ext4-data-journal"
    "xfs"
    "xfs-before-5.19"
    "btrfs-before-6.6"
    "openbsd-vnode"
    "freebsd-redirty"
    "illumos-redirty"
    "zfs-wait"
    "zfs-continue"
    "gluster-forget"
    "gluster-resync"
    "qemu-file-posix"
    "overlay-volatile"
    "nfs-context"
}

/// The names of all profiles, the default first.
pub fn profile_names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|(name, _)| *name)
}

/// The text of a profile of this program.
#[must_use]
pub fn profile_text(name: &str) -> Option<&'static str> {
    EMBEDDED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The policies of a profile of this program.
#[must_use]
pub fn profile_named(name: &str) -> Option<Policies> {
    let text = profile_text(name)?;
    let read: Behaviour = toml::from_str(text).expect("each embedded profile is read by a test");
    Some(read.policies().expect("each embedded profile is read by a test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_of_this_program_is_read_and_goes_together() {
        for (name, text) in EMBEDDED {
            let read = toml::from_str::<Behaviour>(text).map_err(|error| error.to_string());
            let policy = read.and_then(|read| read.errors().map_err(|error| error.to_string()));
            assert!(policy.is_ok(), "{name}: {policy:?}");
        }
        assert!(profile_named("fat12").is_none());
    }

    #[test]
    fn the_default_is_what_the_program_assumes() {
        let errors = profile_named("strict-sticky").map(|policies| policies.cache.errors);
        assert_eq!(errors, Some(ErrorPolicy::STRICT_STICKY));
    }
}
