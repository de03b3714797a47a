//! What happened, coming up: from the stack's words to the spec's.
//!
//! Flow: [`Recorder`] sits on the road of a call and writes events into a [`Notebook`];
//! [`translate`] gives them the spec's words; [`survey_tree`] walks what a crash left.
//!
//! Architecture invariant: this module knows both vocabularies, and no rule.

mod recorder;
mod survey;
pub mod translate;

pub use recorder::Audit;
pub use recorder::Notebook;
pub use recorder::Notes;
pub use recorder::Recorder;
pub use recorder::Sink;
pub use survey::Changed;
pub use survey::Walked;
pub use survey::survey_changes;
pub use survey::survey_tree;
