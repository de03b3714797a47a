//! What the rewriter must know of a module before it begins: how many of each thing it has.

use wasmparser::BinaryReaderError;
use wasmparser::CompositeInnerType;
use wasmparser::Parser;
use wasmparser::Payload;
use wasmparser::TypeRef;

use crate::mapping::rewrite::RewriteError;

/// Names of the globals that the rewriter adds and exports: where mapped memory begins and how far
/// it goes, and the same of what of it cannot be loaded from.
pub(crate) const ADDED_GLOBALS: [&str; 4] = [
    "crashproof:mapped-start",
    "crashproof:mapped-len",
    "crashproof:barred-start",
    "crashproof:barred-len",
];

/// Numbers of things in a module.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) type_count: u32,
    pub(super) imported_function_count: u32,
    pub(super) global_count: u32,
    memory_count: u32,
    /// Of each type, its number of parameters; none of what is no function.
    parameters: Vec<Option<u32>>,
    /// Of each function with a body, its type.
    function_types: Vec<u32>,
}

impl Shape {
    /// Reads a module from one end to the other, but no bodies.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, RewriteError> {
        let mut shape = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            shape.add(payload?)?;
        }
        if shape.memory_count > 1 {
            return Err(RewriteError::SeveralMemories);
        }
        Ok(shape)
    }

    /// Number of parameters of a function that has a body, by its place among those.
    pub(super) fn parameter_count(&self, body: usize) -> Option<u32> {
        let kind = *self.function_types.get(body)?;
        *self.parameters.get(usize::try_from(kind).ok()?)?
    }

    fn add(&mut self, payload: Payload<'_>) -> Result<(), RewriteError> {
        if let Payload::TypeSection(section) = payload {
            for group in section {
                for kind in group?.into_types() {
                    self.add_type(&kind.composite_type.inner)?;
                }
            }
        } else if let Payload::ImportSection(section) = payload {
            for import in section.into_imports() {
                self.add_import(import?.ty);
            }
        } else if let Payload::FunctionSection(section) = payload {
            self.function_types = section.into_iter().collect::<Result<_, _>>()?;
        } else if let Payload::MemorySection(section) = payload {
            self.memory_count = self.memory_count.saturating_add(section.count());
        } else if let Payload::GlobalSection(section) = payload {
            self.global_count = self.global_count.saturating_add(section.count());
        } else if let Payload::ExportSection(section) = payload {
            for export in section {
                let name = export?.name;
                if ADDED_GLOBALS.contains(&name) {
                    return Err(RewriteError::ReservedExport(name.to_owned()));
                }
            }
        } else if let Payload::StartSection { .. } = payload {
            return Err(RewriteError::StartFunction);
        }
        Ok(())
    }

    fn add_type(&mut self, kind: &CompositeInnerType) -> Result<(), RewriteError> {
        let count = |params: usize| u32::try_from(params).map_err(|_| RewriteError::TooBig);
        self.parameters.push(match kind {
            CompositeInnerType::Func(function) => Some(count(function.params().len())?),
            CompositeInnerType::Array(_)
            | CompositeInnerType::Struct(_)
            | CompositeInnerType::Cont(_) => None,
        });
        self.type_count = self.type_count.checked_add(1).ok_or(RewriteError::TooBig)?;
        Ok(())
    }

    fn add_import(&mut self, kind: TypeRef) {
        match kind {
            TypeRef::Func(_) | TypeRef::FuncExact(_) => self.imported_function_count += 1,
            TypeRef::Memory(_) => self.memory_count += 1,
            TypeRef::Global(_) => self.global_count += 1,
            TypeRef::Table(_) | TypeRef::Tag(_) => {}
        }
    }
}

fn find_import(bytes: &[u8], module: &str, name: &str) -> Result<bool, BinaryReaderError> {
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        if let Payload::ImportSection(section) = payload {
            for import in section.into_imports() {
                let import = import?;
                if (import.module, import.name) == (module, name) {
                    return Ok(true);
                }
            }
        } else if let Payload::CodeSectionStart { .. } = payload {
            // Imports come before code; what comes after is not read.
            break;
        }
    }
    Ok(false)
}

/// Does a module import this? Bytes that are no module import nothing: the compiler says why they
/// are none.
pub(crate) fn imports_function(bytes: &[u8], module: &str, name: &str) -> bool {
    find_import(bytes, module, name).unwrap_or(false)
}
