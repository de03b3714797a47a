//! Progress of long work, for whoever looks at a terminal.

use std::io::IsTerminal;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;

/// A bar over `count` steps; hidden where standard error is no terminal.
pub(super) fn bar(count: u64, doing: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len}, {eta} left")
        .expect("the template is well formed");
    ProgressBar::new(count).with_style(style).with_message(doing)
}
