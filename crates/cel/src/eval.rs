//! Evaluates a tree. Errors are values: `&&`, `||`, `all()` and `exists()` absorb one when the rest decides.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use regex_lite::Regex;

use crate::{
    ast::{Kind, Loop, Macro, Node, Operator},
    check,
    error::EvalError,
    functions, number,
    value::{Key, Value, Variables},
};

/// Steps of one evaluation: a node visited, a value compared, 16 bytes of a result written. A condition over a real
/// token takes hundreds; without a bound, nested macros take the product of their lists' lengths.
const MAX_STEPS: u64 = 200_000;

type Result<T = Value> = std::result::Result<T, EvalError>;

pub(crate) struct Evaluation<'a> {
    variables: &'a Variables,
    /// Variables of the macros around the current node, innermost last.
    scope: Vec<(&'a str, Value)>,
    steps: u64,
    pub(crate) patterns: HashMap<String, Regex>,
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new(variables: &'a Variables) -> Self {
        Self { variables, scope: Vec::new(), steps: 0, patterns: HashMap::new() }
    }

    /// Accounts for work before it is done.
    pub(crate) fn charge(&mut self, steps: usize) -> Result<()> {
        self.steps = self.steps.saturating_add(u64::try_from(steps).unwrap_or(u64::MAX));
        if self.steps > MAX_STEPS { Err(EvalError::TooMuchWork(MAX_STEPS)) } else { Ok(()) }
    }

    pub(crate) fn value(&mut self, node: &'a Node) -> Result {
        self.charge(1)?;
        match &node.kind {
            Kind::Literal(value) => Ok(value.clone()),
            Kind::Name(name) => self.name(name),
            Kind::Select { of, field } => match self.value(of)? {
                Value::Map(members) => find(&members, &Value::String(field.as_str().into())),
                other => Err(overload(format!("a field of {}", other.kind()))),
            },
            Kind::Has { of, field } => match self.value(of)? {
                Value::Map(members) => Ok(Value::Bool(members.contains_key(&Key::String(field.as_str().into())))),
                other => Err(overload(format!("has() on {}", other.kind()))),
            },
            Kind::Index { of, index } => {
                let (of, index) = (self.value(of)?, self.value(index)?);
                element(&of, &index)
            }
            Kind::Call { function, target, arguments } => {
                let mut values = Vec::with_capacity(arguments.len() + 1);
                for argument in target.iter().map(|target| &**target).chain(arguments) {
                    values.push(self.value(argument)?);
                }
                functions::call(self, function, target.is_some(), &values)
            }
            Kind::Not(operand) => match self.value(operand)? {
                Value::Bool(value) => Ok(Value::Bool(!value)),
                other => Err(overload(format!("!{}", other.kind()))),
            },
            Kind::Negate(operand) => match self.value(operand)? {
                Value::Int(n) => n.checked_neg().map(Value::Int).ok_or(EvalError::Arithmetic("integer overflow")),
                Value::Double(n) => Ok(Value::Double(-n)),
                other => Err(overload(format!("-{}", other.kind()))),
            },
            Kind::Binary { operator, left, right } => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.binary(*operator, &left, &right)
            }
            Kind::And(operands) => self.absorb(operands, false),
            Kind::Or(operands) => self.absorb(operands, true),
            Kind::Conditional(parts) => {
                let [condition, yes, no] = &**parts;
                match self.value(condition)? {
                    Value::Bool(true) => self.value(yes),
                    Value::Bool(false) => self.value(no),
                    other => Err(overload(format!("{} ? _ : _", other.kind()))),
                }
            }
            Kind::List(elements) => {
                let elements: Result<Vec<_>> = elements.iter().map(|element| self.value(element)).collect();
                Ok(Value::List(elements?.into()))
            }
            Kind::Map(entries) => self.map(entries),
            Kind::Loop(inner) => self.visit(inner),
        }
    }

    /// A macro's variable, the caller's, or a type.
    fn name(&self, name: &str) -> Result {
        let local = self.scope.iter().rev().find(|(bound, _)| *bound == name).map(|(_, value)| value);
        local
            .or_else(|| self.variables.find(name))
            .cloned()
            .or_else(|| check::type_named(name).map(Value::Type))
            .ok_or_else(|| EvalError::NoSuchKey(name.to_owned()))
    }

    /// Operands of `&&` (`decisive` false) or `||` (true): a decisive one wins over errors on both sides of it.
    fn absorb(&mut self, operands: &'a [Node], decisive: bool) -> Result {
        let mut error = None;
        for operand in operands {
            match self.boolean(operand) {
                Ok(value) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(exhausted @ EvalError::TooMuchWork(_)) => return Err(exhausted),
                Err(first) => error = error.or(Some(first)),
            }
        }
        error.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn boolean(&mut self, node: &'a Node) -> Result<bool> {
        match self.value(node)? {
            Value::Bool(value) => Ok(value),
            other => Err(overload(format!("{} where a bool is needed", other.kind()))),
        }
    }

    fn map(&mut self, entries: &'a [(Node, Node)]) -> Result {
        let mut members = BTreeMap::new();
        for (key, value) in entries {
            let key = match self.value(key)? {
                Value::Double(_) => return Err(overload("a map key of type double")),
                key => key.as_key().ok_or_else(|| overload(format!("a map key of type {}", key.kind())))?,
            };
            let value = self.value(value)?;
            if members.contains_key(&key) {
                return Err(EvalError::RepeatedKey(key.value().to_string()));
            }
            members.insert(key, value);
        }
        Ok(Value::Map(Arc::new(members)))
    }

    fn visit(&mut self, inner: &'a Loop) -> Result {
        let elements: Arc<[Value]> = match self.value(&inner.over)? {
            Value::List(elements) => elements,
            Value::Map(members) => members.keys().map(Key::value).collect(),
            other => return Err(overload(format!("a macro over {}", other.kind()))),
        };
        match inner.macro_ {
            Macro::All => self.quantify(inner, &elements, false),
            Macro::Exists => self.quantify(inner, &elements, true),
            Macro::ExistsOne => {
                let mut found = 0_usize;
                for element in elements.iter() {
                    found += usize::from(self.admits(inner, element)?);
                }
                Ok(Value::Bool(found == 1))
            }
            Macro::Filter | Macro::Map => {
                let mut kept = Vec::new();
                for element in elements.iter() {
                    if self.admits(inner, element)? {
                        kept.push(match &inner.transform {
                            Some(transform) => self.within(inner, element, |run| run.value(transform))?,
                            None => element.clone(),
                        });
                    }
                }
                Ok(Value::List(kept.into()))
            }
        }
    }

    fn quantify(&mut self, inner: &'a Loop, elements: &[Value], decisive: bool) -> Result {
        let mut error = None;
        for element in elements {
            match self.admits(inner, element) {
                Ok(value) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(exhausted @ EvalError::TooMuchWork(_)) => return Err(exhausted),
                Err(first) => error = error.or(Some(first)),
            }
        }
        error.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    /// The predicate's value for one element; true where there is no predicate.
    fn admits(&mut self, inner: &'a Loop, element: &Value) -> Result<bool> {
        let Some(predicate) = &inner.predicate else { return Ok(true) };
        self.within(inner, element, |run| run.boolean(predicate))
    }

    fn within<T>(&mut self, inner: &'a Loop, element: &Value, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.charge(1)?;
        self.scope.push((&inner.variable, element.clone()));
        let outcome = work(self);
        self.scope.pop();
        outcome
    }

    fn binary(&mut self, operator: Operator, left: &Value, right: &Value) -> Result {
        match operator {
            Operator::Equal => self.equal(left, right).map(Value::Bool),
            Operator::NotEqual => self.equal(left, right).map(|equal| Value::Bool(!equal)),
            Operator::In => self.contains(right, left).map(Value::Bool),
            Operator::Less => order(operator, left, right).map(|o| Value::Bool(o == Some(Ordering::Less))),
            Operator::Greater => order(operator, left, right).map(|o| Value::Bool(o == Some(Ordering::Greater))),
            Operator::LessOrEqual => order(operator, left, right).map(|o| Value::Bool(o.is_some_and(Ordering::is_le))),
            Operator::GreaterOrEqual => {
                order(operator, left, right).map(|o| Value::Bool(o.is_some_and(Ordering::is_ge)))
            }
            _ => self.arithmetic(operator, left, right),
        }
    }

    fn arithmetic(&mut self, operator: Operator, left: &Value, right: &Value) -> Result {
        if let Some(result) = number::arithmetic(operator, left, right) {
            return result;
        }
        match (operator, left, right) {
            (Operator::Add, Value::String(a), Value::String(b)) => {
                self.charge((a.len() + b.len()) / 16)?;
                Ok(Value::String([&**a, &**b].concat().into()))
            }
            (Operator::Add, Value::Bytes(a), Value::Bytes(b)) => {
                self.charge((a.len() + b.len()) / 16)?;
                Ok(Value::Bytes([&**a, &**b].concat().into()))
            }
            (Operator::Add, Value::List(a), Value::List(b)) => {
                self.charge(a.len() + b.len())?;
                Ok(Value::List([&**a, &**b].concat().into()))
            }
            _ => Err(overload(format!("{} {} {}", left.kind(), operator.symbol(), right.kind()))),
        }
    }

    /// Equality across types: numbers by value, everything else of two types is unequal, never an error.
    pub(crate) fn equal(&mut self, left: &Value, right: &Value) -> Result<bool> {
        self.charge(1)?;
        Ok(match (left, right) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::Type(a), Value::Type(b)) => a == b,
            (Value::List(a), Value::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b.iter()) {
                    if !self.equal(a, b)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Map(a), Value::Map(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (key, value) in a.iter() {
                    match b.get(key) {
                        Some(other) if self.equal(value, other)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            _ => number::compare(left, right) == Some(Ordering::Equal),
        })
    }

    /// `element in container`
    fn contains(&mut self, container: &Value, element: &Value) -> Result<bool> {
        match container {
            Value::List(elements) => {
                for candidate in elements.iter() {
                    if self.equal(candidate, element)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Value::Map(members) => Ok(element.as_key().is_some_and(|key| members.contains_key(&key))),
            other => Err(overload(format!("{} in {}", element.kind(), other.kind()))),
        }
    }
}

pub(crate) fn overload(what: impl Into<String>) -> EvalError {
    EvalError::NoSuchOverload(what.into())
}

fn find(members: &BTreeMap<Key, Value>, key: &Value) -> Result {
    let found = key.as_key().and_then(|key| members.get(&key));
    found.cloned().ok_or_else(|| EvalError::NoSuchKey(key.as_str().map_or_else(|| key.to_string(), str::to_owned)))
}

fn element(of: &Value, index: &Value) -> Result {
    match of {
        Value::Map(members) => find(members, index),
        Value::List(elements) => {
            let Some(Key::Int(at)) = index.as_key() else {
                return Err(overload(format!("list[{}]", index.kind())));
            };
            let found = usize::try_from(at).ok().and_then(|at| elements.get(at));
            found.cloned().ok_or(EvalError::Index { index: at, length: elements.len() })
        }
        other => Err(overload(format!("{}[{}]", other.kind(), index.kind()))),
    }
}

/// The order of two values; `None` where a NaN makes every comparison false.
fn order(operator: Operator, left: &Value, right: &Value) -> Result<Option<Ordering>> {
    let numeric = |value: &Value| matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_));
    match (left, right) {
        (Value::String(a), Value::String(b)) => Ok(Some(a.cmp(b))),
        (Value::Bytes(a), Value::Bytes(b)) => Ok(Some(a.cmp(b))),
        (Value::Bool(a), Value::Bool(b)) => Ok(Some(a.cmp(b))),
        (a, b) if numeric(a) && numeric(b) => Ok(number::compare(a, b)),
        _ => Err(overload(format!("{} {} {}", left.kind(), operator.symbol(), right.kind()))),
    }
}
