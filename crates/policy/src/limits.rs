//! What keeps a hostile policy or statement from using up the machine.

use std::{
    cell::Cell,
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use regorus::{
    Engine, PolicyLengthConfig,
    utils::limits::{ExecutionTimerConfig, TimeSource, set_time_source},
};

use crate::error::{Place, PolicyError};

/// Bytes of one source: the parser's work grows with them.
pub(crate) const MAX_SOURCE: usize = 256 << 10;
/// Bytes of the statement: as large as csign lets an attestation be.
pub(crate) const MAX_STATEMENT: usize = 32 << 20;
/// Bytes of one line, which the parser's columns count.
const MAX_LINE: NonZeroU32 = NonZeroU32::new(16 << 10).unwrap();
/// Lines of one source.
const MAX_LINES: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();
/// Brackets within brackets: the parser tries each twice, so its work doubles with each level.
const MAX_NESTING: usize = 12;
/// Minus signs in a row: the parser calls itself for each.
const MAX_SIGNS: usize = 8;
/// Expressions within expressions after parsing, and rules that use rules that use rules.
pub(crate) const MAX_DEPTH: usize = 64;
/// Rules of a policy.
pub(crate) const MAX_RULES: usize = 2_000;
/// Elements that `numbers.range` makes.
pub(crate) const MAX_RANGE: u64 = 100_000;
/// Steps of one evaluation: some seconds of an optimized program, and more than any statement needs.
pub(crate) const STEPS: u64 = 10_000_000;
/// Steps that the interpreter takes between two looks at the counter.
const STEPS_PER_LOOK: u32 = 16;
/// The interpreter calls itself for each expression and rule within another; [`MAX_DEPTH`] of both fit in.
const STACK: usize = 256 << 20;

thread_local! {
    static LOOKS: Cell<u64> = const { Cell::new(0) };
}

/// The interpreter's clock: it counts how often it is looked at, so that a time limit becomes a limit of steps.
struct StepCounter;

static STEP_COUNTER: StepCounter = StepCounter;

impl TimeSource for StepCounter {
    fn now(&self) -> Option<Duration> {
        LOOKS.with(|looks| {
            looks.set(looks.get().saturating_add(1));
            Some(Duration::from_nanos(looks.get()))
        })
    }
}

/// Evaluates with at most `steps`; `None` when they ran out, whatever the interpreter made of that.
pub(crate) fn counted<T>(engine: &mut Engine, steps: u64, evaluate: impl FnOnce(&mut Engine) -> T) -> Option<T> {
    let looks = (steps / u64::from(STEPS_PER_LOOK)).max(1);
    // A second registration is refused, and it is the same counter.
    let _ = set_time_source(&STEP_COUNTER);
    LOOKS.set(0);
    engine.set_execution_timer_config(ExecutionTimerConfig {
        limit: Duration::from_nanos(looks),
        check_interval: NonZeroU32::new(STEPS_PER_LOOK).unwrap_or(NonZeroU32::MIN),
    });
    let result = evaluate(engine);
    (LOOKS.get() <= looks).then_some(result)
}

/// Ends the evaluation that runs in this thread: [`counted`] will say that its steps ran out.
pub(crate) fn exhaust() {
    LOOKS.set(u64::MAX);
}

/// Runs the interpreter where its recursion has room.
pub(crate) fn with_room<T: Send>(run: impl FnOnce() -> T + Send) -> Result<T, PolicyError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("policy".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, run)
            .map_err(PolicyError::Thread)?;
        thread.join().map_err(|_| PolicyError::Interpreter)
    })
}

/// An interpreter that reads sources within these limits and prints nothing.
pub(crate) fn engine() -> Engine {
    let mut engine = Engine::new();
    engine.set_policy_length_config(PolicyLengthConfig {
        max_col: MAX_LINE,
        max_file_bytes: NonZeroUsize::new(MAX_SOURCE).unwrap_or(NonZeroUsize::MIN),
        max_lines: MAX_LINES,
    });
    // As OPA: a function that fails is undefined.
    engine.set_strict_builtin_errors(false);
    engine.set_gather_prints(true);
    engine
}

/// Refuses what the parser would need too much time or stack for, before it sees it.
pub(crate) fn check_source(file: &str, source: &str) -> Result<(), PolicyError> {
    if source.len() > MAX_SOURCE {
        return Err(PolicyError::TooLarge { file: file.to_owned(), size: source.len(), limit: MAX_SOURCE });
    }
    let place = |line: u32, column: u32| Place { file: file.to_owned(), line, column };
    let (mut line, mut column, mut nesting, mut signs) = (1, 0, 0_usize, 0_usize);
    let mut within = Within::Code;
    for c in source.chars() {
        column += 1;
        within = match (within, c) {
            (Within::Code, '"') => Within::String,
            (Within::Code, '`') => Within::RawString,
            (Within::Code, '#') => Within::Comment,
            (Within::String, '\\') => Within::Escape,
            (Within::String, '"' | '\n') | (Within::RawString, '`') | (Within::Comment, '\n') => Within::Code,
            (Within::Escape, _) => Within::String,
            (within, _) => within,
        };
        if within == Within::Code {
            match c {
                '[' | '{' | '(' => nesting += 1,
                ']' | '}' | ')' => nesting = nesting.saturating_sub(1),
                _ => {}
            }
            signs = match c {
                '-' => signs + 1,
                _ if c.is_whitespace() => signs,
                _ => 0,
            };
            if nesting > MAX_NESTING {
                let what = "brackets within brackets";
                return Err(PolicyError::TooDeep { place: place(line, column), what, limit: MAX_NESTING });
            }
            if signs > MAX_SIGNS {
                let what = "minus signs in a row";
                return Err(PolicyError::TooDeep { place: place(line, column), what, limit: MAX_SIGNS });
            }
        }
        if c == '\n' {
            (line, column) = (line + 1, 0);
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Within {
    Code,
    String,
    Escape,
    RawString,
    Comment,
}
