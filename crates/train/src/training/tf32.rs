//! TensorFloat-32: matrix products and convolutions of float32 numbers with shorter mantissas, on NVIDIA GPUs since Ampere.
//!
//! libtorch has one switch for the whole process, and a sweep may train with both at the same time: a training waits until
//! those that need the other position have ended.

use std::sync::{Condvar, Mutex, PoisonError};

unsafe extern "C" {
    /// `src/network/kernels/tf32.cpp`.
    fn tombola_allow_tf32(allowed: bool);
}

/// Trainings under way, and the position of the switch that they need.
#[derive(Debug)]
struct Switch {
    allowed: bool,
    users: usize,
}

static SWITCH: Mutex<Switch> = Mutex::new(Switch { allowed: false, users: 0 });
static FREE: Condvar = Condvar::new();

/// Holds the switch where a training needs it, until it is dropped.
#[derive(Debug)]
pub struct Held(());

/// Turns the switch, as soon as no other training needs it otherwise.
pub fn hold(allowed: bool) -> Held {
    let mut switch = SWITCH.lock().unwrap_or_else(PoisonError::into_inner);
    while switch.users > 0 && switch.allowed != allowed {
        switch = FREE.wait(switch).unwrap_or_else(PoisonError::into_inner);
    }
    switch.users += 1;
    if switch.users == 1 {
        switch.allowed = allowed;
        // SAFETY: sets two flags of libtorch, which nothing reads meanwhile that needs them otherwise.
        unsafe { tombola_allow_tf32(allowed) };
    }
    Held(())
}

impl Drop for Held {
    fn drop(&mut self) {
        SWITCH.lock().unwrap_or_else(PoisonError::into_inner).users -= 1;
        FREE.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn trainings_of_one_kind_share_the_switch_and_the_other_kind_waits() {
        let (one, two) = (hold(false), hold(false));
        let (sender, receiver) = channel();
        let other = std::thread::spawn(move || {
            let held = hold(true);
            sender.send(()).unwrap();
            drop(held);
        });
        drop(one);
        assert!(receiver.recv_timeout(Duration::from_millis(50)).is_err());
        drop(two);
        receiver.recv_timeout(Duration::from_secs(20)).unwrap();
        other.join().unwrap();
    }
}
