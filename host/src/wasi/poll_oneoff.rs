//! `poll_oneoff`.
//!
//! Files, standard input and output are always ready. Where only clocks are waited for, nothing
//! waits: the clock jumps to the earliest deadline, and other tasks run first.

use crate::sim::Sim;
use crate::wasi::abi;
use crate::wasi::clock::Clock;
use crate::wasi::errno::AbiErrno;
use crate::wasi::fds::Target;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::memory::u32_at;
use crate::wasi::memory::u64_at;
use crate::wasi::rights;

/// What one subscription waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// This many nanoseconds from now.
    Clock { remaining_nanos: u64 },
    /// A descriptor; it is ready, or it is an error to wait for it.
    Descriptor { fd: u32, is_read: bool },
    /// Something that there is not.
    Refused(AbiErrno),
}

#[derive(Debug, Clone, Copy)]
struct Subscription {
    userdata: u64,
    tag: u8,
    awaited: Awaited,
}

fn decode_clock(record: &[u8], sim: &Sim) -> Awaited {
    let clock = match Clock::decode(u32_at(record, 16)) {
        Ok(clock) => clock,
        Err(errno) => return Awaited::Refused(errno),
    };
    let timeout = u64_at(record, 24);
    let flags = u16::from_le_bytes([record[40], record[41]]);
    let remaining_nanos = if flags & abi::CLOCK_ABSOLUTE != 0 {
        timeout.saturating_sub(clock.now_nanos(sim))
    } else {
        timeout
    };
    Awaited::Clock { remaining_nanos }
}

fn decode(record: &[u8], sim: &Sim) -> Result<Subscription, AbiErrno> {
    let (userdata, tag) = (u64_at(record, 0), record[8]);
    let awaited = match tag {
        abi::EVENT_CLOCK => decode_clock(record, sim),
        abi::EVENT_FD_READ | abi::EVENT_FD_WRITE => {
            Awaited::Descriptor { fd: u32_at(record, 16), is_read: tag == abi::EVENT_FD_READ }
        }
        3.. => return Err(AbiErrno::Inval),
    };
    Ok(Subscription { userdata, tag, awaited })
}

/// Result of one subscription: errno, bytes ready, flags.
type Ready = (AbiErrno, u64, u16);

fn descriptor(frame: &mut Frame<'_>, fd: u32, is_read: bool) -> Ready {
    let needed = rights::POLL_FD_READWRITE;
    match frame.target(fd, needed) {
        Ok(Target::Stdin) if is_read => {
            let left = frame.process().input.0.len() as u64;
            (AbiErrno::Success, left, if left == 0 { abi::EVENT_HANGUP } else { 0 })
        }
        Ok(Target::Stdin) => (AbiErrno::Badf, 0, 0),
        Ok(Target::Stdout | Target::Stderr) if is_read => (AbiErrno::Badf, 0, 0),
        Ok(Target::Stdout | Target::Stderr) => (AbiErrno::Success, 4096, 0),
        Ok(Target::Handle { .. }) => (AbiErrno::Success, 1, 0),
        Err(_) => (AbiErrno::Badf, 0, 0),
    }
}

fn encode(subscription: &Subscription, (errno, count, flags): Ready) -> [u8; 32] {
    let mut event = [0; abi::EVENT_BYTES as usize];
    event[0..8].copy_from_slice(&subscription.userdata.to_le_bytes());
    event[8..10].copy_from_slice(&errno.number().to_le_bytes());
    event[10] = subscription.tag;
    event[16..24].copy_from_slice(&count.to_le_bytes());
    event[24..26].copy_from_slice(&flags.to_le_bytes());
    event
}

/// How long to wait: not at all if anything but clocks is waited for.
fn wait_nanos(subscriptions: &[Subscription]) -> u64 {
    let wait = |subscription: &Subscription| match subscription.awaited {
        Awaited::Clock { remaining_nanos } => remaining_nanos,
        Awaited::Descriptor { .. } | Awaited::Refused(_) => 0,
    };
    subscriptions.iter().map(wait).min().unwrap_or(0)
}

pub(super) async fn poll_oneoff(
    frame: &mut Frame<'_>,
    input: u32,
    output: u32,
    count: u32,
    result: u32,
) -> Outcome {
    if count == 0 || count > abi::SUBSCRIPTION_COUNT_MAX {
        return Err(AbiErrno::Inval.into());
    }
    let input = frame.places(input, count, abi::SUBSCRIPTION_BYTES)?;
    let output = frame.places(output, count, abi::EVENT_BYTES)?;
    let result = frame.place(result, 4)?;
    let sim = frame.process().sim.clone();
    let subscriptions = frame
        .read(&input)
        .chunks_exact(abi::SUBSCRIPTION_BYTES as usize)
        .map(|record| decode(record, &sim))
        .collect::<Result<Vec<_>, _>>()?;

    let wait = wait_nanos(&subscriptions);
    if wait > 0 {
        sim.advance_nanos(wait);
        sim.yield_now().await;
    }
    let mut events = Vec::new();
    for subscription in &subscriptions {
        let ready = match subscription.awaited {
            Awaited::Clock { remaining_nanos } if remaining_nanos > wait => continue,
            Awaited::Clock { .. } => (AbiErrno::Success, 0, 0),
            Awaited::Descriptor { fd, is_read } => descriptor(frame, fd, is_read),
            Awaited::Refused(errno) => (errno, 0, 0),
        };
        events.extend_from_slice(&encode(subscription, ready));
    }
    frame.write(&output, &events);
    // At most as many events as subscriptions.
    let count = events.len() as u32 / abi::EVENT_BYTES;
    frame.write(&result, &count.to_le_bytes());
    Ok(())
}
