//! A file system that stopped, because records of its own could not be written: what it still
//! answers.

use crate::call::Attribute;
use crate::call::Errno;
use crate::call::Manage;
use crate::call::Request;
use crate::cow::RecordFailure;
use crate::vfs::ReferenceVfs;

impl ReferenceVfs {
    /// What a request is told that is not answered any more.
    pub(super) fn stopped(&self, request: &Request) -> Option<Errno> {
        match self.cow.stopped() {
            RecordFailure::Continues => None,
            RecordFailure::ReadOnly if changes(request) => Some(Errno::ReadOnly),
            RecordFailure::ReadOnly => None,
            RecordFailure::Shutdown => {
                let lets_go = matches!(request, Request::Close { .. } | Request::Lock(_));
                (!lets_go).then_some(Errno::Io)
            }
        }
    }
}

/// Does a request change what is on the medium? A mapped store does not, before it is written back.
fn changes(request: &Request) -> bool {
    if let Request::Open { options, .. } = request {
        return options.create || options.truncate || options.write;
    }
    matches!(
        request,
        Request::Write { .. }
            | Request::SetTimes { .. }
            | Request::SetTimesHandle { .. }
            | Request::SetMode { .. }
            | Request::SetModeHandle { .. }
            | Request::Truncate { .. }
            | Request::Allocate { .. }
            | Request::CopyRange { .. }
            | Request::CloneRange { .. }
            | Request::DedupeRange { .. }
            | Request::MakeDirectory { .. }
            | Request::RemoveDirectory { .. }
            | Request::Unlink { .. }
            | Request::Rename { .. }
            | Request::Exchange { .. }
            | Request::Link { .. }
            | Request::OpenUnnamed { .. }
            | Request::LinkHandle { .. }
            | Request::Symlink { .. }
            | Request::Attribute(Attribute::Set { .. } | Attribute::Remove { .. })
            | Request::Manage(
                Manage::Snapshot { .. }
                    | Manage::DeleteSnapshot { .. }
                    | Manage::SetCompression { .. }
                    | Manage::SetNoCow { .. },
            )
    )
}
