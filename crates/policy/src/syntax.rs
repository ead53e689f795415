//! Reading the interpreter's syntax tree: paths, children, places.

use regorus::{
    Value,
    unstable::{Expr, Literal, LiteralStmt, Module, Query, Rule, RuleHead, Span},
};

use crate::error::Place;

/// A node whose children can be visited without recursion.
#[derive(Clone, Copy)]
pub(crate) enum Node<'a> {
    Expr(&'a Expr),
    Query(&'a Query),
}

/// Where a span begins. The interpreter's own columns count a tab as four.
pub(crate) fn place(span: &Span) -> Place {
    let before = span.source.contents().get(..span.start as usize).unwrap_or_default();
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Place { file: span.source.file().clone(), line: span.line, column: u32::try_from(column).unwrap_or(u32::MAX) }
}

/// An expression as it is written.
pub(crate) fn text(expr: &Expr) -> &str {
    let span = expr.span();
    written(span, span.end)
}

/// A statement as it is written, `with` included.
pub(crate) fn statement(statement: &LiteralStmt) -> &str {
    let ends = statement.with_mods.iter().map(|with| with.r#as.span().end).chain([statement.span.end]);
    written(&statement.span, ends.max().unwrap_or(statement.span.end))
}

/// The span of a string is without its quotation marks, and that of what ends or begins with a string without that one.
fn written(span: &Span, end: u32) -> &str {
    let contents = span.source.contents();
    let (mut start, mut end) = (span.start as usize, end as usize);
    let quote = |at: usize| matches!(contents.as_bytes().get(at), Some(b'"' | b'`'));
    if start > 0 && quote(start - 1) && !quote(start) {
        start -= 1;
    }
    if quote(end) {
        end += 1;
    }
    contents.get(start..end).unwrap_or_default()
}

/// The constant beginning of a reference such as `data.a["b"][x]`: its parts, and whether there is nothing else.
/// `None` where the root is no name.
pub(crate) fn path(expr: &Expr) -> Option<(Vec<String>, bool)> {
    let mut parts = Vec::new();
    let mut whole = true;
    let mut next = expr;
    loop {
        next = match next {
            Expr::Var { value: Value::String(name), .. } => {
                parts.push(name.to_string());
                parts.reverse();
                return Some((parts, whole));
            }
            Expr::RefDot { refr, field, .. } => {
                parts.push(field.1.as_string().ok()?.to_string());
                refr
            }
            Expr::RefBrack { refr, index, .. } => {
                match index.as_ref() {
                    Expr::String { value: Value::String(name), .. } => parts.push(name.to_string()),
                    _ => {
                        // What comes after an index that is not constant is not part of the constant beginning.
                        parts.clear();
                        whole = false;
                    }
                }
                refr
            }
            _ => return None,
        };
    }
}

/// How many parts a reference such as `f(x).a[i].b` has, and what hangs below it: its indexes, and its root unless that is
/// a name.
pub(crate) fn chain(expr: &Expr) -> (usize, Vec<Node<'_>>) {
    let (mut length, mut below) = (0, Vec::new());
    let mut next = expr;
    loop {
        next = match next {
            Expr::RefDot { refr, .. } => refr,
            Expr::RefBrack { refr, index, .. } => {
                below.push(Node::Expr(index));
                refr
            }
            Expr::Var { .. } => return (length, below),
            root if length > 0 => {
                below.push(Node::Expr(root));
                return (length, below);
            }
            _ => return (0, vec![]),
        };
        length += 1;
    }
}

/// The reference that a rule's head defines, and what it is.
pub(crate) fn head(rule: &Rule) -> &Expr {
    match rule {
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. } => refr,
        },
        Rule::Default { refr, .. } => refr,
    }
}

/// A function's parameters; `None` for other rules.
pub(crate) fn parameters(rule: &Rule) -> Option<Vec<&Expr>> {
    match rule {
        Rule::Spec { head: RuleHead::Func { args, .. }, .. } => Some(args.iter().map(AsRef::as_ref).collect()),
        Rule::Default { args, .. } if !args.is_empty() => Some(args.iter().map(AsRef::as_ref).collect()),
        _ => None,
    }
}

/// The package's name with `data` before it.
pub(crate) fn package(module: &Module) -> Vec<String> {
    let mut parts = vec!["data".to_owned()];
    parts.extend(path(&module.package.refr).map(|(parts, _)| parts).unwrap_or_default());
    parts
}

/// Everything that hangs directly below a rule, without the name that it defines.
pub(crate) fn below_rule(rule: &Rule) -> Vec<Node<'_>> {
    let mut nodes = chain(head(rule)).1;
    nodes.extend(parameters(rule).unwrap_or_default().into_iter().map(Node::Expr));
    match rule {
        Rule::Default { value, .. } => nodes.push(Node::Expr(value)),
        Rule::Spec { head, bodies, .. } => {
            match head {
                RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => {
                    nodes.extend(assign.iter().map(|assign| Node::Expr(&assign.value)));
                }
                RuleHead::Set { key, .. } => nodes.extend(key.iter().map(|key| Node::Expr(key))),
            }
            for body in bodies {
                nodes.extend(body.assign.iter().map(|assign| Node::Expr(&assign.value)));
                nodes.push(Node::Query(&body.query));
            }
        }
    }
    nodes
}

/// Everything that hangs directly below a statement, `with` included.
pub(crate) fn below_statement(statement: &LiteralStmt) -> Vec<Node<'_>> {
    let mut nodes = below_literal(&statement.literal);
    nodes.extend(statement.with_mods.iter().flat_map(|with| [Node::Expr(&with.refr), Node::Expr(&with.r#as)]));
    nodes
}

/// Everything that hangs directly below a statement's own expression.
pub(crate) fn below_literal(literal: &Literal) -> Vec<Node<'_>> {
    match literal {
        Literal::SomeVars { .. } => vec![],
        Literal::SomeIn { key, value, collection, .. } => {
            let mut nodes: Vec<_> = key.iter().map(|key| Node::Expr(key)).collect();
            nodes.extend([Node::Expr(value), Node::Expr(collection)]);
            nodes
        }
        Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => vec![Node::Expr(expr)],
        Literal::Every { domain, query, .. } => vec![Node::Expr(domain), Node::Query(query)],
    }
}

/// Everything that hangs directly below an expression.
pub(crate) fn below_expr(expr: &Expr) -> Vec<Node<'_>> {
    match expr {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. } => vec![],
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().map(|item| Node::Expr(item)).collect(),
        Expr::Object { fields, .. } => {
            fields.iter().flat_map(|(_, key, value)| [Node::Expr(key), Node::Expr(value)]).collect()
        }
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
            vec![Node::Expr(term), Node::Query(query)]
        }
        Expr::ObjectCompr { key, value, query, .. } => vec![Node::Expr(key), Node::Expr(value), Node::Query(query)],
        Expr::Call { fcn, params, .. } => std::iter::once(fcn).chain(params).map(|param| Node::Expr(param)).collect(),
        Expr::UnaryExpr { expr, .. } => vec![Node::Expr(expr)],
        Expr::RefDot { refr, .. } => vec![Node::Expr(refr)],
        Expr::RefBrack { refr, index, .. } => vec![Node::Expr(refr), Node::Expr(index)],
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => vec![Node::Expr(lhs), Node::Expr(rhs)],
        Expr::Membership { key, value, collection, .. } => {
            key.iter().chain([value, collection]).map(|expr| Node::Expr(expr)).collect()
        }
    }
}
