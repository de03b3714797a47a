//! Modules: loaded from bytes, checked for what would only fail later, compiled once.

use std::borrow::Cow;

use wasmtime::ExternType;
use wasmtime::InstancePre;
use wasmtime::Linker;

use crate::guest::engine::Engine;
use crate::guest::engine::message;
use crate::mapping;
use crate::mapping::MappingMode;
use crate::mapping::RewriteError;
use crate::wasi;
use crate::wasi::Process;

/// Largest module that is compiled. SQLite has one megabyte.
pub const MODULE_BYTES_MAX: usize = 64 << 20;

/// Why bytes are not a guest. Fits after "failed to load FILE: ".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    /// It does not begin as a module does.
    NotWasm,
    /// It is a component, which has no preview1 imports.
    Component,
    /// It is larger than what is compiled.
    TooBig {
        /// Its size.
        size_bytes: usize,
    },
    /// It is broken, or uses a part of WebAssembly that is off.
    Invalid(String),
    /// It imports from a module that is not offered.
    UnknownModule {
        /// Imported from.
        module: String,
        /// What.
        name: String,
    },
    /// It imports what its module does not offer.
    UnknownImport {
        /// Imported from.
        module: String,
        /// What.
        name: String,
    },
    /// An import has another type than the one offered.
    ImportType(String),
    /// It maps files, and its stores cannot be followed.
    Mapping(RewriteError),
    /// It has no function `_start` without parameters and results.
    NoStart,
    /// It exports no memory by the name `memory`.
    NoMemory,
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotWasm => {
                f.write_str("not a WebAssembly module: it does not begin with \"\\0asm\"")
            }
            Self::Component => f.write_str(
                "a WebAssembly component, not a module: build it for wasm32-wasip1, \
                 not for wasm32-wasip2",
            ),
            Self::TooBig { size_bytes } => {
                write!(f, "{size_bytes} bytes, where a module has at most {MODULE_BYTES_MAX}")
            }
            Self::Invalid(reason) => write!(f, "not a valid module: {reason}"),
            Self::UnknownModule { module, name } => write!(
                f,
                "it imports `{name}` from `{module}`; offered are only `{}` and `{}`",
                wasi::IMPORT_MODULE,
                wasi::EXTENSION_MODULE
            ),
            Self::UnknownImport { module, name } => write!(
                f,
                "it imports `{name}` from `{module}`, which offers only {}",
                offered(module).unwrap_or_default().join(", ")
            ),
            Self::Mapping(error) => error.fmt(f),
            Self::ImportType(reason) => write!(f, "an import has the wrong type: {reason}"),
            Self::NoStart => f.write_str(
                "it exports no function `_start` without parameters and results: a program is \
                 wanted, not a library",
            ),
            Self::NoMemory => f.write_str("it exports no memory by the name `memory`"),
        }
    }
}

impl std::error::Error for LoadError {}

/// A compiled program. Clones share the code; each run has a store of its own.
#[derive(Clone)]
pub struct Module {
    pub(super) engine: Engine,
    pub(super) inline: InstancePre<Process>,
    pub(super) tasks: InstancePre<Process>,
    pub(super) mapping: MappingMode,
    pub(super) is_rewritten: bool,
    emulates_mmap: bool,
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Module {
    /// Checks and compiles a program.
    ///
    /// # Errors
    /// If the bytes are no program that can run here; nothing of it has run.
    pub fn load(engine: &Engine, bytes: &[u8]) -> Result<Self, LoadError> {
        Self::load_with(engine, bytes, MappingMode::default())
    }

    /// Checks and compiles a program, whose stores to mapped memory are seen in this way.
    ///
    /// # Errors
    /// If the bytes are no program that can run here; nothing of it has run.
    pub fn load_with(
        engine: &Engine,
        bytes: &[u8],
        mapping: MappingMode,
    ) -> Result<Self, LoadError> {
        check_header(bytes)?;
        let invalid = |error| LoadError::Invalid(message(&error));
        let maps = mapping::imports_function(bytes, wasi::EXTENSION_MODULE, mapping::MAP_IMPORT);
        let code = if maps { rewritten(engine, bytes, mapping)? } else { Cow::Borrowed(bytes) };
        let module = wasmtime::Module::from_binary(engine.inner(), &code).map_err(invalid)?;
        let is_rewritten = matches!(code, Cow::Owned(_));
        check_imports(&module, is_rewritten)?;
        check_exports(&module)?;
        let link = |fill: fn(&mut Linker<Process>) -> wasmtime::Result<()>| {
            let mut linker = Linker::new(engine.inner());
            fill(&mut linker)
                .and_then(|()| linker.instantiate_pre(&module))
                .map_err(|error| LoadError::ImportType(message(&error)))
        };
        Ok(Self {
            engine: engine.clone(),
            inline: link(wasi::link_inline)?,
            tasks: link(wasi::link_tasks)?,
            mapping,
            is_rewritten,
            emulates_mmap: !maps && mapping::emulates_mmap(bytes),
        })
    }

    /// Was it linked with wasi-libc's own `mmap`, which loses what is stored to shared mappings?
    /// Told by the name of a function, so that a module without names is never told.
    #[must_use]
    pub fn emulates_mmap(&self) -> bool {
        self.emulates_mmap
    }
}

/// The module that announces its stores, where that is wanted.
fn rewritten<'a>(
    engine: &Engine,
    bytes: &'a [u8],
    mapping: MappingMode,
) -> Result<Cow<'a, [u8]>, LoadError> {
    for name in [mapping::STORE_IMPORT, mapping::LOAD_IMPORT] {
        if mapping::imports_function(bytes, wasi::EXTENSION_MODULE, name) {
            let (module, name) = (wasi::EXTENSION_MODULE.to_owned(), name.to_owned());
            return Err(LoadError::UnknownImport { module, name });
        }
    }
    if mapping == MappingMode::Twin {
        return Ok(Cow::Borrowed(bytes));
    }
    wasmtime::Module::validate(engine.inner(), bytes)
        .map_err(|error| LoadError::Invalid(message(&error)))?;
    mapping::rewrite(bytes, wasi::EXTENSION_MODULE).map(Cow::Owned).map_err(LoadError::Mapping)
}

