//! A circuit breaker with full jitter: after failures nothing is asked of a service for a while, then one request at a
//! time tries it, and the first success lets everything through again.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Failures in a row that stop everything.
const FAILURES: u32 = 12;
/// Longest pause after the first opening, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Shortest pause.
const FLOOR: Duration = Duration::from_millis(50);
/// How soon to look again while another request tries.
const PROBING: Duration = Duration::from_millis(50);

pub(crate) struct Circuit(Mutex<State>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, openings: u32 },
    Probing { openings: u32 },
}

/// What may be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Everything.
    All,
    /// One request at a time, to see whether it works again.
    Probe,
    /// Nothing.
    Nothing,
}

/// What a failure says about the requests that will follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// They will fail as well.
    Certain,
    /// They may fail; several in a row will.
    Possible,
}

/// The right to ask once. Dropped without a verdict, it was not used.
pub(crate) struct Pass<'a> {
    circuit: &'a Circuit,
    probe: bool,
    verdict: bool,
}

impl Default for Circuit {
    fn default() -> Self {
        Self(Mutex::new(State::Closed { failures: 0 }))
    }
}

impl Circuit {
    /// How much may be asked now?
    pub(crate) fn load(&self, now: Instant) -> Load {
        match *self.state() {
            State::Closed { .. } => Load::All,
            State::Open { until, .. } if until > now => Load::Nothing,
            State::Open { .. } | State::Probing { .. } => Load::Probe,
        }
    }

    /// The right to ask, or when to ask again.
    pub(crate) fn pass(&self, now: Instant) -> Result<Pass<'_>, Instant> {
        let mut state = self.state();
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { until, openings } if until <= now => {
                *state = State::Probing { openings };
                true
            }
            State::Open { until, .. } => return Err(until),
            State::Probing { .. } => return Err(now + PROBING),
        };
        Ok(Pass { circuit: self, probe, verdict: false })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// There was an answer. Did that end a pause?
    pub(crate) fn succeeded(mut self) -> bool {
        self.verdict = true;
        let before = std::mem::replace(&mut *self.circuit.state(), State::Closed { failures: 0 });
        !matches!(before, State::Closed { .. })
    }

    /// There was none. The pause that begins with it, if one does; `at_least` is what the service asked for.
    pub(crate) fn failed(mut self, severity: Severity, at_least: Option<Duration>, now: Instant) -> Option<Duration> {
        self.verdict = true;
        let mut state = self.circuit.state();
        let openings = match *state {
            State::Closed { failures } if severity == Severity::Certain || failures + 1 >= FAILURES => 0,
            State::Closed { failures } => {
                *state = State::Closed { failures: failures + 1 };
                return None;
            }
            State::Probing { openings } if self.probe => openings.saturating_add(1),
            // Requests that were under way together count as one.
            State::Open { .. } | State::Probing { .. } => return None,
        };
        let pause = jitter(PAUSE.0, PAUSE.1, openings).max(at_least.unwrap_or_default().min(PAUSE.1));
        *state = State::Open { until: now + pause, openings };
        Some(pause)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe && !self.verdict {
            let mut state = self.circuit.state();
            if let State::Probing { openings } = *state {
                *state = State::Open { until: Instant::now(), openings };
            }
        }
    }
}

/// Full jitter: somewhere between nothing (nearly) and twice as much as the last time.
pub(crate) fn jitter(first: Duration, most: Duration, attempt: u32) -> Duration {
    let bound = first.saturating_mul(2_u32.saturating_pow(attempt.min(16))).min(most);
    // Without randomness everything waits for the whole time, which is no harm.
    let mut random = [0xff; 4];
    let _ = getrandom::fill(&mut random);
    bound.mul_f64(f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX)).max(FLOOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(circuit: &Circuit, now: Instant) -> Pass<'_> {
        circuit.pass(now).unwrap_or_else(|_| panic!("no pass"))
    }

    #[test]
    fn one_failure_among_answers_stops_nothing_and_many_in_a_row_do() {
        let (circuit, now) = (Circuit::default(), Instant::now());
        for _ in 0..100 {
            assert_eq!(pass(&circuit, now).failed(Severity::Possible, None, now), None);
            assert!(!pass(&circuit, now).succeeded());
        }
        let opened = (0..FAILURES).filter_map(|_| pass(&circuit, now).failed(Severity::Possible, None, now)).count();
        assert_eq!((opened, circuit.load(now)), (1, Load::Nothing));
    }

    #[test]
    fn after_a_refusal_one_request_at_a_time_tries_and_a_success_opens_the_gate() {
        let (circuit, now) = (Circuit::default(), Instant::now());
        let early = pass(&circuit, now);
        let late = pass(&circuit, now);
        let pause = early.failed(Severity::Certain, Some(Duration::from_secs(7)), now).expect("stops");
        assert!(pause >= Duration::from_secs(7), "the service's own wish counts");
        assert_eq!(late.failed(Severity::Certain, None, now), None, "under way together");
        assert!(circuit.pass(now).is_err());
        let later = now + pause;
        let probe = pass(&circuit, later);
        assert!(circuit.pass(later).is_err(), "one at a time");
        drop(probe);
        let again = pass(&circuit, later + Duration::from_secs(60)).failed(Severity::Possible, None, later);
        assert!(again.is_some(), "a probe that fails stops at once");
        assert!(pass(&circuit, later + Duration::from_secs(120)).succeeded());
        assert_eq!(circuit.load(later), Load::All);
    }

    #[test]
    fn pauses_are_bounded_and_differ() {
        let pauses: Vec<_> = (0..64).map(|attempt| jitter(PAUSE.0, PAUSE.1, attempt)).collect();
        assert!(pauses.iter().all(|pause| (FLOOR..=PAUSE.1).contains(pause)), "{pauses:?}");
        assert!(pauses.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
