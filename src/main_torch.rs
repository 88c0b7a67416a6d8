//! The program with libtorch in it: every verb. `tombola` becomes it where a verb needs libtorch.

mod torch;

use tombola::verbs::process;
use tombola_train::memory::keep_freed_memory;

fn main() -> ! {
    keep_freed_memory();
    process::run(torch::dispatch)
}
