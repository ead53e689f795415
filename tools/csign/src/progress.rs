//! A progress bar on stderr where a person watches; silence where nobody does.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Once},
    time::{Duration, Instant},
};

use csign_registry::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::context::Context;

/// A bar over the bytes of several blobs.
pub(crate) struct Bar(ProgressBar);

/// Starts a bar of `total` bytes; 0 where the total is not known.
pub(crate) fn bar(context: &Context, verb: &'static str, total: u64) -> Bar {
    let target = if context.is_interactive() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target((total > 0).then_some(total), target);
    let template = if total > 0 {
        "{prefix} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}"
    } else {
        "{prefix} {bytes} {bytes_per_sec}"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(verb);
    Bar(bar)
}

impl Bar {
    /// What the registry client reports to.
    pub(crate) fn listener(&self) -> Progress {
        let bar = self.0.clone();
        let done: Arc<Mutex<HashMap<[u8; 32], u64>>> = Arc::default();
        Progress::new(move |digest, bytes| {
            if let Ok(mut done) = done.lock() {
                done.insert(*digest.as_bytes(), bytes);
                bar.set_position(done.values().sum());
            }
        })
    }

    /// Takes more bytes, and shows itself only once a second has passed.
    pub(crate) fn advance_after_a_second(&self) -> impl Fn(u64) + Send + Sync + 'static {
        let (bar, begun, shown) = (self.0.clone(), Instant::now(), Once::new());
        let hidden = bar.is_hidden();
        bar.set_draw_target(ProgressDrawTarget::hidden());
        move |bytes| {
            if !hidden && begun.elapsed() > Duration::from_secs(1) {
                shown.call_once(|| bar.set_draw_target(ProgressDrawTarget::stderr()));
            }
            bar.inc(bytes);
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        self.0.finish_and_clear();
    }
}
