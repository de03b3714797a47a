//! What a crash left: mounted again, checked by fsck, walked.

use crashproof_spec::words::Survey;
use crashproof_spec::words::Testimony;

use crate::cow::fsck;
use crate::device::Image;
use crate::observe::survey_tree;
use crate::sim::Sim;
use crate::subject::Stack;
use crate::subject::StackPlan;

/// A recovered file system, as seen by a walk and by fsck.
#[derive(Debug, Clone)]
pub struct Recovered {
    survey: Result<Survey, String>,
    problems: Vec<String>,
}

impl Recovered {
    /// What the walk found, or why there was nothing to walk.
    #[must_use = "a survey is what a crash is judged by"]
    pub fn survey(&self) -> Result<Survey, String> {
        self.survey.clone()
    }

    /// What fsck said, as testimony. It is one more witness; the walk does not depend on it.
    #[must_use]
    pub fn audits(&self) -> Vec<Testimony> {
        let audit = |problem: &String| Testimony::Audit {
            clause: "CRASH-01".to_owned(),
            evidence: format!("fsck: {problem}"),
        };
        self.problems.iter().map(audit).collect()
    }
}

/// Mounts `image` in a calm world without faults, surveys it and checks it.
#[must_use]
pub fn recover(image: &Image, plan: &StackPlan) -> Recovered {
    let sim = Sim::calm();
    let plan = StackPlan { faults: Vec::new(), ..plan.clone() };
    let problems = fsck::check(image).iter().map(ToString::to_string).collect();
    let piece_size_bytes = plan.geometry.block_size_bytes;
    let survey = sim.block_on(async {
        let stack = Stack::mount(image.clone(), &plan, &sim).await.map_err(|e| e.to_string())?;
        survey_tree(stack.vfs.as_ref(), piece_size_bytes).await
    });
    Recovered { survey, problems }
}
