//! `path_rename2`: a rename that replaces nothing, or an exchange.

use crate::call::Halt;
use crate::call::Request;
use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Failure;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::rights;

const RENAME_NOREPLACE: u32 = 1;
const RENAME_EXCHANGE: u32 = 2;
const RENAME_WHITEOUT: u32 = 4;

/// What the flags ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Replace,
    NoReplace,
    Exchange,
}

fn decode(flags: u32) -> Result<Kind, Failure> {
    match flags {
        0 => Ok(Kind::Replace),
        RENAME_NOREPLACE => Ok(Kind::NoReplace),
        RENAME_EXCHANGE => Ok(Kind::Exchange),
        _ if flags & !(RENAME_NOREPLACE | RENAME_WHITEOUT) == 0 => {
            Err(Halt::Unsupported("path_rename2 with RENAME_WHITEOUT").into())
        }
        _ => Err(AbiErrno::Inval.into()),
    }
}

#[expect(clippy::too_many_arguments, reason = "the ABI has them")]
pub(super) async fn path_rename2(
    frame: &mut Frame<'_>,
    from_fd: u32,
    from: u32,
    from_len: u32,
    to_fd: u32,
    to: u32,
    to_len: u32,
    flags: u32,
) -> Outcome {
    let kind = decode(flags)?;
    let both = rights::PATH_RENAME_SOURCE | rights::PATH_RENAME_TARGET;
    let (of_source, of_target) = match kind {
        Kind::Exchange => (both, both),
        Kind::Replace | Kind::NoReplace => (rights::PATH_RENAME_SOURCE, rights::PATH_RENAME_TARGET),
    };
    let from = frame.at(from_fd, of_source, from, from_len)?;
    let to = frame.at(to_fd, of_target, to, to_len)?;
    frame
        .ask_done(match kind {
            Kind::Replace => Request::Rename { from, to, replace: true },
            Kind::NoReplace => Request::Rename { from, to, replace: false },
            Kind::Exchange => Request::Exchange { from, to },
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasi::process::End;

    #[test]
    fn flags_mean_what_linux_says_and_a_whiteout_ends_the_run() {
        let decoded = |flags| decode(flags).ok();
        assert_eq!(decoded(0), Some(Kind::Replace));
        assert_eq!(decoded(1), Some(Kind::NoReplace));
        assert_eq!(decoded(2), Some(Kind::Exchange));
        let halts = |flags| matches!(decode(flags), Err(Failure::End(End::Halted(_))));
        assert!(halts(4) && halts(5));
        for flags in [3, 6, 7, 8, 9, 1 << 31] {
            assert!(matches!(decode(flags), Err(Failure::Errno(AbiErrno::Inval))), "{flags}");
        }
    }
}
