//! The rewriter: a module in, the same module out, which announces each store to mapped memory, and
//! each load from what of it may be barred.
//!
//! After every store comes `if (address - start) <u len { on_store(address, bytes) }`, where
//! `start` and `len` are two added globals that the host keeps at the hull of what is mapped. A
//! bulk instruction is done whole, as WebAssembly has it, and then announced whole; the host hands
//! it on atom by atom, in ascending order, from the bytes as they are when it is announced.
//!
//! Before every load comes the same with `on_load` and two other globals, which the host keeps at
//! the hull of what cannot be loaded from: mostly nothing, so that a load costs one comparison.
//!
//! Only valid modules are rewritten, and what comes out is validated by whoever compiles it.

use std::convert::Infallible;

use wasm_encoder::BlockType;
use wasm_encoder::CodeSection;
use wasm_encoder::ConstExpr;
use wasm_encoder::EntityType;
use wasm_encoder::ExportKind;
use wasm_encoder::ExportSection;
use wasm_encoder::Function;
use wasm_encoder::GlobalSection;
use wasm_encoder::GlobalType;
use wasm_encoder::ImportSection;
use wasm_encoder::Instruction;
use wasm_encoder::Module;
use wasm_encoder::SectionId;
use wasm_encoder::TypeSection;
use wasm_encoder::ValType;
use wasm_encoder::reencode;
use wasm_encoder::reencode::Reencode;
use wasmparser::FunctionBody;
use wasmparser::Operator;

use crate::mapping::LOAD_IMPORT;
use crate::mapping::STORE_IMPORT;
use crate::mapping::access::Access;
use crate::mapping::access::Held;
use crate::mapping::access::access;
use crate::mapping::access::is_foreign;
use crate::mapping::shape::ADDED_GLOBALS;
use crate::mapping::shape::Shape;

/// Why a module that maps files cannot be rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RewriteError {
    /// It has a start function, whose stores would come before the host knows its memory.
    StartFunction,
    /// It has more than one memory.
    SeveralMemories,
    /// It exports a name that the rewriter needs.
    ReservedExport(String),
    /// It uses an instruction whose stores could not be seen.
    Instruction(String),
    /// It is too big to have more added.
    TooBig,
    /// It is broken.
    Broken(String),
}

impl std::fmt::Display for RewriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it maps files, and its stores cannot be followed: ")?;
        match self {
            Self::StartFunction => f.write_str("it has a start function"),
            Self::SeveralMemories => f.write_str("it has more than one memory"),
            Self::ReservedExport(name) => write!(f, "it exports `{name}`, a reserved name"),
            Self::Instruction(name) => write!(f, "it uses the instruction {name}"),
            Self::TooBig => f.write_str("it is too big"),
            Self::Broken(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for RewriteError {}

impl From<wasmparser::BinaryReaderError> for RewriteError {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Broken(error.to_string())
    }
}

type Refused = reencode::Error<RewriteError>;

/// Rewrites a valid module. The announcing imports come from the named module.
pub(crate) fn rewrite(bytes: &[u8], import_module: &str) -> Result<Vec<u8>, RewriteError> {
    let shape = Shape::of(bytes)?;
    if shape.imported_function_count == 0 {
        // The added import needs a section to go to. Whoever maps files imports a function.
        return Err(RewriteError::Broken("it imports nothing".to_owned()));
    }
    let mut rewriter = Rewriter { shape, import_module, has_globals: false, body: 0 };
    let mut module = Module::new();
    let parser = wasmparser::Parser::new(0);
    match rewriter.parse_core_module(&mut module, parser, bytes) {
        Ok(()) => Ok(module.finish()),
        Err(Refused::UserError(error)) => Err(error),
        Err(Refused::ParseError(error)) => Err(error.into()),
        Err(error) => Err(RewriteError::Broken(error.to_string())),
    }
}

struct Rewriter<'a> {
    shape: Shape,
    import_module: &'a str,
    has_globals: bool,
    /// How many bodies were rewritten.
    body: usize,
}

/// Functions that are imported besides those of the module.
const ADDED_IMPORTS: [&str; 2] = [STORE_IMPORT, LOAD_IMPORT];

/// What announces an access: a function, and the range of addresses that it is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hook {
    function: u32,
    start_global: u32,
    len_global: u32,
}

