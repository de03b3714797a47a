//! Byte strings as a trace spells them: printable, exact, and short where a byte repeats.
//!
//! `"abc"+"\x00"*4093` is three letters and 4093 zero bytes. Escapes are `\n`, `\t`, `\\`, `\"`
//! and `\xNN`; every byte that is not printable ASCII is written as one.

use std::fmt;
use std::fmt::Write as _;

/// From so many equal bytes on, a run is written as one byte and a count.
const RUN_LEN_MIN: usize = 16;

/// Displays bytes in the spelling of a trace.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        let mut plain_from = 0;
        let mut at = 0;
        let mut is_first = true;
        while at < bytes.len() {
            let run_len = run_len(&bytes[at..]);
            if run_len >= RUN_LEN_MIN {
                part(out, &bytes[plain_from..at], 1, &mut is_first)?;
                part(out, &bytes[at..=at], run_len, &mut is_first)?;
                plain_from = at + run_len;
            }
            at += run_len;
        }
        part(out, &bytes[plain_from..], 1, &mut is_first)?;
        if is_first { out.write_str("\"\"") } else { Ok(()) }
    }
}

/// Number of equal bytes at the start; 0 only for nothing.
fn run_len(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| bytes.first() == Some(byte)).count()
}

fn part(
    out: &mut fmt::Formatter<'_>,
    bytes: &[u8],
    times: usize,
    is_first: &mut bool,
) -> fmt::Result {
    if bytes.is_empty() {
        return Ok(());
    }
    if !*is_first {
        out.write_char('+')?;
    }
    *is_first = false;
    out.write_char('"')?;
    for byte in bytes {
        escaped(out, *byte)?;
    }
    out.write_char('"')?;
    if times > 1 { write!(out, "*{times}") } else { Ok(()) }
}

fn escaped(out: &mut fmt::Formatter<'_>, byte: u8) -> fmt::Result {
    match byte {
        b'\n' => out.write_str("\\n"),
        b'\t' => out.write_str("\\t"),
        b'\\' => out.write_str("\\\\"),
        b'"' => out.write_str("\\\""),
        b' '..=b'~' => out.write_char(char::from(byte)),
        0..=0x1F | 0x7F..=0xFF => write!(out, "\\x{byte:02x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_a_byte_and_a_count() {
        let bytes = [b"abc".as_slice(), &[0; 4093], b"\"\\\n\t\xFF~"].concat();
        let text = Quoted(&bytes).to_string();
        assert_eq!(text, r#""abc"+"\x00"*4093+"\"\\\n\t\xff~""#);
    }

    #[test]
    fn a_short_run_stays_as_it_is() {
        assert_eq!(Quoted(b"aaaa").to_string(), "\"aaaa\"");
    }

    #[test]
    fn nothing_is_an_empty_string() {
        assert_eq!(Quoted(b"").to_string(), "\"\"");
    }
}
