//! A results folder on disk: its journal, its snapshots and masks, and who may write to it. Only one process writes.

mod asked;
pub mod atomic;
pub mod claim;
mod foreign;
pub mod journal;
mod kept_mask;
mod loaded;
pub mod lock;
mod lock_file;
pub mod masks;
pub mod repair;
pub mod snapshots;
mod tensor_file;
mod written;

pub use asked::{complete, plan_of, spec_of};
pub use atomic::{make_folder, remove_torn, write_atomically, write_atomically_by, write_for_now};
pub use claim::Claim;
pub use foreign::{holds, refuse_foreign, refuse_lost_journal, refuse_unclaimed};
pub use kept_mask::mask_of;
pub use loaded::{load_given_mask, load_weights_of, loaded_of, write_down};
pub use lock::{Holder, Lock};
pub use snapshots::Store;
pub use written::is_as_written;
