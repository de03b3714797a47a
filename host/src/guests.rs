//! The built-in guests: programs for wasm32-wasip1 that the build compiled and embedded.
//!
//! The list is made by `build.rs` from `guest-workloads/guests.toml` and `guest-workloads/abi`.

/// A program that is embedded in this one.
#[derive(Debug, Clone, Copy)]
pub struct Guest {
    /// What it is called on the command line.
    pub name: &'static str,
    /// One line on what it does.
    pub summary: &'static str,
    /// The module.
    pub wasm: &'static [u8],
    /// The faults and actions it is meant to be run with, as the text of a scenario file.
    pub scenario: Option<&'static str>,
    /// Arguments if none are given.
    pub args: &'static [&'static str],
    /// Names of the directories that it finds open.
    pub preopens: &'static [&'static str],
    /// The guest that checks what this one printed, on each recovered file system.
    pub verifier: Option<&'static str>,
    /// Further arguments that it is also run with for the record.
    pub variants: &'static [&'static [&'static str]],
    /// How it is meant to end, if it breaks the ABI or its limits on purpose.
    pub ends: Option<&'static str>,
}

include!(concat!(env!("OUT_DIR"), "/guests.rs"));

/// Every built-in guest, ordered by name.
#[must_use]
pub fn all() -> &'static [Guest] {
    GUESTS
}

/// The guest called `name`.
#[must_use]
pub fn named(name: &str) -> Option<&'static Guest> {
    GUESTS.iter().find(|guest| guest.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WASM_MAGIC: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn every_guest_is_a_module_with_a_summary_and_a_directory() {
        assert!(!all().is_empty());
        for guest in all() {
            assert!(guest.wasm.starts_with(WASM_MAGIC), "{}", guest.name);
            assert!(!guest.summary.is_empty(), "{}", guest.name);
            assert!(!guest.preopens.is_empty(), "{}", guest.name);
        }
    }

    #[test]
    fn names_are_in_order_and_found() {
        assert!(all().is_sorted_by(|one, next| one.name < next.name));
        for guest in all() {
            assert_eq!(named(guest.name).map(|found| found.name), Some(guest.name));
        }
        assert!(named("no such guest").is_none());
    }

    #[test]
    fn every_verifier_is_a_guest_and_every_scenario_is_toml() {
        for guest in all() {
            if let Some(verifier) = guest.verifier {
                assert!(named(verifier).is_some(), "{}", guest.name);
            }
            if let Some(scenario) = guest.scenario {
                assert!(scenario.parse::<toml::Table>().is_ok(), "{}", guest.name);
            }
        }
    }
}
