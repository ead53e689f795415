//! `csign policy test`: does every `test_…` rule hold?

use csign_policy::{TestOutcome, TestRun};
use csign_trust::ExitStatus;
use serde_json::json;

use super::{Files, sources};
use crate::{
    context::{CommandResult, Context},
    failure::Failure,
};

pub(super) fn run(args: &Files, context: &Context) -> CommandResult {
    let mut runs = Vec::new();
    for unit in sources::units(&args.paths)? {
        runs.extend(sources::parse(&unit, args.rego.rego)?.run_tests()?);
    }
    let count = |outcome| runs.iter().filter(|run| run.outcome == outcome).count();
    let (passed, failed) = (count(TestOutcome::Passed), count(TestOutcome::Failed));
    if passed + failed == 0 {
        return Err(Failure::usage("no test found").hint("a test is a rule whose name begins with test_"));
    }
    let skipped = count(TestOutcome::Skipped);
    let data = json!({ "tests": runs, "passed": passed, "failed": failed, "skipped": skipped });
    context.print(&data, || {
        let mut out: String = runs.iter().map(line).collect();
        out.push_str(&format!("{passed} passed, {failed} failed, {skipped} skipped\n"));
        out
    })?;
    Ok(if failed == 0 { ExitStatus::Success } else { ExitStatus::Rejected })
}

fn line(run: &TestRun) -> String {
    let word = match run.outcome {
        TestOutcome::Passed => "PASS",
        TestOutcome::Failed => "FAIL",
        TestOutcome::Skipped => "SKIP",
    };
    let reasons = run.reasons.iter().map(|reason| format!("      {}\n", reason.to_string().replace('\n', "\n      ")));
    format!("{word}  {}:{}  {}\n{}", run.place.file, run.place.line, run.test, reasons.collect::<String>())
}
