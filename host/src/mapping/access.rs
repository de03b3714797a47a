//! Which instructions touch memory, and how much of it.

use wasm_encoder::ValType;
use wasmparser::MemArg;
use wasmparser::Operator;

/// The kinds of values that an instruction takes from the stack above its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    I32,
    I64,
    F32,
    F64,
    V128,
}

/// What an instruction does to memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// `[address, value]`, of so many bytes.
    Store { offset: u64, bytes: u32, held: Held },
    /// `[address]`, or `[address, value]`, of so many bytes.
    Load { offset: u64, bytes: u32, held: Option<Held> },
    /// `memory.copy`: `[to, from, length]`.
    Copy,
    /// `memory.fill` or `memory.init`: `[to, _, length]`.
    Fill,
    /// It does not, or only reads its size or lets it grow.
    None,
}

impl Held {
    /// In the order of the locals that hold them.
    pub(super) const ALL: [Self; 5] = [Self::I32, Self::I64, Self::F32, Self::F64, Self::V128];

    pub(super) fn kind(self) -> ValType {
        match self {
            Self::I32 => ValType::I32,
            Self::I64 => ValType::I64,
            Self::F32 => ValType::F32,
            Self::F64 => ValType::F64,
            Self::V128 => ValType::V128,
        }
    }
}

fn store(arg: &MemArg, bytes: u32, held: Held) -> Access {
    Access::Store { offset: arg.offset, bytes, held }
}

fn load(arg: &MemArg, bytes: u32, held: Option<Held>) -> Access {
    Access::Load { offset: arg.offset, bytes, held }
}

macro_rules! table {
    ($(#[$doc:meta])* $name:ident($how:ident) $($op:ident $bytes:literal $held:expr,)*) => {
        $(#[$doc])*
        fn $name(op: &Operator<'_>) -> Option<Access> {
            $(if let Operator::$op { memarg, .. } = op {
                return Some($how(memarg, $bytes, $held));
            })*
            None
        }

        #[cfg(test)]
        pub(super) mod $name {
            pub(in crate::mapping) const NAMES: &[&str] = &[$(stringify!($op),)*];
        }
    };
}

table! {
    /// Every instruction that stores.
    stores(store)
    I32Store 4 Held::I32,
    I64Store 8 Held::I64,
    F32Store 4 Held::F32,
    F64Store 8 Held::F64,
    I32Store8 1 Held::I32,
    I32Store16 2 Held::I32,
    I64Store8 1 Held::I64,
    I64Store16 2 Held::I64,
    I64Store32 4 Held::I64,
    V128Store 16 Held::V128,
    V128Store8Lane 1 Held::V128,
    V128Store16Lane 2 Held::V128,
    V128Store32Lane 4 Held::V128,
    V128Store64Lane 8 Held::V128,
}

table! {
    /// Every instruction that loads.
    loads(load)
    I32Load 4 None,
    I64Load 8 None,
    F32Load 4 None,
    F64Load 8 None,
    I32Load8S 1 None,
    I32Load8U 1 None,
    I32Load16S 2 None,
    I32Load16U 2 None,
    I64Load8S 1 None,
    I64Load8U 1 None,
    I64Load16S 2 None,
    I64Load16U 2 None,
    I64Load32S 4 None,
    I64Load32U 4 None,
    V128Load 16 None,
    V128Load8x8S 8 None,
    V128Load8x8U 8 None,
    V128Load16x4S 8 None,
    V128Load16x4U 8 None,
    V128Load32x2S 8 None,
    V128Load32x2U 8 None,
    V128Load8Splat 1 None,
    V128Load16Splat 2 None,
    V128Load32Splat 4 None,
    V128Load64Splat 8 None,
    V128Load32Zero 4 None,
    V128Load64Zero 8 None,
    V128Load8Lane 1 Some(Held::V128),
    V128Load16Lane 2 Some(Held::V128),
    V128Load32Lane 4 Some(Held::V128),
    V128Load64Lane 8 Some(Held::V128),
}

/// The proposal that an instruction belongs to.
fn proposal(op: &Operator<'_>) -> &'static str {
    macro_rules! find {
        ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })?
            => $visit:ident ($($ann:tt)*))*) => {
            match op {
                $(Operator::$op $({ $($arg: _),* })? => stringify!($proposal),)*
                _ => "unknown",
            }
        };
    }
    wasmparser::for_each_operator!(find)
}

/// Is it an instruction whose stores are not understood here? The engine has these off as well.
pub(super) fn is_foreign(op: &Operator<'_>) -> bool {
    let foreign = ["threads", "shared_everything_threads", "memory_control", "unknown"];
    foreign.contains(&proposal(op))
}

/// What an instruction does to memory.
pub(super) fn access(op: &Operator<'_>) -> Access {
    if let Operator::MemoryCopy { .. } = op {
        return Access::Copy;
    }
    if matches!(op, Operator::MemoryFill { .. } | Operator::MemoryInit { .. }) {
        return Access::Fill;
    }
    stores(op).or_else(|| loads(op)).unwrap_or(Access::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of all instructions that have a memory argument.
    fn touching() -> Vec<&'static str> {
        macro_rules! names {
            ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })?
                => $visit:ident ($($ann:tt)*))*) => {
                vec![$((stringify!($proposal), stringify!($op), stringify!($($($arg)*)?)),)*]
            };
        }
        let all: Vec<(&str, &str, &str)> = wasmparser::for_each_operator!(names);
        let foreign = ["threads", "shared_everything_threads", "memory_control"];
        let known = all.into_iter().filter(|(proposal, ..)| !foreign.contains(proposal));
        known.filter(|(.., arguments)| arguments.contains("memarg")).map(|(_, op, _)| op).collect()
    }

    #[test]
    fn every_instruction_with_a_memory_argument_is_a_known_load_or_store() {
        let mut seen = touching();
        let mut known: Vec<_> = stores::NAMES.iter().chain(loads::NAMES).copied().collect();
        seen.sort_unstable();
        known.sort_unstable();
        assert_eq!(seen, known);
    }
}
