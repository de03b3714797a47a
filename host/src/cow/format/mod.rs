//! The on-media format: what each kind of block holds. Self-contained, so that fsck can share it.

pub mod item;
