//! wasi-libc's own `mmap`: memory with a copy of the file, whose stores go nowhere.

use wasmparser::KnownCustom;
use wasmparser::Name;
use wasmparser::Parser;
use wasmparser::Payload;

/// A name in it tells a module that was linked with `wasi-emulated-mman`.
const NAME: &str = "mmap";

fn find(bytes: &[u8]) -> Result<bool, wasmparser::BinaryReaderError> {
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        let Payload::CustomSection(section) = &payload else { continue };
        let KnownCustom::Name(names) = section.as_known() else { continue };
        for part in names {
            let Name::Function(functions) = part? else { continue };
            for function in functions {
                if function?.name == NAME {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// Has the module a function by the name that wasi-libc gives its own `mmap`? A module that was
/// stripped of its names cannot be told.
pub(crate) fn emulates_mmap(bytes: &[u8]) -> bool {
    find(bytes).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_named_mmap_is_found_by_its_name_and_not_without() {
        let module = |text: &str| wat::parse_str(text).expect("the text is a module");
        assert!(emulates_mmap(&module("(module (func $mmap))")));
        assert!(!emulates_mmap(&module("(module (func $crashproof_mmap) (func))")));
        assert!(!emulates_mmap(b"\0asm\x01\0\0\0\x00\xff"));
    }
}
