//! The report as a terminal shows it: clause, step, observed, allowed, replay.

use std::fmt::Write;

use crashproof_spec::clause::Catalogue;

use crate::report::AccountLines;
use crate::report::AgainLines;
use crate::report::Against;
use crate::report::Finding;
use crate::report::LostFlushLines;
use crate::report::Report;
use crate::report::Schedules;
use crate::report::Verdict;
use crate::report::WorkloadCount;
use crate::report::many;

/// More findings are counted, not shown.
const FINDING_COUNT_MAX: usize = 3;
/// More clauses are counted, not shown.
const LOST_COUNT_MAX: usize = 12;

/// The whole report, as text.
#[must_use]
pub fn terminal(report: &Report) -> String {
    let mut out = String::new();
    for finding in report.findings.iter().take(FINDING_COUNT_MAX) {
        show_finding(&mut out, report, finding);
    }
    let hidden = report.findings.len().saturating_sub(FINDING_COUNT_MAX);
    if hidden > 0 {
        line(&mut out, format_args!("... and {hidden} more findings; --json FILE has them all\n"));
    }
    for reason in report.undecided.iter().take(FINDING_COUNT_MAX) {
        line(&mut out, format_args!("UNDECIDED  {reason}\n"));
    }
    show_summary(&mut out, report);
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string takes all");
}

fn show_finding(out: &mut String, report: &Report, finding: &Finding) {
    let head = finding.clause.as_deref().unwrap_or("the guest");
    line(out, format_args!("REJECTED  {head}  {}\n", finding.statement));
    let workload = finding.workload.as_ref().unwrap_or(&report.workload);
    line(out, format_args!("  workload  {workload}"));
    line(out, format_args!("  subject   {}", report.subject));
    line(out, format_args!("  expected  {}", report.expectation));
    if !finding.also.is_empty() {
        line(out, format_args!("  breaks    also {}", finding.also.join(", ")));
    }
    if let Some(crash) = &finding.crash {
        line(out, format_args!("  crash     {crash}"));
        line(out, format_args!("  seen in   {} states", many(finding.state_count)));
    }
    if !finding.chain.is_empty() {
        line(out, format_args!("\n  step  what happened"));
        for link in &finding.chain {
            line(out, format_args!("  {:>4}  {}", link.step, link.what));
        }
    }
    let step = finding.step.map_or_else(String::new, |step| format!(" at step {step}"));
    let word = match finding.against {
        Against::Subject => "observed",
        Against::Guest => "verifier",
    };
    line(out, format_args!("\n  {word}{step}   {}", finding.observed));
    for (number, allowed) in finding.allowed.iter().enumerate() {
        let label = if number == 0 { "allowed" } else { "" };
        line(out, format_args!("  {label:<width$}   {allowed}", width = word.len() + step.len()));
    }
    if let Some(said) = &finding.verifier {
        line(out, format_args!("\n  verifier  {said}"));
    }
    line(out, format_args!("\n  replay    {}\n", finding.replay));
}

fn show_summary(out: &mut String, report: &Report) {
    let verdict = match report.verdict {
        Verdict::Accepted => "ACCEPTED",
        Verdict::Undecided => "UNDECIDED",
        Verdict::Rejected => "REJECTED",
    };
    let subject = report.findings.iter().filter(|f| f.against == Against::Subject).count();
    let guest = report.findings.len() - subject;
    line(out, format_args!("{verdict}  {}", report.workload));
    line(out, format_args!("  subject   {}", report.subject));
    line(out, format_args!("  expected  {}", report.expectation));
    for (name, end) in &report.ends {
        line(out, format_args!("  guest     {name}: {end}"));
    }
    if subject + guest > 0 {
        line(
            out,
            format_args!("  findings  {subject} against the subject, {guest} against the guest"),
        );
    }
    let events = report.exercised.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
    let (judged, all) = (report.exercised.len(), Catalogue::embedded().iter().count());
    line(out, format_args!("  judged    {judged} of {all} clauses, {events} times"));
    for (what, count) in &report.passed_over {
        line(out, format_args!("  unjudged  {what}: {count} times"));
    }
    if let Some(account) = &report.account {
        show_account(out, account);
    }
    if let Some(workloads) = &report.workloads {
        show_workloads(out, workloads);
    }
    if let Some(Schedules { first_seed, tried }) = report.schedules {
        line(out, format_args!("  schedules {tried} were tried, from seed {first_seed} on"));
    }
    line(out, format_args!("  again     {}", report.command));
}

