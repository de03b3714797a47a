//! Where compiled modules are kept between runs.
//!
//! To compile a large guest takes longer than to run it. A kept module is found by the engine's
//! version, its settings and a hash of the module, so that it changes no run, only when it starts.

use std::path::PathBuf;
use std::str::FromStr;

use wasmtime::Cache;
use wasmtime::CacheConfig;

use crate::guest::engine::EngineError;
use crate::guest::engine::message;

/// Bytes of compiled modules after which the oldest are forgotten.
const KEPT_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// No kept module is compressed once more in the background: that would take time of later runs.
const NEVER: u64 = u64::MAX;

/// Where compiled modules are kept between runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModuleCache {
    /// Nowhere: each run compiles.
    Off,
    /// In a directory that is nobody else's, for who can write there decides what guests do.
    Directory(PathBuf),
}

impl ModuleCache {
    /// The place in the user's own cache: `$XDG_CACHE_HOME`, or else `.cache` in `$HOME`. Off, if
    /// there is none.
    #[must_use]
    pub fn of_user() -> Self {
        let directory = |name| {
            let path = std::env::var_os(name).map(PathBuf::from);
            path.filter(|path| path.is_absolute())
        };
        let home = || directory("HOME").map(|home| home.join(".cache"));
        match directory("XDG_CACHE_HOME").or_else(home) {
            Some(cache) => Self::Directory(cache.join("crashproof").join("modules")),
            None => Self::Off,
        }
    }

    /// Makes the directory, if it is not there.
    pub(super) fn open(&self) -> Result<Option<Cache>, EngineError> {
        let Self::Directory(directory) = self else { return Ok(None) };
        let wrong = |what: String| {
            EngineError::new(format!("modules are not kept in {}: {what}", directory.display()))
        };
        std::fs::create_dir_all(directory).map_err(|error| wrong(error.to_string()))?;
        let directory = directory.canonicalize().map_err(|error| wrong(error.to_string()))?;
        let mut config = CacheConfig::new();
        config
            .with_directory(directory)
            .with_files_total_size_soft_limit(KEPT_BYTES_MAX)
            .with_optimized_compression_usage_counter_threshold(NEVER);
        Cache::new(config).map(Some).map_err(|error| wrong(message(&error)))
    }
}

impl FromStr for ModuleCache {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("a directory, or `off`".to_owned()),
            "off" => Ok(Self::Off),
            directory => Ok(Self::Directory(directory.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Engine;
    use crate::guest::EngineOptions;

    #[test]
    fn a_module_that_was_compiled_before_is_not_compiled_again() {
        let directory = tempfile::tempdir().expect("there is room");
        let place = ModuleCache::Directory(directory.path().join("modules"));
        let module = wat::parse_str("(module (func (export \"_start\")))").expect("it is a module");
        for (fuel, hits) in [(false, 0), (false, 1), (true, 0)] {
            let cache = place.open().expect("there is room").expect("it is on");
            let options = EngineOptions { fuel, ..EngineOptions::default() };
            let engine = Engine::keeping(options, Some(cache.clone())).expect("the engine starts");
            wasmtime::Module::new(engine.inner(), &module).expect("it compiles");
            assert_eq!(cache.cache_hits(), hits, "with fuel: {fuel}");
        }
    }

    #[test]
    fn a_place_that_is_none_is_told() {
        let file = tempfile::NamedTempFile::new().expect("there is room");
        let place = ModuleCache::Directory(file.path().join("modules"));
        let error = Engine::with_cache(EngineOptions::default(), &place).expect_err("no directory");
        assert!(error.to_string().contains("modules are not kept in"), "{error}");
    }
}
