//! What is found before anything runs: calls of functions that do not exist, recursion, nesting, and rules that the
//! interpreter reads differently from OPA.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{AssignOp, BUILTINS, Expr, Literal, LiteralStmt, Module, Rule, RuleHead, Span};

use crate::{
    builtins,
    error::PolicyError,
    limits::{MAX_DEPTH, MAX_RULES},
    syntax::{self, Node},
};

/// Rules and functions of all modules by full name, and what each of them uses.
#[derive(Default)]
struct Rules<'a> {
    /// Number of parameters of the functions.
    functions: BTreeMap<String, usize>,
    /// Where the first rule of that name is, and the full names that its rules mention.
    uses: BTreeMap<String, (Option<&'a Span>, BTreeSet<String>)>,
}

/// What one rule mentions.
#[derive(Default)]
struct Mentions<'a> {
    calls: Vec<(Vec<String>, &'a Span, usize)>,
    references: Vec<Vec<String>>,
    /// Names that the rule itself declares; elsewhere in the rule they are no rules.
    locals: BTreeSet<&'a str>,
    /// Statements that are evaluated `with` something else in place of something.
    withs: Vec<&'a LiteralStmt>,
}

/// Checks everything that a policy consists of.
pub(crate) fn check<'a>(modules: impl Iterator<Item = &'a Module> + Clone) -> Result<(), PolicyError> {
    let mut rules = Rules::default();
    for module in modules.clone() {
        for rule in &module.policy {
            well_formed(rule)?;
            rules.declare(module, rule);
        }
    }
    if rules.uses.len() > MAX_RULES {
        let (span, _) = rules.uses.values().next_back().cloned().unwrap_or_default();
        return Err(too_deep(span, "rules", MAX_RULES));
    }
    let mut withs = Vec::new();
    for module in modules {
        for rule in &module.policy {
            let mentions = mentions(rule)?;
            let uses = rules.resolve(module, &mentions)?;
            rules.uses.entry(full_name(module, rule)).or_default().1.extend(uses);
            for statement in &mentions.withs {
                withs.push((module, *statement, mentions.locals.clone()));
            }
        }
    }
    rules.acyclic()?;
    withs.into_iter().try_for_each(|(module, statement, locals)| rules.check_with(module, statement, locals))
}

fn too_deep(span: Option<&Span>, what: &'static str, limit: usize) -> PolicyError {
    PolicyError::TooDeep { place: place(span), what, limit }
}

/// Without its import, `allow if { false }` is the rule `allow`, which always holds, and a rule called `if`. OPA refuses
/// that, but not `allow = true if { false }`, with which cosign allows everything.
fn well_formed(rule: &Rule) -> Result<(), PolicyError> {
    let refuse = |problem| Err(PolicyError::Rule { place: syntax::place(rule.span()), problem });
    if let Rule::Spec {
        head: RuleHead::Compr { assign: None, .. } | RuleHead::Func { assign: None, .. }, bodies, ..
    } = rule
        && bodies.is_empty()
    {
        return refuse("a rule has a value or a body; this one has neither");
    }
    match syntax::path(syntax::head(rule)).and_then(|(parts, _)| parts.into_iter().next()).as_deref() {
        Some("if" | "contains" | "in" | "every") => refuse("no rule is called `if`, `contains`, `in` or `every`"),
        Some("data" | "input") => refuse("no rule is called `data` or `input`"),
        Some(_) => Ok(()),
        None => refuse("this is not the name of a rule"),
    }
}

/// Everything that a rule mentions, without recursion, so that no nesting exhausts the stack.
fn mentions(rule: &Rule) -> Result<Mentions<'_>, PolicyError> {
    let mut found = Mentions::default();
    for parameter in syntax::parameters(rule).unwrap_or_default() {
        declare(parameter, &mut found.locals);
    }
    collect(rule.span(), syntax::below_rule(rule).into_iter(), &mut found)?;
    Ok(found)
}

