//! Overlapping calls of which nobody told the order: one that explains their answers is looked
//! for.

use std::collections::BTreeSet;
use std::collections::VecDeque;

use imbl::Vector;

use crate::oracle::Oracle;
use crate::oracle::group::Calls;
use crate::oracle::group::Item;
use crate::words::Step;

/// Orders of overlapping calls that are tried.
const ORDERS_MAX: usize = 2_000;

impl Oracle {
    /// Looks for an order of the calls that explains their answers.
    pub(super) fn search(&mut self, items: &Vector<Item>, calls: &Calls) {
        let known = self.judge.violations.len();
        let before = self.judge.clone();
        let free: Vec<Step> = calls
            .iter()
            .filter(|(_, pending)| pending.outcome.is_some() && before.is_free(pending))
            .map(|(step, _)| step)
            .collect();
        let first: Vec<usize> = (0..items.len()).collect();
        let mut known_orders = BTreeSet::from([first.clone()]);
        let mut orders = VecDeque::from([first]);
        while let Some(order) = orders.pop_front() {
            let permuted: Vector<Item> = order.iter().map(|at| items[*at].clone()).collect();
            let mut judge = before.clone();
            judge.group(&permuted, calls, true);
            if judge.violations.len() == known {
                self.judge = judge;
                self.judge.uncertain |= are_ambiguous(&free, calls);
                return;
            }
            for at in earlier(&permuted, &free, calls) {
                let mut next = order.clone();
                next.swap(at - 1, at);
                if known_orders.insert(next.clone()) {
                    orders.push_back(next);
                }
            }
            if known_orders.len() > ORDERS_MAX {
                self.judge.undecided(self.step, "overlapping calls without commit order");
                self.judge.uncertain = true;
                return;
            }
        }
        self.judge.group(items, calls, true);
    }
}

/// Do at least two calls change something whose order nobody told?
fn are_ambiguous(free: &[Step], calls: &Calls) -> bool {
    let changing = |step: &&Step| calls.get(**step).is_some_and(|call| call.call.changes());
    free.iter().filter(changing).count() > 1
}

/// Where a call of unknown place may take effect one place earlier.
fn earlier(items: &Vector<Item>, free: &[Step], calls: &Calls) -> Vec<usize> {
    let mut orders = Vec::new();
    for at in 1..items.len() {
        let Item::Answered(step) = items[at] else { continue };
        let began_before = match &items[at - 1] {
            Item::Committed(other) | Item::Answered(other) => calls
                .get(*other)
                .and_then(|other| other.outcome.as_ref())
                .is_none_or(|(answered, _)| step < *answered),
            Item::Began(then) | Item::Said(then, _) | Item::Exited(then, _) => step < *then,
        };
        if free.contains(&step) && began_before {
            orders.push(at);
        }
    }
    orders
}
