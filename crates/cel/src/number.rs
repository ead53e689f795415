//! Numbers: comparison across types by mathematical value, and arithmetic that never wraps.

use std::cmp::Ordering;

use crate::{ast::Operator, error::EvalError, value::Value};

/// 2^63 and 2^64, which a double represents exactly.
const TWO_63: f64 = 9_223_372_036_854_775_808.0;
const TWO_64: f64 = 18_446_744_073_709_551_616.0;

/// The integer that remains when the fraction is cut off, if it fits. What `int()` does.
pub(crate) fn int_of(double: f64) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation, reason = "the range was checked")]
    (double.is_finite() && double > -TWO_63 && double < TWO_63).then_some(double as i64)
}

/// What `uint()` does.
pub(crate) fn uint_of(double: f64) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    (0.0..TWO_64).contains(&double).then_some(double as u64)
}

/// The order of two numbers of any types; `None` for NaN and for values that are no numbers.
pub(crate) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Double(a), b) => Some(against(*a, whole(b)?)?),
        (a, Value::Double(b)) => Some(against(*b, whole(a)?)?.reverse()),
        (a, b) => Some(whole(a)?.cmp(&whole(b)?)),
    }
}

fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Int(n) => Some(i128::from(*n)),
        Value::Uint(n) => Some(i128::from(*n)),
        _ => None,
    }
}

/// The exact order of a double and an integer, which rounding the integer to a double would not give.
fn against(double: f64, integer: i128) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    if double >= TWO_64 {
        return Some(Ordering::Greater);
    }
    if double < -TWO_63 {
        return Some(Ordering::Less);
    }
    #[allow(clippy::cast_possible_truncation, reason = "the range was checked")]
    let cut = double.trunc() as i128;
    Some(cut.cmp(&integer).then_with(|| double.fract().partial_cmp(&0.0).unwrap_or(Ordering::Equal)))
}

/// `+ - * / %` on two numbers of one type; `None` for other operands.
pub(crate) fn arithmetic(operator: Operator, left: &Value, right: &Value) -> Option<Result<Value, EvalError>> {
    Some(match (left, right) {
        (Value::Int(a), Value::Int(b)) => {
            zero(operator, *b == 0).and_then(|()| range(int(operator, *a, *b))).map(Value::Int)
        }
        (Value::Uint(a), Value::Uint(b)) => {
            zero(operator, *b == 0).and_then(|()| range(uint(operator, *a, *b))).map(Value::Uint)
        }
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(match operator {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            _ => return None,
        })),
        _ => return None,
    })
}

fn zero(operator: Operator, divisor_is_zero: bool) -> Result<(), EvalError> {
    match operator {
        Operator::Divide if divisor_is_zero => Err(EvalError::Arithmetic("division by zero")),
        Operator::Remainder if divisor_is_zero => Err(EvalError::Arithmetic("modulus by zero")),
        _ => Ok(()),
    }
}

fn range<T>(result: Option<T>) -> Result<T, EvalError> {
    result.ok_or(EvalError::Arithmetic("integer overflow"))
}

fn int(operator: Operator, a: i64, b: i64) -> Option<i64> {
    match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide => a.checked_div(b),
        _ => a.checked_rem(b),
    }
}

fn uint(operator: Operator, a: u64, b: u64) -> Option<u64> {
    match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide => a.checked_div(b),
        _ => a.checked_rem(b),
    }
}
