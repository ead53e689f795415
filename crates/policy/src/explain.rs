//! The decision, and for a refusal the reasons: which expression of which rule did not hold, and what the statement has
//! there.

use std::{collections::BTreeSet, fmt};

use regorus::{
    Value,
    unstable::{AssignOp, Expr, Literal, LiteralStmt, Module, Ref, Rule, RuleHead},
};
use serde::Serialize;

use crate::{
    check,
    error::Place,
    policy::ALLOW,
    probe::{Context, Evaluation, Unanswered},
    syntax::{self, Node},
};

/// Reasons of one refusal.
const MAX_REASONS: usize = 16;
/// Values that one reason shows.
const MAX_FOUND: usize = 8;
/// Characters of an expression or a value.
const MAX_TEXT: usize = 160;
/// Rules that use rules, up to here.
const MAX_RULES_DEEP: usize = 4;
/// Rules that say in words what is wrong. They decide nothing unless `allow` uses them.
const MESSAGES: [&str; 3] = ["data.signature.deny", "data.signature.violation", "data.signature.violations"];

/// What a policy says about a statement.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "decision", rename_all = "lowercase")]
pub enum Decision {
    /// `data.signature.allow` is exactly `true`.
    Allowed,
    /// It is not.
    Refused {
        /// At least one.
        reasons: Vec<Reason>,
    },
}

/// What kind of reason it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// The policy has no `data.signature.allow`.
    NoRule,
    /// An expression in the body of a rule did not hold.
    Condition,
    /// The rule has a value that is not `true`.
    Value,
    /// A message of `deny`, `violation` or `violations`.
    Message,
    /// The policy could not be evaluated.
    Error,
    /// The evaluation took more steps than it may.
    Steps,
}

/// One reason of a refusal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// What kind of reason it is.
    pub trouble: Trouble,
    /// The rule's full name.
    pub rule: String,
    /// Where the expression is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The expression, the message, or what happened: printable and bounded.
    pub text: String,
    /// What the expression looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
}

/// A part of an expression, and what it is: printable and bounded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// As the policy writes it, such as `input.predicate.builder.id`.
    pub path: String,
    /// Its values as JSON; none if it is undefined.
    pub values: Vec<String>,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        match self.trouble {
            Trouble::Condition => write!(f, "{} needs {}", self.rule, self.text)?,
            Trouble::Message => write!(f, "{} says {}", self.rule, self.text)?,
            _ => write!(f, "{} {}", self.rule, self.text)?,
        }
        for found in &self.found {
            let value = if found.values.is_empty() { "undefined".to_owned() } else { found.values.join(" or ") };
            write!(f, "\n  {} is {value}", found.path)?;
        }
        Ok(())
    }
}

/// Asks for [`ALLOW`].
pub(crate) fn decide(evaluation: &mut Evaluation, has_rule: bool) -> Decision {
    let refuse = |trouble, text: String| Decision::Refused {
        reasons: vec![Reason { trouble, rule: ALLOW.to_owned(), place: None, text, found: vec![] }],
    };
    match evaluation.query(ALLOW) {
        Ok(values) if values == [Value::Bool(true)] => Decision::Allowed,
        Ok(values) if matches!(values.as_slice(), [] | [Value::Bool(false)]) => {
            if !has_rule {
                return refuse(Trouble::NoRule, "is defined by no rule of the policy".to_owned());
            }
            let mut reasons = reasons(evaluation, ALLOW);
            reasons.extend(messages(evaluation));
            if reasons.is_empty() {
                let value = values.first().map_or("undefined".to_owned(), shown);
                return refuse(Trouble::Value, format!("is {value}, not true"));
            }
            reasons.truncate(MAX_REASONS);
            Decision::Refused { reasons }
        }
        Ok(values) => {
            let values: Vec<String> = values.iter().map(shown).collect();
            refuse(Trouble::Value, format!("is {}, not true", values.join(" and ")))
        }
        Err(Unanswered::Error(error)) => refuse(Trouble::Error, format!("could not be evaluated: {error}")),
        Err(Unanswered::Steps) => refuse(Trouble::Steps, "takes more steps than an evaluation may".to_owned()),
    }
}

