//! Tests in OPA's style: every rule whose name begins with `test_` must be `true`.

use serde::Serialize;

use crate::{
    check,
    error::{Place, PolicyError},
    explain::{self, Reason, Trouble},
    limits,
    policy::Policy,
    probe::Unanswered,
    syntax,
};
use regorus::Value;

/// How a test came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TestOutcome {
    /// The rule is `true`.
    Passed,
    /// It is not, or it could not be evaluated.
    Failed,
    /// Its name begins with `todo_test_`.
    Skipped,
}

/// One test and how it came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TestRun {
    /// The rule's full name.
    pub test: String,
    /// Where its first rule is.
    pub place: Place,
    /// How it came out.
    pub outcome: TestOutcome,
    /// Why it failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

impl Policy {
    /// Runs every test in the order of the sources. `time.now_ns()` is 0.
    ///
    /// # Errors
    /// The interpreter did not start.
    pub fn run_tests(&self) -> Result<Vec<TestRun>, PolicyError> {
        limits::with_room(|| {
            let mut runs: Vec<TestRun> = Vec::new();
            for module in self.engine.clone().get_modules() {
                for rule in &module.policy {
                    let test = check::full_name(module, rule);
                    let name = test.rsplit('.').next().unwrap_or_default();
                    let skipped = name.starts_with("todo_test_");
                    if !(skipped || name.starts_with("test_")) || runs.iter().any(|run| run.test == test) {
                        continue;
                    }
                    let place = syntax::place(rule.span());
                    let (outcome, reasons) =
                        if skipped { (TestOutcome::Skipped, vec![]) } else { self.run_test(&test) };
                    runs.push(TestRun { test, place, outcome, reasons });
                }
            }
            runs
        })
    }

    fn run_test(&self, test: &str) -> (TestOutcome, Vec<Reason>) {
        let mut evaluation = self.evaluation(None, 0);
        let reason =
            |trouble, text: String| Reason { trouble, rule: test.to_owned(), place: None, text, found: vec![] };
        let reasons = match evaluation.query(test) {
            Ok(values) if values == [Value::Bool(true)] => return (TestOutcome::Passed, vec![]),
            Ok(_) => {
                let reasons = explain::reasons(&mut evaluation, test);
                if reasons.is_empty() { vec![reason(Trouble::Value, "is not true".to_owned())] } else { reasons }
            }
            Err(Unanswered::Error(error)) => vec![reason(Trouble::Error, format!("could not be evaluated: {error}"))],
            Err(Unanswered::Steps) => vec![reason(Trouble::Steps, "takes more steps than a test may".to_owned())],
        };
        (TestOutcome::Failed, reasons)
    }
}
