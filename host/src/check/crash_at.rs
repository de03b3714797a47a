//! A crash, as a report prints it and `replay` takes it.

use std::fmt;
use std::str::FromStr;

use crate::device::Survivors;

/// Where and how the run was cut short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashAt {
    /// How many events of the device's history had happened.
    pub position: usize,
    /// Which unflushed writes survived.
    pub survivors: Survivors,
    /// The leg of a mirror that was lost with it.
    pub lost_leg: Option<u32>,
    /// Further crashes, each in the recovery from the one before.
    pub again: Vec<Self>,
}

impl fmt::Display for CrashAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.position, self.survivors)?;
        self.lost_leg.iter().try_for_each(|leg| write!(f, "@{leg}"))?;
        self.again.iter().try_for_each(|again| write!(f, "/{again}"))
    }
}

impl FromStr for CrashAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut crashes = text.split('/').map(|crash| {
            let parts = crash.split_once(':').ok_or("POSITION:SURVIVORS is wanted")?;
            let position = parts.0.parse().map_err(|_| "the position is no number")?;
            let (survivors, leg) = match parts.1.split_once('@') {
                Some((survivors, leg)) => (survivors, Some(leg)),
                None => (parts.1, None),
            };
            let leg = leg.map(|leg| leg.parse().map_err(|_| "the leg is no number"));
            let (survivors, lost_leg) = (survivors.parse()?, leg.transpose()?);
            Ok::<Self, String>(Self { position, survivors, lost_leg, again: Vec::new() })
        });
        let first = crashes.next().ok_or("POSITION:SURVIVORS is wanted")??;
        Ok(Self { again: crashes.collect::<Result<_, String>>()?, ..first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_reads_back_as_itself_and_nonsense_is_refused() {
        for text in ["0:-", "12:01(3)1", "2:1/1:0/7:-", "3:-@1", "2:01@0/1:0"] {
            assert_eq!(text.parse::<CrashAt>().expect("well formed").to_string(), text);
        }
        for nonsense in ["", ":", "1", "x:1", "1:2", "1:0/", "/1:0", "1:0//1:0", "1:0@", "1:0@x"] {
            assert!(nonsense.parse::<CrashAt>().is_err(), "{nonsense}");
        }
    }
}
