//! The C interface of github.com/daulet/tokenizers, from which no panic gets out: one that did would end the process. What
//! panics is a tokenizer.json whose parts contradict each other, or a text that such a tokenizer can't take.
//!
//! build.sh makes `upstream` of the Go module's src/lib.rs: its functions lose `#[no_mangle]` and `extern "C"`, so that they
//! can unwind to here, and call `c_string` for `CString::new(...).unwrap()`, which panics at a NUL.
mod upstream;

use libc::{c_char, c_void};
use std::ffi::CString;
use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::ptr::null_mut;
use std::sync::Once;
use upstream::{tokenizers_buffer, tokenizers_encode_options, tokenizers_options};

/// c_string shows a NUL, which C takes for the end, as U+FFFD.
fn c_string<T: Into<Vec<u8>>>(text: T) -> CString {
    let bytes = text.into();
    let text = String::from_utf8_lossy(&bytes).replace('\0', "\u{FFFD}");
    CString::new(text).unwrap_or_default()
}

/// guarded returns what f returns, or the message of its panic, which goes to nobody's standard error.
fn guarded<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| set_hook(Box::new(|_| {})));
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message").to_string()
    })
}

/// opened is guarded for functions that return a tokenizer, or null and an error.
fn opened(error: *mut *mut c_char, f: impl FnOnce() -> *mut c_void) -> *mut c_void {
    guarded(f).unwrap_or_else(|message| {
        if !error.is_null() {
            unsafe { *error = c_string(format!("the tokenizers library panicked: {message}")).into_raw() };
        }
        null_mut()
    })
}

#[no_mangle]
pub extern "C" fn tokenizers_from_bytes(bytes: *const u8, len: u32, opts: &tokenizers_options, error: *mut *mut c_char) -> *mut c_void {
    opened(error, || upstream::tokenizers_from_bytes(bytes, len, opts, error))
}

#[no_mangle]
pub extern "C" fn tokenizers_from_bytes_with_truncation(bytes: *const u8, len: u32, max_len: u32, dir: u8, error: *mut *mut c_char) -> *mut c_void {
    opened(error, || upstream::tokenizers_from_bytes_with_truncation(bytes, len, max_len as usize, dir, error))
}

#[no_mangle]
pub extern "C" fn tokenizers_from_file(config: *const c_char, error: *mut *mut c_char) -> *mut c_void {
    opened(error, || upstream::tokenizers_from_file(config, error))
}

#[no_mangle]
pub extern "C" fn tokenizers_from_tiktoken(
    model_file: *const c_char, config_file: *const c_char, pattern: *const c_char, error: *mut *mut c_char,
) -> *mut c_void {
    opened(error, || upstream::tokenizers_from_tiktoken(model_file, config_file, pattern, error))
}

/// No tokens, as upstream has it for a text that the tokenizer refuses.
#[no_mangle]
pub extern "C" fn tokenizers_encode(ptr: *mut c_void, message: *const c_char, options: &tokenizers_encode_options) -> tokenizers_buffer {
    let none = || upstream::tokenizers_encode(null_mut(), message, options);
    guarded(|| upstream::tokenizers_encode(ptr, message, options)).unwrap_or_else(|_| none())
}

#[no_mangle]
pub extern "C" fn tokenizers_decode(ptr: *mut c_void, ids: *const u32, len: u32, skip_special_tokens: bool) -> *mut c_char {
    guarded(|| upstream::tokenizers_decode(ptr, ids, len, skip_special_tokens)).unwrap_or(null_mut())
}

#[no_mangle]
pub extern "C" fn tokenizers_vocab_size(ptr: *mut c_void) -> u32 {
    guarded(|| upstream::tokenizers_vocab_size(ptr)).unwrap_or(0)
}

#[no_mangle]
pub extern "C" fn tokenizers_free_tokenizer(ptr: *mut c_void) {
    let _ = guarded(|| upstream::tokenizers_free_tokenizer(ptr));
}

#[no_mangle]
pub extern "C" fn tokenizers_free_buffer(buf: tokenizers_buffer) {
    let _ = guarded(|| upstream::tokenizers_free_buffer(buf));
}

#[no_mangle]
pub extern "C" fn tokenizers_free_string(ptr: *mut c_char) {
    let _ = guarded(|| upstream::tokenizers_free_string(ptr));
}