impl Rewriter<'_> {
    /// What announces stores; in the order of [`ADDED_IMPORTS`] and [`ADDED_GLOBALS`].
    fn store_hook(&self) -> Hook {
        let (function, global) = (self.shape.imported_function_count, self.shape.global_count);
        Hook { function, start_global: global, len_global: global + 1 }
    }

    /// What announces loads.
    fn load_hook(&self) -> Hook {
        let (function, global) = (self.shape.imported_function_count, self.shape.global_count);
        Hook { function: function + 1, start_global: global + 2, len_global: global + 3 }
    }

    fn add_globals(&mut self, globals: &mut GlobalSection) {
        for _ in ADDED_GLOBALS {
            let kind = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
            globals.global(kind, &ConstExpr::i32_const(0));
        }
        self.has_globals = true;
    }

    /// The locals that the body has, and the first number that is free behind them.
    fn locals(&self, body: &FunctionBody<'_>) -> Result<(Vec<(u32, ValType)>, u32), Refused> {
        let broken = || RewriteError::Broken("a function has no type".to_owned());
        let mut free = self
            .shape
            .parameter_count(self.body)
            .ok_or_else(broken)
            .map_err(reencode::Error::UserError)?;
        let mut locals = Vec::new();
        for group in body.get_locals_reader()? {
            let (count, kind) = group?;
            free = free
                .checked_add(count)
                .filter(|free| *free < u32::MAX - LOCAL_COUNT)
                .ok_or(reencode::Error::UserError(RewriteError::TooBig))?;
            locals.push((count, wasmparser_type(kind)?));
        }
        Ok((locals, free))
    }

    /// Does anything in the body have to be announced?
    fn is_touched(&self, body: &FunctionBody<'_>) -> Result<bool, Refused> {
        let mut touched = false;
        for op in body.get_operators_reader()? {
            let op = op?;
            if is_foreign(&op) {
                let name = format!("{op:?}");
                let name = name.split(' ').next().unwrap_or_default().to_owned();
                return Err(reencode::Error::UserError(RewriteError::Instruction(name)));
            }
            touched |= access(&op) != Access::None;
        }
        Ok(touched)
    }
}

/// How many locals are added: three addresses or lengths, and one of each kind of value.
const LOCAL_COUNT: u32 = 3 + Held::ALL.len() as u32;

fn wasmparser_type(kind: wasmparser::ValType) -> Result<ValType, Refused> {
    kind.try_into().map_err(|error: reencode::Error<Infallible>| {
        reencode::Error::UserError(RewriteError::Broken(error.to_string()))
    })
}

/// One body that is being written.
struct Body<'r> {
    function: Function,
    rewriter: &'r Rewriter<'r>,
    /// The first of the added locals.
    free: u32,
}

/// The added locals that hold addresses and lengths.
#[derive(Clone, Copy)]
enum Slot {
    To = 0,
    From = 1,
    Len = 2,
}

impl Body<'_> {
    fn put(&mut self, instructions: &[Instruction<'_>]) {
        for instruction in instructions {
            self.function.instruction(instruction);
        }
    }

    fn slot(&self, slot: Slot) -> u32 {
        self.free + slot as u32
    }

    fn held(&self, held: Held) -> u32 {
        self.free + 3 + held as u32
    }

    /// Leaves the address of an instruction in a local, and the stack as it was.
    fn keep_address(&mut self, held: Option<Held>) {
        let to = self.slot(Slot::To);
        match held.map(|held| self.held(held)) {
            Some(value) => self.put(&[
                Instruction::LocalSet(value),
                Instruction::LocalTee(to),
                Instruction::LocalGet(value),
            ]),
            None => self.put(&[Instruction::LocalTee(to)]),
        }
    }

    /// Announces an access at the kept address, if it may be in the hook's range.
    fn announce(&mut self, offset: u64, bytes: u32, hook: Hook) {
        let to = self.slot(Slot::To);
        let offset = offset as u32 as i32;
        self.put(&[Instruction::LocalGet(to)]);
        if offset != 0 {
            self.put(&[Instruction::I32Const(offset), Instruction::I32Add]);
        }
        self.put(&[
            Instruction::LocalTee(to),
            Instruction::GlobalGet(hook.start_global),
            Instruction::I32Sub,
            Instruction::GlobalGet(hook.len_global),
            Instruction::I32LtU,
            Instruction::If(BlockType::Empty),
            Instruction::LocalGet(to),
            Instruction::I32Const(bytes as i32),
        ]);
        if offset != 0 {
            // Memory ends at 4 GiB: where this wrapped around, the access itself traps, and its
            // length is told as 0.
            self.put(&[
                Instruction::I32Const(0),
                Instruction::LocalGet(to),
                Instruction::I32Const(offset),
                Instruction::I32GeU,
                Instruction::Select,
            ]);
        }
        self.put(&[Instruction::Call(hook.function), Instruction::End]);
    }

    /// Announces an access of the kept length, if some of the hook's range may be in it.
    fn announce_range(&mut self, at: Slot, hook: Hook) {
        let (at, len) = (self.slot(at), self.slot(Slot::Len));
        let (start_global, len_global) = (hook.start_global, hook.len_global);
        self.put(&[
            // It begins in the hull, or the hull begins in it.
            Instruction::LocalGet(at),
            Instruction::GlobalGet(start_global),
            Instruction::I32Sub,
            Instruction::GlobalGet(len_global),
            Instruction::I32LtU,
            Instruction::GlobalGet(start_global),
            Instruction::LocalGet(at),
            Instruction::I32Sub,
            Instruction::LocalGet(len),
            Instruction::I32LtU,
            Instruction::I32Or,
            Instruction::If(BlockType::Empty),
            Instruction::LocalGet(at),
            Instruction::LocalGet(len),
            Instruction::Call(hook.function),
            Instruction::End,
        ]);
    }

    /// Writes an instruction, and what announces it.
    fn write(&mut self, access: Access, instruction: &Instruction<'_>) {
        let (stored, loaded) = (self.rewriter.store_hook(), self.rewriter.load_hook());
        match access {
            Access::Store { offset, bytes, held } => {
                self.keep_address(Some(held));
                self.function.instruction(instruction);
                self.announce(offset, bytes, stored);
            }
            Access::Load { offset, bytes, held } => {
                self.keep_address(held);
                self.announce(offset, bytes, loaded);
                self.function.instruction(instruction);
            }
            Access::Copy | Access::Fill => {
                let (to, from) = (self.slot(Slot::To), self.slot(Slot::From));
                let len = self.slot(Slot::Len);
                self.put(&[
                    Instruction::LocalSet(len),
                    Instruction::LocalSet(from),
                    Instruction::LocalSet(to),
                ]);
                if access == Access::Copy {
                    self.announce_range(Slot::From, loaded);
                }
                self.put(&[
                    Instruction::LocalGet(to),
                    Instruction::LocalGet(from),
                    Instruction::LocalGet(len),
                ]);
                self.function.instruction(instruction);
                self.announce_range(Slot::To, stored);
            }
            Access::None => {
                self.function.instruction(instruction);
            }
        }
    }
}