/// Why the rule of this full name is not true.
pub(crate) fn reasons(evaluation: &mut Evaluation, rule: &str) -> Vec<Reason> {
    let modules = evaluation.modules();
    let mut explanation = Explanation { evaluation, modules: &modules, reasons: vec![], seen: BTreeSet::new() };
    explanation.rule(rule, "", 0);
    explanation.reasons
}

fn messages(evaluation: &mut Evaluation) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for rule in MESSAGES {
        let values = evaluation.query(rule).unwrap_or_default();
        let members: Vec<Value> = values
            .into_iter()
            .flat_map(|value| match value {
                Value::Set(set) => set.iter().cloned().collect(),
                Value::Array(array) => array.iter().cloned().collect(),
                _ => vec![],
            })
            .collect();
        reasons.extend(members.iter().take(MAX_REASONS).map(|member| Reason {
            trouble: Trouble::Message,
            rule: rule.to_owned(),
            place: None,
            text: shown(member),
            found: vec![],
        }));
    }
    reasons
}

struct Explanation<'a> {
    evaluation: &'a mut Evaluation,
    modules: &'a [Ref<Module>],
    reasons: Vec<Reason>,
    seen: BTreeSet<String>,
}

impl<'a> Explanation<'a> {
    /// `with` stands after every statement: a test explains the rule that it tests with the test's input.
    fn rule(&mut self, name: &str, with: &str, depth: usize) {
        if depth > MAX_RULES_DEEP || !self.seen.insert(name.to_owned()) {
            return;
        }
        let modules = self.modules;
        for module in modules {
            for rule in module.policy.iter().filter(|rule| check::full_name(module, rule) == name) {
                let Rule::Spec { head: RuleHead::Compr { .. }, bodies, .. } = rule.as_ref() else { continue };
                for body in bodies {
                    self.body(name, module, body.query.stmts.iter().collect(), with, depth);
                }
            }
        }
    }

    /// Finds the first statement with which the body no longer holds.
    fn body(&mut self, rule: &str, module: &'a Module, statements: Vec<&'a LiteralStmt>, with: &str, depth: usize) {
        let mut context = Context { module, before: vec![], with: with.to_owned() };
        // Statements may stand before those that give their variables a value; then they are judged with those.
        let mut waiting = Vec::new();
        for statement in statements {
            context.before.push(statement);
            match self.evaluation.holds(&context) {
                Some(true) => waiting.clear(),
                None => waiting.push(statement),
                Some(false) => {
                    context.before.pop();
                    waiting.push(statement);
                    for statement in waiting {
                        self.statement(rule, &context, statement, depth);
                    }
                    return;
                }
            }
        }
    }

