//! Splits CEL text into tokens.

use std::ops::Range;

use crate::{error::ParseError, value::Value};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// An identifier; the reserved words are told apart by the parser.
    Word(String),
    Literal(Value),
    Symbol(&'static str),
    End,
}

/// Longest first.
const SYMBOLS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")", "[", "]",
    "{", "}",
];

pub(crate) fn tokens(source: &str) -> Result<Vec<(Token, Range<usize>)>, ParseError> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        let start = lexer.at;
        let token = lexer.token()?;
        let end = token == Token::End;
        tokens.push((token, start..lexer.at));
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn error(&self, problem: impl Into<String>) -> ParseError {
        ParseError::Syntax { at: self.at, problem: problem.into() }
    }

    fn take(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn skip_blanks(&mut self) {
        loop {
            self.take(|c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}'));
            if !self.rest().starts_with("//") {
                return;
            }
            self.take(|c| c != '\n');
        }
    }

    fn token(&mut self) -> Result<Token, ParseError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        if let Some(literal) = self.string()? {
            return Ok(Token::Literal(literal));
        }
        let fraction = first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit());
        if first.is_ascii_digit() || fraction {
            return self.number().map(Token::Literal);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            return Ok(Token::Word(self.take(|c| c.is_ascii_alphanumeric() || c == '_').to_owned()));
        }
        let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
        let symbol = *symbol.ok_or_else(|| self.error(format!("unexpected character {first:?}")))?;
        self.at += symbol.len();
        Ok(Token::Symbol(symbol))
    }

    /// Numbers have no sign: `-1` is a negation, which the parser joins with its literal.
    fn number(&mut self) -> Result<Value, ParseError> {
        let start = self.at;
        let rest = self.rest();
        if let Some(hex) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            let length = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
            self.at += 2 + length;
            return self.integer(&hex[..length], 16, start);
        }
        let whole = self.take(|c| c.is_ascii_digit());
        let mut double = false;
        if self.rest().starts_with('.') && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) {
            self.at += 1;
            self.take(|c| c.is_ascii_digit());
            double = true;
        }
        if let Some(exponent) = self.rest().strip_prefix(['e', 'E']) {
            let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(self.error("an exponent without digits"));
            }
            self.at += 1 + exponent.len() - unsigned.len();
            self.take(|c| c.is_ascii_digit());
            double = true;
        }
        if !double {
            return self.integer(whole, 10, start);
        }
        let text = &self.source[start..self.at];
        let value = text.parse::<f64>().map_err(|_| self.error("a malformed number"))?;
        self.number_ends()?;
        Ok(Value::Double(value))
    }

    fn integer(&mut self, digits: &str, radix: u32, start: usize) -> Result<Value, ParseError> {
        let range = || ParseError::Syntax { at: start, problem: "an integer out of range".to_owned() };
        let value = u64::from_str_radix(digits, radix).map_err(|_| range())?;
        if self.rest().starts_with(['u', 'U']) {
            self.at += 1;
            self.number_ends()?;
            return Ok(Value::Uint(value));
        }
        self.number_ends()?;
        // 2^63 exists only as -2^63; the parser puts the sign to it.
        if value == i64::MIN.unsigned_abs() {
            return Ok(Value::Int(i64::MIN));
        }
        i64::try_from(value).map(Value::Int).map_err(|_| range())
    }

    fn number_ends(&self) -> Result<(), ParseError> {
        match self.rest().chars().next() {
            Some(c) if c.is_ascii_alphanumeric() || c == '_' => Err(self.error("a malformed number")),
            _ => Ok(()),
        }
    }

    /// A string or bytes literal, if one begins here.
    fn string(&mut self) -> Result<Option<Value>, ParseError> {
        let rest = self.rest();
        let opening = rest.find(['"', '\'']).filter(|at| *at <= 2);
        let Some(prefix) = opening.and_then(|at| rest.get(..at)) else { return Ok(None) };
        let (raw, bytes) = match prefix.to_ascii_lowercase().as_str() {
            "" => (false, false),
            "r" => (true, false),
            "b" => (false, true),
            "br" | "rb" => (true, true),
            _ => return Ok(None),
        };
        let quoted = &rest[prefix.len()..];
        let mark = match quoted {
            q if q.starts_with("\"\"\"") => "\"\"\"",
            q if q.starts_with("'''") => "'''",
            q if q.starts_with('"') => "\"",
            _ => "'",
        };
        self.at += prefix.len() + mark.len();
        let mut text = Vec::new();
        loop {
            let rest = self.rest();
            if rest.starts_with(mark) {
                self.at += mark.len();
                break;
            }
            let Some(c) = rest.chars().next() else { return Err(self.error("the string does not end")) };
            if mark.len() == 1 && matches!(c, '\n' | '\r') {
                return Err(self.error("the string does not end on its line"));
            }
            self.at += c.len_utf8();
            if c == '\\' && !raw {
                self.escape(bytes, &mut text)?;
            } else {
                text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        if bytes {
            return Ok(Some(Value::Bytes(text.into())));
        }
        let text = String::from_utf8(text).map_err(|_| self.error("the string is not UTF-8"))?;
        Ok(Some(Value::String(text.into())))
    }

    /// One escape sequence, after its backslash. In bytes `\x` and octal escapes are bytes, in strings code points.
    fn escape(&mut self, bytes: bool, text: &mut Vec<u8>) -> Result<(), ParseError> {
        let c = self.rest().chars().next().ok_or_else(|| self.error("the string does not end"))?;
        let simple = match c {
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            '\\' | '?' | '"' | '\'' | '`' => Some(c),
            _ => None,
        };
        if let Some(simple) = simple {
            self.at += 1;
            text.push(simple as u8);
            return Ok(());
        }
        let (skip, digits, radix) = match c {
            'x' | 'X' => (1, 2, 16),
            'u' if !bytes => (1, 4, 16),
            'U' if !bytes => (1, 8, 16),
            '0'..='3' => (0, 3, 8),
            _ => return Err(self.error(format!("unknown escape \\{c}"))),
        };
        let number = self.rest().get(skip..skip + digits).filter(|n| n.chars().all(|c| c.is_digit(radix)));
        let number = number.and_then(|n| u32::from_str_radix(n, radix).ok());
        let number = number.ok_or_else(|| self.error(format!("\\{c} needs {digits} digits")))?;
        self.at += skip + digits;
        if bytes {
            text.push(u8::try_from(number).map_err(|_| self.error("an octal escape above \\377"))?);
            return Ok(());
        }
        let c = char::from_u32(number).ok_or_else(|| self.error("not a Unicode code point"))?;
        text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }
}
