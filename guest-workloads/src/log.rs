//! The record of `crash_append_log` and its verifiers: fixed size, numbered, filled by its number.
//!
//! The size divides no block size, so that records lie across blocks.

/// Size of one record.
pub const RECORD_SIZE_BYTES: usize = 100;

/// Name of the log file.
pub const LOG_NAME: &str = "log";

/// The bytes of record `number`, counted from 1.
#[must_use]
pub fn record(number: u64) -> Vec<u8> {
    let mut text = format!("record {number:08} ");
    while text.len() < RECORD_SIZE_BYTES - 1 {
        let letter = (number + text.len() as u64) % 26;
        text.push(char::from(b'a' + u8::try_from(letter).unwrap_or(0)));
    }
    text.push('\n');
    text.into_bytes()
}

/// Is record `number` whole in `log`?
#[must_use]
pub fn holds(log: &[u8], number: u64) -> bool {
    let Some(before) = number.checked_sub(1) else { return false };
    let Some(from) = usize::try_from(before).ok().and_then(|n| n.checked_mul(RECORD_SIZE_BYTES))
    else {
        return false;
    };
    let to = from.saturating_add(RECORD_SIZE_BYTES);
    log.get(from..to).is_some_and(|bytes| bytes == record(number))
}

/// Checks that every record of `numbers` is whole in the log; ends with code 1 where one is not.
pub fn demand(numbers: &[u64]) {
    let log = match std::fs::read(LOG_NAME) {
        Ok(log) => log,
        Err(_) if numbers.is_empty() => return,
        Err(error) => crate::give_up("reading the log", &error),
    };
    for &number in numbers {
        if !holds(&log, number) {
            crate::give_up("checking the log", &format!("record {number} is not whole"));
        }
    }
}
