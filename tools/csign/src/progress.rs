//! A progress bar on stderr where a person watches; silence where nobody does.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
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

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        self.0.finish_and_clear();
    }
}
