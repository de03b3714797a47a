//! Operations, schedules and crashes from the same bytes, judged by the oracle.
//!
//! `CRASHPROOF_DEFECT=NAME` puts a defect into the stack, to see that it is found.
#![no_main]

use crashproof::check::campaign::Campaign;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let defect = std::env::var("CRASHPROOF_DEFECT").ok();
    let campaign = Campaign::with_defect(defect.as_deref()).expect("a defect of `defects`");
    if let Some(execution) = campaign.execute(bytes) {
        execution.assert_accepted();
    }
});
