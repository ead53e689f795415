//! One evaluation, and questions about it: does this beginning of a rule's body hold, what is the value of that part?
//!
//! The interpreter tells only what a rule's value is. So each question becomes a rule of its own beside the policy's.

use regorus::{
    Engine, Value,
    unstable::{LiteralStmt, Module, Ref},
};

use crate::{explain, limits, syntax};

/// The name of the rule that a question becomes.
const PROBE: &str = "__csign_probe";
/// The value that it asks for.
const VALUE: &str = "__csign_value";
/// Questions of one explanation.
const MAX_QUESTIONS: u32 = 200;
/// Values of one expression that are of interest.
const MAX_VALUES: usize = 4;

/// Why a query has no value.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// The interpreter's words, without the source that it shows.
    Error(String),
    /// The steps ran out.
    Steps,
}

/// Policies, functions and input, ready to be asked.
pub(crate) struct Evaluation {
    engine: Engine,
    steps: u64,
    questions: u32,
}

/// Where a question is asked: after these statements of a body of this module, all of them `with` this.
#[derive(Clone)]
pub(crate) struct Context<'a> {
    pub(crate) module: &'a Module,
    pub(crate) before: Vec<&'a LiteralStmt>,
    pub(crate) with: String,
}

impl Evaluation {
    pub(crate) fn new(engine: Engine, steps: u64) -> Self {
        Self { engine, steps, questions: MAX_QUESTIONS }
    }

    pub(crate) fn modules(&mut self) -> Vec<Ref<Module>> {
        self.engine.get_modules().clone()
    }

    /// Has the interpreter analyse the policies, which finds variables that nothing binds.
    pub(crate) fn prepare(&mut self) -> Result<(), String> {
        let prepared = limits::counted(&mut self.engine, self.steps, |engine| engine.eval_query("1".to_owned(), false));
        prepared.unwrap_or(Ok(Default::default())).map(drop).map_err(|error| error.to_string())
    }

    /// The values of a query; an undefined one has none.
    pub(crate) fn query(&mut self, query: &str) -> Result<Vec<Value>, Unanswered> {
        answer(&mut self.engine, self.steps, query)
    }

    /// Do these statements hold together? `None` where that cannot be asked, such as before a variable has its value.
    pub(crate) fn holds(&mut self, context: &Context<'_>) -> Option<bool> {
        let head = if context.module.rego_v1 { format!("{PROBE} if") } else { PROBE.to_owned() };
        self.ask(context, &head, "").map(|values| values.contains(&Value::Bool(true)))
    }

    /// Some values that an expression has after the context's statements. `None` where that cannot be asked.
    pub(crate) fn values(&mut self, context: &Context<'_>, expression: &str, with: &str) -> Option<Vec<Value>> {
        let head = match context.module.rego_v1 {
            true => format!("{PROBE} contains {VALUE} if"),
            false => format!("{PROBE}[{VALUE}]"),
        };
        let last = format!("{VALUE} := {expression}{with}{}", context.with);
        match self.ask(context, &head, &last)?.first()? {
            Value::Set(values) => Some(values.iter().take(MAX_VALUES).cloned().collect()),
            _ => None,
        }
    }

    fn ask(&mut self, context: &Context<'_>, head: &str, last: &str) -> Option<Vec<Value>> {
        self.questions = self.questions.checked_sub(1)?;
        let module = context.module;
        let mut source = format!("{}\n", module.package.span.text());
        for import in &module.imports {
            source.push_str(&format!("{}\n", import.span.text()));
        }
        source.push_str(&format!("{head} {{\n"));
        for statement in &context.before {
            source.push_str(&format!("{}{}\n", syntax::statement(statement), context.with));
        }
        source.push_str(&format!("{last}\n}}\n"));
        let mut engine = self.engine.clone();
        engine.set_rego_v0(!module.rego_v1);
        engine.add_policy(PROBE.to_owned(), source).ok()?;
        let query = format!("data.{}.{PROBE}", module.package.refr.span().text());
        answer(&mut engine, self.steps / u64::from(MAX_QUESTIONS), &query).ok()
    }
}

fn answer(engine: &mut Engine, steps: u64, query: &str) -> Result<Vec<Value>, Unanswered> {
    let result = limits::counted(engine, steps, |engine| engine.eval_query(query.to_owned(), false));
    let results =
        result.ok_or(Unanswered::Steps)?.map_err(|error| Unanswered::Error(explain::message(&error.to_string())))?;
    let expressions = results.result.into_iter().flat_map(|result| result.expressions);
    Ok(expressions.map(|expression| expression.value).filter(|value| *value != Value::Undefined).collect())
}
