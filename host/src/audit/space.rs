//! Are the accounts of space true: free blocks, and how often each block is used?
//!
//! INV-REF: at quiescence and after recovery, the number of uses of a block that is known is that
//! found by walking every tree. INV-SPACE: used and free blocks together are all.

use std::collections::BTreeMap;

use crashproof_spec::words::Testimony;

use crate::cow::Cow;
use crate::cow::CowError;
use crate::cow::Discrepancy;
use crate::cow::Misuse;

/// What is amiss with the accounts, each clause once. Nothing is being written meanwhile.
pub async fn space(cow: &Cow) -> Vec<Testimony> {
    let found = match cow.audit_space().await {
        Ok(found) => found,
        Err(CowError::Corrupt { at, invariant }) => {
            let evidence = format!("INV-REF: block {} does not hold that {invariant}", at.0);
            return vec![Testimony::Audit { clause: "REF-02".to_owned(), evidence }];
        }
        // The device is gone, or refuses to be read: nothing can be said.
        Err(_) => return Vec::new(),
    };
    let mut first: BTreeMap<&'static str, (Discrepancy, usize)> = BTreeMap::new();
    for discrepancy in found {
        let entry = first.entry(clause(discrepancy.what)).or_insert((discrepancy, 0));
        entry.1 += 1;
    }
    let testimony = |(clause, (discrepancy, count)): (&str, (Discrepancy, usize))| {
        let evidence = format!("{}; {count} blocks are so", evidence(discrepancy));
        Testimony::Audit { clause: clause.to_owned(), evidence }
    };
    first.into_iter().map(testimony).collect()
}

/// What is amiss with the counts of what a mount recovered from the log.
pub async fn replay(cow: &Cow) -> Option<Testimony> {
    // What cannot be read, the survey tells.
    let found = cow.audit_replay().await.ok()?;
    let first = *found.first()?;
    let evidence = format!("{}; {} blocks are so", evidence(first), found.len());
    Some(Testimony::Audit { clause: "REF-04".to_owned(), evidence })
}

fn clause(what: Misuse) -> &'static str {
    match what {
        Misuse::FreeInUse | Misuse::FreedTwice => "REF-02",
        Misuse::FreeTooEarly => "ALLOC-04",
        Misuse::Lost => "ALLOC-07",
        Misuse::Count { .. } => "REF-01",
    }
}

fn evidence(discrepancy: Discrepancy) -> String {
    let block = discrepancy.block.0;
    match discrepancy.what {
        Misuse::FreeInUse => format!("INV-REF: block {block} is free, and in use"),
        Misuse::FreeTooEarly => {
            format!("INV-REF: block {block} is free, and in use if the power fails now")
        }
        Misuse::FreedTwice => format!("INV-REF: block {block} was freed twice"),
        Misuse::Lost => format!("INV-SPACE: block {block} is neither free nor in use"),
        Misuse::Count { known, found } => {
            format!("INV-REF: block {block} is said to have {known} uses and has {found}")
        }
    }
}
