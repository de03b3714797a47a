//! Imports that no file system here answers yet: each ends the run, with its name.

use crate::call::Halt;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;

macro_rules! unsupported {
    ($($name:ident($($argument:ty),*);)*) => {
        $(#[allow(clippy::too_many_arguments, reason = "the ABI has them")]
        pub(super) async fn $name(_frame: &mut Frame<'_>, $(_: $argument),*) -> Outcome {
            Err(Halt::Unsupported(stringify!($name)).into())
        })*
    };
}

unsupported! {
    fd_clone_range(u32, u64, u64, u32, u64);
    fd_copy_range(u32, u64, u32, u64, u64, u32, u32);
    fd_dedupe_range(u32, u64, u64, u32, u64, u32);
    fd_xattr_get(u32, u32, u32, u32, u32, u32);
    fd_xattr_list(u32, u32, u32, u32);
    fd_xattr_remove(u32, u32, u32);
    fd_xattr_set(u32, u32, u32, u32, u32, u32);
    path_chmod(u32, u32, u32, u32, u32);
    path_stat_ext(u32, u32, u32, u32, u32);
}