/// What a module of imports offers, if it is offered.
fn offered(module: &str) -> Option<&'static [&'static str]> {
    if module == wasi::IMPORT_MODULE {
        Some(wasi::IMPORTS)
    } else if module == wasi::EXTENSION_MODULE {
        Some(wasi::EXTENSION_IMPORTS)
    } else {
        None
    }
}

fn check_header(bytes: &[u8]) -> Result<(), LoadError> {
    if !bytes.starts_with(b"\0asm") {
        return Err(LoadError::NotWasm);
    }
    // The upper half of the version is the layer: 1 is a component.
    if bytes.get(6..8) == Some(&[1, 0]) {
        return Err(LoadError::Component);
    }
    if bytes.len() > MODULE_BYTES_MAX {
        return Err(LoadError::TooBig { size_bytes: bytes.len() });
    }
    Ok(())
}

fn check_imports(module: &wasmtime::Module, is_rewritten: bool) -> Result<(), LoadError> {
    for import in module.imports() {
        let (module, name) = (import.module().to_owned(), import.name().to_owned());
        let Some(names) = offered(&module) else {
            return Err(LoadError::UnknownModule { module, name });
        };
        let is_added =
            is_rewritten && [mapping::STORE_IMPORT, mapping::LOAD_IMPORT].contains(&&*name);
        if !names.contains(&&*name) && !is_added {
            return Err(LoadError::UnknownImport { module, name });
        }
    }
    Ok(())
}

fn check_exports(module: &wasmtime::Module) -> Result<(), LoadError> {
    let is_start = |export: &ExternType| {
        export.func().is_some_and(|func| func.params().len() == 0 && func.results().len() == 0)
    };
    if !module.get_export("_start").is_some_and(|export| is_start(&export)) {
        return Err(LoadError::NoStart);
    }
    if module.get_export("memory").is_none_or(|export| export.memory().is_none()) {
        return Err(LoadError::NoMemory);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::engine::EngineOptions;

    fn is_rewritten(import: &str, mode: MappingMode) -> bool {
        let engine = Engine::new(EngineOptions::default()).expect("the engine starts");
        let text = format!(
            r#"(module (import "crashproof_ext_v0" {import}) (memory (export "memory") 1)
            (func (export "_start") (i32.store (i32.const 0) (i32.load (i32.const 8)))))"#
        );
        let module = wat::parse_str(text).expect("the text is a module");
        Module::load_with(&engine, &module, mode).expect("it is a program").is_rewritten
    }

    #[test]
    fn only_a_module_that_maps_files_pays_for_it() {
        let maps = r#""fd_mmap" (func (param i32 i32 i32 i32 i32 i64) (result i32))"#;
        let other = r#""mem_munmap" (func (param i32 i32) (result i32))"#;
        assert!(is_rewritten(maps, MappingMode::Stores));
        assert!(!is_rewritten(other, MappingMode::Stores));
        assert!(!is_rewritten(maps, MappingMode::Twin));
    }
}