fn show_workloads(out: &mut String, workloads: &WorkloadCount) {
    let WorkloadCount { counted, done, rejected, errors, findings } = workloads;
    line(
        out,
        format_args!(
            "  workloads {done} were done, of {counted} (the others equal one of them, or were \
             not asked for); {rejected} show something wrong"
        ),
    );
    if *errors > 0 {
        line(out, format_args!("    {errors} calls were answered with an error"));
    }
    for (clause, count) in findings {
        line(out, format_args!("    {clause}: {count} findings"));
    }
}

/// How many states there are, and what became of them.
fn show_states(out: &mut String, account: &AccountLines) {
    line(
        out,
        format_args!(
            "  explored  {} states at {} moments: {} recovered, {} deduplicated, {} pruned, {} \
             judged",
            many(account.states),
            account.moments,
            account.recovered,
            account.deduplicated,
            many(account.pruned.saturating_add(account.pruned_unread)),
            account.judged
        ),
    );
    if account.pruned > 0 || account.pruned_unread > 0 {
        line(
            out,
            format_args!(
                "  pruned    {} equal to a judged one of the same moment, {} that differ from one \
                 only in blocks nothing reads",
                many(account.pruned),
                many(account.pruned_unread)
            ),
        );
    }
    if account.pruned_commuting > 0 {
        line(
            out,
            format_args!(
                "  commute   {} other orders of the unflushed writes leave the same states",
                many(account.pruned_commuting)
            ),
        );
    }
}

fn show_bound(out: &mut String, account: &AccountLines) {
    let bound = account.subset_bound;
    if account.bounded > 0 {
        line(
            out,
            format_args!(
                "  bound     hit at {} positions: of the subsets of more than {bound} unflushed \
                 writes only some were tried: none, prefixes, each alone, each missing",
                account.bounded
            ),
        );
    } else {
        line(
            out,
            format_args!(
                "  bound     {bound} unflushed writes, never hit: every subset was tried, or one \
                 that comes out the same"
            ),
        );
    }
}

fn show_account(out: &mut String, account: &AccountLines) {
    show_states(out, account);
    if let Some(count) = account.states_without_leg {
        line(out, format_args!("  mirror    {count} of these states without a leg"));
    }
    if account.verified > 0 || account.verified_before > 0 {
        line(
            out,
            format_args!(
                "  verified  {} states by the verifier, {} more had its answer already",
                account.verified, account.verified_before
            ),
        );
    }
    show_bound(out, account);
    if let Some(count) = account.torn {
        line(
            out,
            format_args!(
                "  torn      one write at a time, to any of up to 4 sectors, of more to a prefix, \
                 a suffix, one alone or missing: at {count} positions there are more ways"
            ),
        );
    }
    if let Some(lost) = &account.lost_flush {
        show_lost_flush(out, lost);
    }
    if let Some(again) = &account.again {
        show_again(out, again);
    }
    if account.lost.is_empty() {
        return;
    }
    line(out, format_args!("  lost, as allowed (unsynced effect: states)"));
    for (effect, count) in account.lost.iter().take(LOST_COUNT_MAX) {
        line(out, format_args!("    {effect}: {}", many(*count)));
    }
    let hidden = account.lost.len().saturating_sub(LOST_COUNT_MAX);
    if hidden > 0 {
        line(out, format_args!("    ... and {hidden} more; --json FILE has them all"));
    }
}

fn show_lost_flush(out: &mut String, lost: &LostFlushLines) {
    let LostFlushLines { flushes, states, unbroken, broken, bounded } = lost;
    line(
        out,
        format_args!(
            "  lost flush {states} more states, of a device that lost up to {flushes} of the \
             flushes before the crash: no promise is broken in {unbroken}; bound hit at \
             {bounded} positions"
        ),
    );
    for (clause, count) in broken {
        line(out, format_args!("    {clause}: broken in {count} states, by the device"));
    }
}

fn show_again(out: &mut String, again: &AgainLines) {
    let AgainLines { depth, crashed, states, recovered, elsewhere, bounded } = again;
    line(
        out,
        format_args!(
            "  recovery  crashed in turn, to depth {depth}: {crashed} recoveries that wrote, \
             {states} states, {recovered} recovered, {elsewhere} ended elsewhere; bound hit at \
             {bounded} positions"
        ),
    );
}
