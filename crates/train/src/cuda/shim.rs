//! The functions of `cuda.cpp`, which are a library inside this program, loaded only where libtorch's CUDA part is; the program itself
//! is linked to none of it. Tests put others in their place.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

use super::{part, private};

/// The compiled `cuda.cpp`; empty where the headers of CUDA were missing.
pub(super) const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libtombola_cuda.so"));

/// What the functions return: null, or the reason why it failed.
pub(super) type Reason = *const c_char;

/// The functions of `cuda.cpp`, whose words say what each does.
#[derive(Debug)]
pub(super) struct Shim {
    pub(super) new_stream: unsafe extern "C" fn(c_int, *mut *mut c_void) -> Reason,
    pub(super) use_stream: unsafe extern "C" fn(c_int, *mut c_void) -> Reason,
    pub(super) begin: unsafe extern "C" fn(c_int, *mut *mut c_void) -> Reason,
    pub(super) end: unsafe extern "C" fn(*mut c_void) -> Reason,
    pub(super) replay: unsafe extern "C" fn(*mut c_void) -> Reason,
    pub(super) free: unsafe extern "C" fn(*mut c_void) -> Reason,
    pub(super) empty: unsafe extern "C" fn() -> Reason,
    pub(super) memory: unsafe extern "C" fn(c_int, *mut usize, *mut usize) -> Reason,
    pub(super) model: unsafe extern "C" fn(c_int, *mut c_char, usize) -> Reason,
}

/// The functions, once libtorch's CUDA part is loaded.
///
/// # Errors
/// The reason why there are none.
pub(super) fn shim() -> Result<&'static Shim, String> {
    static SHIM: OnceLock<Result<Shim, String>> = OnceLock::new();
    SHIM.get_or_init(|| load(LIBRARY)).as_ref().map_err(Clone::clone)
}

fn load(bytes: &[u8]) -> Result<Shim, String> {
    if bytes.is_empty() {
        return Err("this program was built without the headers of CUDA".into());
    }
    if part::gpus() == 0 {
        return Err("libtorch finds no GPU".into());
    }
    // SAFETY: the library is the one compiled with this program; it has no initialisers of its own. It is never unloaded.
    let library = unsafe { private::load(bytes) }?;
    macro_rules! function {
        ($name:literal) => {
            // SAFETY: names and types are those of `cuda.cpp`.
            unsafe { *library.get($name).map_err(|error| error.to_string())? }
        };
    }
    let shim = Shim {
        new_stream: function!(b"tombola_cuda_new_stream\0"),
        use_stream: function!(b"tombola_cuda_use\0"),
        begin: function!(b"tombola_cuda_begin\0"),
        end: function!(b"tombola_cuda_end\0"),
        replay: function!(b"tombola_cuda_replay\0"),
        free: function!(b"tombola_cuda_free\0"),
        empty: function!(b"tombola_cuda_empty\0"),
        memory: function!(b"tombola_cuda_memory\0"),
        model: function!(b"tombola_cuda_model\0"),
    };
    std::mem::forget(library);
    Ok(shim)
}

/// The first line of a reason: C++ adds where it came from.
pub(super) fn done(reason: Reason) -> Result<(), String> {
    if reason.is_null() {
        return Ok(());
    }
    // SAFETY: a text that lives until the next call on this thread.
    let text = unsafe { CStr::from_ptr(reason) }.to_string_lossy();
    Err(text.lines().next().unwrap_or_default().to_string())
}

/// The number of a GPU as CUDA takes it.
pub(super) fn index(number: usize) -> Result<c_int, String> {
    c_int::try_from(number).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_built_without_cudas_headers_says_so() {
        assert!(load(&[]).unwrap_err().contains("without the headers of CUDA"));
    }

    #[test]
    fn the_library_has_every_function_that_is_asked_of_it() {
        if LIBRARY.is_empty() {
            return;
        }
        let names = include_str!("cuda.cpp").lines().filter_map(|line| {
            let (_, rest) = line.strip_prefix("extern \"C\"")?.split_once("* ")?;
            rest.split_once('(').map(|(name, _)| name)
        });
        let names: Vec<&str> = names.collect();
        assert!(names.len() >= 9, "{names:?}");
        for name in names {
            let asked = include_str!("shim.rs").contains(&format!("b\"{name}\\0\""));
            assert!(asked && LIBRARY.windows(name.len()).any(|bytes| bytes == name.as_bytes()), "{name}");
        }
    }
}