    fn statement(&mut self, rule: &str, context: &Context<'a>, statement: &'a LiteralStmt, depth: usize) {
        if self.reasons.len() >= MAX_REASONS {
            return;
        }
        let with: String = statement
            .with_mods
            .iter()
            .map(|with| format!(" with {} as {}", syntax::text(&with.refr), syntax::text(&with.r#as)))
            .collect();
        let parts = parts(statement);
        let mut found: Vec<Found> = Vec::new();
        let mut used = Vec::new();
        for part in &parts {
            let text = syntax::text(part);
            if found.iter().any(|found| found.path == text) || found.len() >= MAX_FOUND {
                continue;
            }
            let Some(values) = self.evaluation.values(context, text, &with) else { continue };
            let refused = values.is_empty() || values == [Value::Bool(false)];
            if refused && let Some((path, _)) = syntax::path(part) {
                used.push(check::absolute(context.module, &path));
            }
            found.push(Found { path: printable(text), values: values.iter().map(shown).collect() });
        }
        self.origins(context, &parts, &mut found);
        self.reasons.push(Reason {
            trouble: Trouble::Condition,
            rule: rule.to_owned(),
            place: Some(syntax::place(&statement.span)),
            text: printable(syntax::statement(statement)),
            found,
        });
        if !matches!(statement.literal, Literal::NotExpr { .. }) {
            for name in used {
                self.rule(&name, &format!("{with}{}", context.with), depth + 1);
            }
        }
    }

    /// What of the input the variables of an expression come from.
    fn origins(&mut self, context: &Context<'a>, parts: &[&'a Expr], found: &mut Vec<Found>) {
        let mut names: Vec<String> = parts.iter().filter_map(|part| syntax::path(part)?.0.into_iter().next()).collect();
        for statement in context.before.iter().rev() {
            let Literal::Expr { expr, .. } = &statement.literal else { continue };
            let Expr::AssignExpr { op: AssignOp::ColEq | AssignOp::Eq, lhs, rhs, .. } = expr.as_ref() else { continue };
            let Expr::Var { span, .. } = lhs.as_ref() else { continue };
            if !names.iter().any(|name| name == span.text()) {
                continue;
            }
            for part in references(&[Node::Expr(rhs)]) {
                names.extend(syntax::path(part).and_then(|(path, _)| path.into_iter().next()));
                let text = syntax::text(part);
                let is_input = text.starts_with("input.") || text.starts_with("input[");
                if !is_input || found.len() >= MAX_FOUND || found.iter().any(|found| found.path == text) {
                    continue;
                }
                let values = self.evaluation.values(context, text, "").unwrap_or_default();
                found.push(Found { path: printable(text), values: values.iter().map(shown).collect() });
            }
        }
    }
}

/// The parts of a statement whose values tell why it does not hold.
fn parts(statement: &LiteralStmt) -> Vec<&Expr> {
    let mut parts = Vec::new();
    let nodes = match &statement.literal {
        Literal::Every { domain, .. } => vec![Node::Expr(domain)],
        Literal::SomeIn { collection, .. } => vec![Node::Expr(collection)],
        Literal::SomeVars { .. } => vec![],
        Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => {
            match expr.as_ref() {
                // A side that is computed is worth showing besides what it is computed from.
                Expr::BoolExpr { lhs, rhs, .. } | Expr::AssignExpr { op: AssignOp::Eq, lhs, rhs, .. } => {
                    parts.extend([lhs.as_ref(), rhs].into_iter().filter(|side| matches!(side, Expr::Call { .. })));
                }
                _ => {}
            }
            match expr.as_ref() {
                Expr::AssignExpr { op: AssignOp::ColEq, rhs, .. } => vec![Node::Expr(rhs)],
                expr => vec![Node::Expr(expr)],
            }
        }
    };
    parts.extend(references(&nodes));
    parts
}

/// The references and variables below, but for those in comprehensions, whose variables are their own.
fn references<'a>(nodes: &[Node<'a>]) -> Vec<&'a Expr> {
    let mut found = Vec::new();
    let mut pending: Vec<Node<'a>> = nodes.iter().rev().copied().collect();
    while let Some(node) = pending.pop() {
        let Node::Expr(expr) = node else { continue };
        match expr {
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } if syntax::path(expr).is_some() => {
                found.push(expr);
            }
            Expr::Call { params, .. } => pending.extend(params.iter().rev().map(|param| Node::Expr(param))),
            Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => {}
            expr => pending.extend(syntax::below_expr(expr).into_iter().rev()),
        }
    }
    found
}

/// The interpreter's message without the place and the source line that it shows before.
pub(crate) fn message(text: &str) -> String {
    let last = text.rsplit_once("\nerror: ").map_or(text, |(_, message)| message);
    printable(last.trim().lines().next().unwrap_or_default())
}

fn shown(value: &Value) -> String {
    match value {
        Value::Undefined => "undefined".to_owned(),
        value => printable(&serde_json::to_string(value).unwrap_or_default()),
    }
}

/// Foreign text for a person: white space joined, control characters replaced, shortened.
fn printable(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out: String = joined.chars().take(MAX_TEXT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if joined.chars().nth(MAX_TEXT).is_some() {
        out.push('…');
    }
    out
}
