//! A recursive-descent parser of CEL's grammar; deep nesting is refused before it is followed.

use std::ops::Range;

use crate::{
    ast::{Kind, Loop, MAX_DEPTH, Macro, Node},
    error::ParseError,
    infix::{INFIXES, Infix},
    lexer::{self, Token},
    value::Value,
};

/// Words that are no identifiers.
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

pub(crate) fn parse(source: &str) -> Result<Node, ParseError> {
    let mut parser = Parser { tokens: lexer::tokens(source)?, next: 0, open: 0 };
    let root = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(root),
        other => Err(parser.error(format!("unexpected {}", name(other)))),
    }
}

struct Parser {
    tokens: Vec<(Token, Range<usize>)>,
    next: usize,
    /// Productions that are being parsed around the current token.
    open: u16,
}

fn name(token: &Token) -> String {
    match token {
        Token::End => "end of the expression".to_owned(),
        Token::Word(word) => format!("{word:?}"),
        Token::Symbol(symbol) => format!("{symbol:?}"),
        Token::Literal(_) => "literal".to_owned(),
    }
}

impl Parser {
    fn current(&self) -> (&Token, Range<usize>) {
        // The last token is `End`, and nothing steps past it.
        match self.tokens.get(self.next).or(self.tokens.last()) {
            Some((token, span)) => (token, span.clone()),
            None => (&Token::End, 0..0),
        }
    }

    fn peek(&self) -> &Token {
        self.current().0
    }

    fn start(&self) -> usize {
        self.current().1.start
    }

    /// Where the token before the current one ended.
    fn end(&self) -> usize {
        self.next.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(0, |(_, span)| span.end)
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        if token != Token::End {
            self.next += 1;
        }
        token
    }

    fn error(&self, problem: impl Into<String>) -> ParseError {
        ParseError::Syntax { at: self.start(), problem: problem.into() }
    }

    /// Whether the current token is this symbol, or the word `in`.
    fn is(&self, symbol: &str) -> bool {
        match self.peek() {
            Token::Symbol(found) => *found == symbol,
            Token::Word(word) => word == symbol,
            _ => false,
        }
    }

    fn accept(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), ParseError> {
        if self.accept(symbol) {
            return Ok(());
        }
        Err(self.error(format!("expected {symbol:?}, found {}", name(self.peek()))))
    }

    fn node(&self, kind: Kind, start: usize) -> Result<Node, ParseError> {
        let node = Node::new(kind, start..self.end());
        if node.depth > MAX_DEPTH {
            return Err(ParseError::Depth { limit: MAX_DEPTH, at: start });
        }
        Ok(node)
    }

    fn expression(&mut self) -> Result<Node, ParseError> {
        self.nested(Self::conditional)
    }

    /// Everything that recurses goes through here.
    fn nested(&mut self, production: impl FnOnce(&mut Self) -> Result<Node, ParseError>) -> Result<Node, ParseError> {
        if self.open >= MAX_DEPTH {
            return Err(ParseError::Depth { limit: MAX_DEPTH, at: self.start() });
        }
        self.open += 1;
        let node = production(self);
        self.open -= 1;
        node
    }

    fn conditional(&mut self) -> Result<Node, ParseError> {
        let start = self.start();
        let condition = self.operators(0)?;
        if !self.accept("?") {
            return Ok(condition);
        }
        let yes = self.operators(0)?;
        self.expect(":")?;
        let no = self.expression()?;
        self.node(Kind::Conditional(Box::new([condition, yes, no])), start)
    }

    /// Operators that bind at least as tightly as `lowest`; all of them group to the left.
    fn operators(&mut self, lowest: usize) -> Result<Node, ParseError> {
        let start = self.start();
        let mut left = self.unary()?;
        while let Some((infix, level)) = self.infix(lowest) {
            let right = self.nested(|parser| parser.operators(level + 1))?;
            left = self.node(infix.join(left, right), start)?;
        }
        Ok(left)
    }

    /// The operator at the current token and how tightly it binds, if it binds tightly enough.
    fn infix(&mut self, lowest: usize) -> Option<(Infix, usize)> {
        let found = INFIXES.iter().enumerate().skip(lowest).find_map(|(level, infixes)| {
            infixes.iter().find(|infix| self.is(infix.symbol())).map(|infix| (*infix, level))
        });
        self.next += usize::from(found.is_some());
        found
    }

    fn unary(&mut self) -> Result<Node, ParseError> {
        let start = self.start();
        let sign = match self.peek() {
            Token::Symbol(sign @ ("!" | "-")) => *sign,
            _ => return self.member(),
        };
        let mut count = 0_u32;
        while self.accept(sign) {
            count += 1;
        }
        // A sign belongs to its literal: -2^63 is one, 2^63 is none.
        let literal = match self.peek() {
            Token::Literal(Value::Int(n)) => Some(Value::Int(n.wrapping_neg())),
            Token::Literal(Value::Double(n)) => Some(Value::Double(-n)),
            _ => None,
        };
        if let Some(literal) = literal.filter(|_| sign == "-" && count == 1) {
            self.next += 1;
            let literal = self.node(Kind::Literal(literal), start)?;
            return self.suffixes(literal, start);
        }
        // `!!x` is `x` only if x is a boolean, so at least one and at most two remain.
        let mut node = self.member()?;
        for _ in 0..(2 - count % 2) {
            let kind = if sign == "!" { Kind::Not(Box::new(node)) } else { Kind::Negate(Box::new(node)) };
            node = self.node(kind, start)?;
        }
        Ok(node)
    }

