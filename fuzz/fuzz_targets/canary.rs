//! Fails on purpose: a stack whose fsync writes no log. A campaign that does not find it within
//! a minute is not looking.
#![no_main]

use crashproof::check::campaign::Campaign;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let campaign = Campaign::with_defect(Some("sync_without_log")).expect("a known defect");
    if let Some(execution) = campaign.execute(bytes) {
        execution.assert_accepted();
    }
});
