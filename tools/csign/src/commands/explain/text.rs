//! The explanation for people.

use csign_lint::explain::{Answer, Verdict};
use csign_trust::report::{printable, table};

use super::token::Shown;

/// Characters of one cell.
const WIDTH: usize = 110;

pub(super) fn answer(shown: &Shown, answer: &Answer) -> String {
    let mut out = String::new();
    let mut section = |title: &str, body: &str| {
        if !body.trim().is_empty() {
            out.push_str(&format!("{title}\n{body}\n"));
        }
    };
    let steps: Vec<Vec<String>> = answer
        .steps
        .iter()
        .map(|step| vec![step.step.to_owned(), step.verdict.name().to_owned(), printable(&step.detail, WIDTH)])
        .collect();
    section(&printable(&shown.source, WIDTH), &table(&["STEP", "VERDICT", "DETAIL"], &steps));
    section("", &clauses(answer));
    section("", &identity(answer));
    let grants: Vec<Vec<String>> = answer
        .grants
        .iter()
        .map(|grant| {
            let verdict = if grant.matches { "the bearer" } else { "someone else" };
            vec![grant.role.clone(), verdict.to_owned(), grant.member.clone()]
        })
        .collect();
    if !grants.is_empty() {
        section("", &table(&["ROLE", "GIVEN TO", "MEMBER"], &grants));
    }
    let refusal = shown.launch.first().or(answer.reason.as_ref());
    match refusal {
        None => out.push_str("ADMITTED\n"),
        Some(reason) => {
            out.push_str(&format!("REFUSED by {}\n", printable(reason, 600)));
            for advice in &answer.advice {
                out.push_str(&format!("  change: {advice}\n"));
            }
        }
    }
    out
}

fn clauses(answer: &Answer) -> String {
    if answer.clauses.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = answer
        .clauses
        .iter()
        .map(|clause| {
            let mut saw: Vec<String> = clause.saw.iter().map(|(path, value)| format!("{path} is {value}")).collect();
            saw.extend(clause.error.iter().filter(|_| clause.saw.is_empty()).cloned());
            let mark = if clause.decides && clause.verdict != Verdict::True { " <-" } else { "" };
            vec![
                format!("{}{mark}", clause.verdict.name()),
                printable(&clause.clause, WIDTH),
                printable(&saw.join(", "), WIDTH),
            ]
        })
        .collect();
    let title = if answer.alternatives { "ANY OF" } else { "ALL OF" };
    table(&["VERDICT", title, "SAW"], &rows)
}

fn identity(answer: &Answer) -> String {
    let Some(identity) = &answer.identity else { return String::new() };
    let mut rows = vec![vec!["google.subject".to_owned(), identity.subject.clone()]];
    if !identity.groups.is_empty() {
        rows.push(vec!["google.groups".to_owned(), identity.groups.join(", ")]);
    }
    rows.extend(identity.attributes.iter().map(|(name, value)| vec![format!("attribute.{name}"), value.clone()]));
    rows.extend(answer.members.iter().map(|member| vec!["member".to_owned(), member.clone()]));
    table(&["BECOMES", ""], &rows)
}