    fn member(&mut self) -> Result<Node, ParseError> {
        let start = self.start();
        let primary = self.primary()?;
        self.suffixes(primary, start)
    }

    /// Fields, calls and indices after a value.
    fn suffixes(&mut self, mut node: Node, start: usize) -> Result<Node, ParseError> {
        loop {
            if self.accept(".") {
                let Token::Word(field) = self.advance() else {
                    return Err(self.error("expected a field name after \".\""));
                };
                if field == "in" || ["true", "false", "null"].contains(&field.as_str()) {
                    return Err(self.error(format!("{field:?} is no field name")));
                }
                let kind = if self.accept("(") {
                    let arguments = self.arguments(")")?;
                    self.method(node, field, arguments)?
                } else {
                    Kind::Select { of: Box::new(node), field }
                };
                node = self.node(kind, start)?;
            } else if self.accept("[") {
                let index = self.expression()?;
                self.expect("]")?;
                node = self.node(Kind::Index { of: Box::new(node), index: Box::new(index) }, start)?;
            } else {
                return Ok(node);
            }
        }
    }

    /// `target.function(arguments)`: a macro or a call.
    fn method(&self, target: Node, function: String, arguments: Vec<Node>) -> Result<Kind, ParseError> {
        let macro_ = match (function.as_str(), arguments.len()) {
            ("all", 2) => Macro::All,
            ("exists", 2) => Macro::Exists,
            ("exists_one", 2) => Macro::ExistsOne,
            ("filter", 2) => Macro::Filter,
            ("map", 2 | 3) => Macro::Map,
            _ => return Ok(Kind::Call { function, target: Some(Box::new(target)), arguments }),
        };
        let mut arguments = arguments.into_iter();
        let (variable, at) = match arguments.next() {
            Some(Node { kind: Kind::Name(variable), span, .. }) => (variable, span.start),
            other => {
                let at = other.map_or(self.start(), |node| node.span.start);
                return Err(ParseError::Syntax { at, problem: format!("{function} needs a variable first") });
            }
        };
        let (first, second) = (arguments.next(), arguments.next());
        let (predicate, transform) = match (macro_, second) {
            (Macro::Map, Some(second)) => (first, Some(second)),
            (Macro::Map, None) => (None, first),
            (_, None) => (first, None),
            (_, Some(_)) => return Err(ParseError::Syntax { at, problem: format!("{function} takes two arguments") }),
        };
        Ok(Kind::Loop(Box::new(Loop { macro_, over: target, variable, predicate, transform })))
    }

    fn arguments(&mut self, end: &str) -> Result<Vec<Node>, ParseError> {
        let mut arguments = Vec::new();
        if self.accept(end) {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if self.accept(end) {
                return Ok(arguments);
            }
            self.expect(",")?;
            // A list may end with a comma, a call may not.
            if end == "]" && self.accept(end) {
                return Ok(arguments);
            }
        }
    }

    fn primary(&mut self) -> Result<Node, ParseError> {
        let start = self.start();
        // A leading dot asks for a name in no package; there are no packages here.
        let rooted = self.accept(".");
        match self.advance() {
            Token::Word(word) => self.word(word, start, rooted),
            _ if rooted => Err(self.error("expected a name after \".\"")),
            Token::Literal(Value::Int(i64::MIN)) => {
                Err(ParseError::Syntax { at: start, problem: "an integer out of range".to_owned() })
            }
            Token::Literal(value) => self.node(Kind::Literal(value), start),
            Token::Symbol("(") => {
                let mut inner = self.expression()?;
                self.expect(")")?;
                inner.span = start..self.end();
                Ok(inner)
            }
            Token::Symbol("[") => {
                let elements = self.arguments("]")?;
                self.node(Kind::List(elements), start)
            }
            Token::Symbol("{") => {
                let entries = self.entries()?;
                self.node(Kind::Map(entries), start)
            }
            other => {
                Err(ParseError::Syntax { at: start, problem: format!("expected a value, found {}", name(&other)) })
            }
        }
    }

    fn word(&mut self, word: String, start: usize, rooted: bool) -> Result<Node, ParseError> {
        let constant = match word.as_str() {
            _ if rooted => None,
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" => Some(Value::Null),
            _ => None,
        };
        if let Some(constant) = constant {
            return self.node(Kind::Literal(constant), start);
        }
        if RESERVED.contains(&word.as_str()) {
            return Err(ParseError::Syntax { at: start, problem: format!("{word:?} is reserved") });
        }
        if !self.accept("(") {
            return self.node(Kind::Name(word), start);
        }
        let mut arguments = self.arguments(")")?;
        if word != "has" {
            return self.node(Kind::Call { function: word, target: None, arguments }, start);
        }
        match (arguments.pop().map(|node| node.kind), arguments.is_empty()) {
            (Some(Kind::Select { of, field }), true) => self.node(Kind::Has { of, field }, start),
            _ => Err(ParseError::Syntax { at: start, problem: "has() needs one field selection".to_owned() }),
        }
    }

    fn entries(&mut self) -> Result<Vec<(Node, Node)>, ParseError> {
        let mut entries = Vec::new();
        while !self.accept("}") {
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
            if !self.accept(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }
}
