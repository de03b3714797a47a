//! Profiles by name or from a file: how the stack behaves, and what is expected of it.
//!
//! A file has a section `stack` with what `host/profiles` has of each profile, a section `oracle`
//! with what `spec/profiles` has, or both; `crashproof profiles NAME` prints one to begin with.

use std::path::Path;

use crashproof_spec::promise::Promises;
use serde::Deserialize;

use crate::cli::Failure;
use crate::cli::args::ProfilesArguments;
use crate::cli::exit;
use crate::cli::files;
use crate::subject::Behaviour;
use crate::subject::Policies;
use crate::subject::profile_named;
use crate::subject::profile_names;
use crate::subject::profile_text;

/// Both sides of a profile, as far as it has them.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    word: String,
    policies: Option<Policies>,
    promises: Option<Promises>,
}

/// A file as it was written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sections {
    stack: Option<Behaviour>,
    oracle: Option<Promises>,
}

impl Profile {
    /// How the stack behaves.
    ///
    /// # Errors
    /// If the file does not say.
    pub(super) fn policies(&self) -> Result<Policies, Failure> {
        self.policies.clone().ok_or_else(|| self.lacks("stack", "how the stack behaves"))
    }

    /// What is expected.
    ///
    /// # Errors
    /// If the file does not say.
    pub(super) fn promises(&self) -> Result<Promises, Failure> {
        self.promises.clone().ok_or_else(|| self.lacks("oracle", "what is expected of it"))
    }

    fn lacks(&self, section: &str, says: &str) -> Failure {
        Failure(format!("profile {}: no section [{section}] says {says}", self.word))
    }
}

/// The profile of that name, or in that file.
///
/// # Errors
/// If there is none, or the file is no profile; with the line, and what is allowed there.
pub(super) fn find(word: &str) -> Result<Profile, Failure> {
    let owned = word.to_owned();
    if let Some(policies) = profile_named(word) {
        let promises = Promises::named(word);
        return Ok(Profile { word: owned, policies: Some(policies), promises });
    }
    if !word.contains('/') && !word.ends_with(".toml") {
        let names: Vec<&str> = profile_names().collect();
        return Err(Failure(format!(
            "there is no profile {word}; there are {}; a file is given as a path with a `/` in it \
             or as NAME.toml",
            names.join(", ")
        )));
    }
    let text = files::read_text(Path::new(word))?;
    parse(word, &text)
}

fn parse(word: &str, text: &str) -> Result<Profile, Failure> {
    let refused = |why: String| Failure(format!("profile {word}: {}", why.trim_end()));
    let sections: Sections = toml::from_str(text).map_err(|error| refused(error.to_string()))?;
    let policies = match sections.stack.map(|stack| stack.policies()) {
        None => None,
        Some(Ok(policies)) => Some(policies),
        Some(Err(impossible)) => {
            let before = text.get(..impossible.place.start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            return Err(refused(format!("line {line}: {impossible}")));
        }
    };
    let promises = sections.oracle.map(|oracle| oracle.checked(word, text)).transpose();
    let promises = promises.map_err(|error| Failure(error.to_string()))?;
    Ok(Profile { word: word.to_owned(), policies, promises })
}

/// Lists the profiles, or prints one as a file.
pub(super) fn profiles(arguments: &ProfilesArguments) -> Result<u8, Failure> {
    let Some(name) = &arguments.name else {
        profile_names().for_each(|name| println!("{name}"));
        return Ok(exit::ACCEPTED);
    };
    let (Some(stack), Some(oracle)) = (profile_text(name), Promises::text(name)) else {
        return find(name).and(Err(Failure(format!("{name} is a file already"))));
    };
    print!("{}", whole(stack, oracle));
    Ok(exit::ACCEPTED)
}

/// Both sides of a profile as one file.
fn whole(stack: &str, oracle: &str) -> String {
    let oracle = oracle.replace("\n[error]\n", "\n[oracle.error]\n");
    format!("[stack]\n{stack}\n[oracle]\n{oracle}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_there_twice_and_its_file_reads_back_as_itself() {
        assert!(profile_names().eq(Promises::NAMES.iter().copied()));
        for name in profile_names() {
            let texts = (profile_text(name), Promises::text(name));
            let (Some(stack), Some(oracle)) = texts else { panic!("{name} is there once") };
            let read = parse("mine.toml", &whole(stack, oracle)).expect(name);
            let named = profile_named(name).expect(name);
            let read_back = read.policies().expect(name);
            assert_eq!(read_back.cache.errors, named.cache.errors, "{name}");
            assert_eq!(read_back.cow.log_failure, named.cow.log_failure, "{name}");
            assert_eq!(read_back.cow.tree_failure, named.cow.tree_failure, "{name}");
            assert_eq!(read.promises().ok(), Promises::named(name), "{name}");
        }
    }

    #[test]
    fn a_refusal_names_file_line_and_what_is_allowed() {
        let texts = (profile_text("strict-sticky"), Promises::text("strict-sticky"));
        let (Some(stack), Some(oracle)) = texts else { panic!("it is the default") };
        let sound = whole(stack, oracle);
        for (from, to, parts) in [
            ("\nclose =", "\nclosing =", vec!["unknown field `closing`", "`close`", "line "]),
            (
                "\nclose = \"never\"",
                "\nclose = \"maybe\"",
                vec!["unknown variant `maybe`", "`never`", "`flush-then-report`", "line "],
            ),
            ("survives_eviction = true", "survives_eviction = 1", vec!["expected a boolean"]),
            ("[stack]", "[stacks]", vec!["unknown field `stacks`", "`stack`", "`oracle`"]),
            (
                "unwritten = \"lost\"",
                "unwritten = \"kept\"",
                vec!["unknown variant `kept`", "`waited-for`", "line "],
            ),
            (
                "\nreport = \"same-sync\"",
                "\nreport = \"next-sync\"",
                vec!["line ", "report: next-sync needs clear = \"description-cursor\""],
            ),
            (
                "\nsuspend = \"none\"",
                "\nsuspend = \"fail-callers\"",
                vec!["line ", "suspend: needs page_after_failure = \"redirtied\""],
            ),
        ] {
            let text = sound.replacen(from, to, 1);
            assert_ne!(text, sound, "{from}");
            let message = parse("mine.toml", &text).expect_err(to).to_string();
            assert!(message.starts_with("profile mine.toml: "), "{message}");
            for part in parts {
                assert!(message.contains(part), "{part}: {message}");
            }
        }
    }

    #[test]
    fn half_a_profile_says_which_half_is_missing() {
        let half = parse("mine.toml", "[stack]\n").expect_err("a section has its keys");
        assert!(half.to_string().contains("missing field"), "{half}");
        let none = parse("mine.toml", "").expect("no section is no mistake yet");
        for missing in [none.policies().err(), none.promises().err()] {
            let missing = missing.expect("it has neither").to_string();
            assert!(missing.contains("no section ["), "{missing}");
        }
    }
}