fn collect<'a>(
    span: &Span,
    nodes: impl Iterator<Item = Node<'a>>,
    found: &mut Mentions<'a>,
) -> Result<(), PolicyError> {
    let mut pending: Vec<_> = nodes.map(|node| (node, 1_usize)).collect();
    while let Some((node, depth)) = pending.pop() {
        let length = if let Node::Expr(expr) = node { syntax::chain(expr).0 } else { 0 };
        if depth.saturating_add(length) > MAX_DEPTH {
            return Err(too_deep(Some(span), "expressions within expressions", MAX_DEPTH));
        }
        let below = match node {
            Node::Query(query) => {
                for statement in &query.stmts {
                    match &statement.literal {
                        Literal::SomeVars { vars, .. } => found.locals.extend(vars.iter().map(Span::text)),
                        Literal::SomeIn { key, value, .. } => {
                            key.iter().chain([value]).for_each(|expr| declare(expr, &mut found.locals));
                        }
                        Literal::Every { key, value, .. } => {
                            found.locals.extend(key.iter().chain([value]).map(Span::text));
                        }
                        Literal::Expr { .. } | Literal::NotExpr { .. } => {}
                    }
                    if !statement.with_mods.is_empty() {
                        found.withs.push(statement);
                    }
                }
                query.stmts.iter().flat_map(syntax::below_statement).collect()
            }
            Node::Expr(expr) => below(expr, found),
        };
        pending.extend(below.into_iter().map(|node| (node, depth + 1)));
    }
    Ok(())
}

/// Notes what `expr` mentions and gives back what is left to look at.
fn below<'a>(expr: &'a Expr, found: &mut Mentions<'a>) -> Vec<Node<'a>> {
    match expr {
        Expr::Call { fcn, params, span, .. } => {
            found.calls.extend(syntax::path(fcn).map(|(parts, _)| (parts, span, params.len())));
            return params.iter().map(|param| Node::Expr(param)).collect();
        }
        Expr::AssignExpr { op: AssignOp::ColEq, lhs, .. } => declare(lhs, &mut found.locals),
        Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
            found.references.extend(syntax::path(expr).map(|(parts, _)| parts));
            return syntax::chain(expr).1;
        }
        _ => {}
    }
    syntax::below_expr(expr)
}

/// Adds the names that a pattern declares.
fn declare<'a>(pattern: &'a Expr, names: &mut BTreeSet<&'a str>) {
    let mut pending = vec![pattern];
    while let Some(expr) = pending.pop() {
        match expr {
            Expr::Var { span, .. } => drop(names.insert(span.text())),
            Expr::Array { items, .. } => pending.extend(items.iter().map(AsRef::as_ref)),
            Expr::Object { fields, .. } => pending.extend(fields.iter().map(|(_, _, value)| value.as_ref())),
            _ => {}
        }
    }
}

impl<'a> Rules<'a> {
    fn declare(&mut self, module: &Module, rule: &'a Rule) {
        let name = full_name(module, rule);
        if let Some(parameters) = syntax::parameters(rule) {
            self.functions.entry(name.clone()).or_insert(parameters.len());
        }
        self.uses.entry(name).or_default().0.get_or_insert(rule.span());
    }

    /// The full names that the mentions of a module are of.
    fn resolve(&self, module: &Module, mentions: &Mentions<'_>) -> Result<BTreeSet<String>, PolicyError> {
        let mut uses = BTreeSet::new();
        for (parts, span, got) in &mentions.calls {
            let name = absolute(module, parts);
            let want = if let Some(want) = self.functions.get(&name) {
                uses.insert(name);
                *want
            } else {
                let name = parts.join(".");
                if name == "print" {
                    continue;
                }
                let Some(want) = arity(&name) else {
                    return Err(PolicyError::UnknownFunction { place: syntax::place(span), name });
                };
                want
            };
            let name = parts.join(".");
            // One argument more takes the result. `walk` yields nothing without it, where OPA iterates.
            let fits = if name == "walk" { *got == 2 } else { *got == want || *got == want + 1 };
            if !fits {
                let want = if name == "walk" { 2 } else { want };
                return Err(PolicyError::Arguments { place: syntax::place(span), name, want, got: *got });
            }
        }
        for parts in &mentions.references {
            let local = parts.first().is_some_and(|first| mentions.locals.contains(first.as_str()));
            if !local {
                self.used_by(&absolute(module, parts), &mut uses);
            }
        }
        Ok(uses)
    }