impl Reencode for Rewriter<'_> {
    type Error = RewriteError;

    fn function_index(&mut self, function: u32) -> Result<u32, Refused> {
        let added = ADDED_IMPORTS.len() as u32;
        let is_import = function < self.shape.imported_function_count;
        Ok(if is_import { function } else { function.saturating_add(added) })
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: wasmparser::TypeSectionReader<'_>,
    ) -> Result<(), Refused> {
        reencode::utils::parse_type_section(self, types, section)?;
        types.ty().function([ValType::I32, ValType::I32], []);
        Ok(())
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: wasmparser::ImportSectionReader<'_>,
    ) -> Result<(), Refused> {
        reencode::utils::parse_import_section(self, imports, section)?;
        let kind = EntityType::Function(self.shape.type_count);
        for name in ADDED_IMPORTS {
            imports.import(self.import_module, name, kind);
        }
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: wasmparser::GlobalSectionReader<'_>,
    ) -> Result<(), Refused> {
        reencode::utils::parse_global_section(self, globals, section)?;
        self.add_globals(globals);
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Result<(), Refused> {
        reencode::utils::parse_export_section(self, exports, section)?;
        for (global, name) in (self.shape.global_count..).zip(ADDED_GLOBALS) {
            exports.export(name, ExportKind::Global, global);
        }
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), Refused> {
        if self.is_touched(&body)? {
            let (mut locals, free) = self.locals(&body)?;
            locals.push((3, ValType::I32));
            locals.extend(Held::ALL.map(|held| (1, held.kind())));
            let mut instructions = Vec::new();
            for op in body.get_operators_reader()? {
                let op: Operator<'_> = op?;
                instructions.push((access(&op), self.instruction(op)?));
            }
            let mut written = Body { function: Function::new(locals), rewriter: self, free };
            for (access, instruction) in &instructions {
                written.write(*access, instruction);
            }
            code.function(&written.function);
        } else {
            reencode::utils::parse_function_body(self, code, body)?;
        }
        self.body += 1;
        Ok(())
    }

    /// Names stay; what else is said of places in the code would be wrong afterwards.
    fn parse_custom_section(
        &mut self,
        module: &mut Module,
        section: wasmparser::CustomSectionReader<'_>,
    ) -> Result<(), Refused> {
        if let wasmparser::KnownCustom::Name(names) = section.as_known() {
            // A broken name section is no broken module.
            if let Ok(names) = self.custom_name_section(names) {
                module.section(&names);
            }
        }
        Ok(())
    }

    fn intersperse_section_hook(
        &mut self,
        module: &mut Module,
        _after: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Result<(), Refused> {
        let comes_first = matches!(
            before,
            Some(
                SectionId::Type
                    | SectionId::Import
                    | SectionId::Function
                    | SectionId::Table
                    | SectionId::Memory
                    | SectionId::Tag
                    | SectionId::Global
            )
        );
        if !comes_first && !self.has_globals {
            let mut globals = GlobalSection::new();
            self.add_globals(&mut globals);
            module.section(&globals);
        }
        Ok(())
    }
}
