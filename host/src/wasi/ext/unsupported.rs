//! Imports that no file system here answers yet: each ends the run, with its name.

use crate::call::Halt;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;

macro_rules! unsupported {
    ($($name:ident($($argument:ty),*);)*) => {
        $(pub(super) async fn $name(_frame: &mut Frame<'_>, $(_: $argument),*) -> Outcome {
            Err(Halt::Unsupported(stringify!($name)).into())
        })*
    };
}

unsupported! {
    path_chmod(u32, u32, u32, u32, u32);
    path_stat_ext(u32, u32, u32, u32, u32);
}