    /// A statement and what stands after its `as` share no rule: the interpreter would forget the rule's value between
    /// evaluating the one and the other, and a `not` would hold. Nor is a function of csign's own replaced, which the
    /// interpreter cannot.
    fn check_with<'b>(
        &self,
        module: &Module,
        statement: &'b LiteralStmt,
        locals: BTreeSet<&'b str>,
    ) -> Result<(), PolicyError> {
        let of = |nodes: Vec<Node<'b>>| {
            let mut found = Mentions { locals: locals.clone(), ..Mentions::default() };
            collect(&statement.span, nodes.into_iter(), &mut found)?;
            Ok(self.reachable(self.resolve(module, &found)?))
        };
        for with in &statement.with_mods {
            let name = syntax::path(&with.refr).map(|(parts, _)| parts.join(".")).unwrap_or_default();
            if builtins::arity(&name).is_some() {
                return Err(PolicyError::Replaced { place: syntax::place(&with.span), name });
            }
        }
        let replaced = of(statement.with_mods.iter().map(|with| Node::Expr(&with.r#as)).collect())?;
        let used = of(syntax::below_literal(&statement.literal))?;
        match replaced.intersection(&used).find(|name| !self.functions.contains_key(*name)) {
            Some(rule) => Err(PolicyError::With { place: syntax::place(&statement.span), rule: rule.clone() }),
            None => Ok(()),
        }
    }

    /// These rules and all that they use.
    fn reachable(&self, names: BTreeSet<String>) -> BTreeSet<String> {
        let mut pending: Vec<String> = names.iter().cloned().collect();
        let mut found = names;
        while let Some(name) = pending.pop() {
            for used in self.uses.get(&name).into_iter().flat_map(|(_, uses)| uses) {
                if found.insert(used.clone()) {
                    pending.push(used.clone());
                }
            }
        }
        found
    }

    /// The rules that a reference evaluates: one of which it names a part, or all below it.
    fn used_by(&self, reference: &str, uses: &mut BTreeSet<String>) {
        let below = format!("{reference}.");
        uses.extend(
            self.uses.range(below.clone()..).map(|(name, _)| name).take_while(|name| name.starts_with(&below)).cloned(),
        );
        let ends = reference.match_indices('.').map(|(at, _)| at).chain([reference.len()]);
        let prefixes = ends.filter_map(|end| reference.get(..end));
        uses.extend(prefixes.filter(|prefix| self.uses.contains_key(*prefix)).map(str::to_owned));
    }

    /// No rule depends on itself, and none on too many others in a row.
    fn acyclic(&self) -> Result<(), PolicyError> {
        // How many rules hang in a row below each; `None` while that is being found out.
        let mut heights: BTreeMap<&str, Option<usize>> = BTreeMap::new();
        for root in self.uses.keys() {
            let mut pending = vec![(root.as_str(), false)];
            while let Some((name, seen)) = pending.pop() {
                let Some((span, uses)) = self.uses.get(name) else { continue };
                if seen {
                    let below = uses.iter().filter_map(|used| heights.get(used.as_str()).copied().flatten()).max();
                    let height = below.map_or(0, |below| below + 1);
                    if height > MAX_DEPTH {
                        return Err(too_deep(*span, "rules that use rules", MAX_DEPTH));
                    }
                    heights.insert(name, Some(height));
                } else if !heights.contains_key(name) {
                    heights.insert(name, None);
                    pending.push((name, true));
                    for used in uses {
                        if heights.get(used.as_str()) == Some(&None) {
                            let place = place(*span);
                            return Err(PolicyError::Recursion { place, rule: used.clone() });
                        }
                        pending.push((used, false));
                    }
                }
            }
        }
        Ok(())
    }
}

fn place(span: Option<&Span>) -> crate::Place {
    span.map_or(crate::Place { file: String::new(), line: 1, column: 1 }, syntax::place)
}

/// The full name of what a rule defines.
pub(crate) fn full_name(module: &Module, rule: &Rule) -> String {
    let mut parts = syntax::package(module);
    parts.extend(syntax::path(syntax::head(rule)).map(|(parts, _)| parts).unwrap_or_default());
    parts.join(".")
}

/// The full name of what a module calls `parts`: through `data`, through an import, or in its own package.
pub(crate) fn absolute(module: &Module, parts: &[String]) -> String {
    let Some((first, rest)) = parts.split_first() else { return String::new() };
    if first == "data" || first == "input" {
        return parts.join(".");
    }
    for import in &module.imports {
        let Some((target, _)) = syntax::path(&import.refr) else { continue };
        let alias = import.r#as.as_ref().map(Span::text).or(target.last().map(String::as_str));
        if alias == Some(first.as_str()) && matches!(target.first().map(String::as_str), Some("data" | "input")) {
            return [target.as_slice(), rest].concat().join(".");
        }
    }
    [syntax::package(module).as_slice(), parts].concat().join(".")
}

fn arity(name: &str) -> Option<usize> {
    builtins::arity(name).or_else(|| BUILTINS.get(name).map(|(_, arity)| usize::from(*arity)))
}
