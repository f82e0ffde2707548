#pragma once

namespace steplapse {

/// From now on SIGINT and SIGTERM are noted: a run ends after the step it is in. A second one leaves the process at
/// once, with 130 or 143.
void note_signals();

/// The signal that was noted, or 0.
int noted_signal();

}  // namespace steplapse
