//! A clock that is wrong, or that is set while the process runs, for one process.
//!
//! `LD_PRELOAD` has the dynamic linker take `clock_gettime` from here: the time of day is that of the machine and the
//! seconds of the file that `BELLWETHER_CLOCK` names, eight bytes in the machine's order that the test may change at any
//! time. All other clocks are the machine's: to set a machine's clock moves no timer either.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering};

use libc::{CLOCK_REALTIME, CLOCK_REALTIME_COARSE, SYS_clock_gettime, clockid_t, timespec};

/// Names the file.
const FILE: &std::ffi::CStr = c"BELLWETHER_CLOCK";

/// What `OFFSET` holds until the first call.
const UNKNOWN: *mut AtomicI64 = ptr::without_provenance_mut(usize::MAX);

/// The seconds, in the mapped file. Null without one.
static OFFSET: AtomicPtr<AtomicI64> = AtomicPtr::new(UNKNOWN);

/// In place of the C library's function.
///
/// # Safety
/// As for the original: `time` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    // SAFETY: the arguments are those of the caller.
    let answer = unsafe { libc::syscall(SYS_clock_gettime, clock, time) };
    if answer == 0 && matches!(clock, CLOCK_REALTIME | CLOCK_REALTIME_COARSE) && !time.is_null() {
        // SAFETY: the kernel has written there a moment ago.
        unsafe { (*time).tv_sec += offset() };
    }
    c_int::from(answer != 0).wrapping_neg()
}

fn offset() -> i64 {
    let mut seconds = OFFSET.load(Ordering::Acquire);
    if seconds == UNKNOWN {
        // Two threads that come first at once map the file twice: no harm.
        seconds = map();
        OFFSET.store(seconds, Ordering::Release);
    }
    if seconds.is_null() {
        return 0;
    }
    // SAFETY: eight bytes of a page that stays mapped, which only atomic reads touch here.
    unsafe { &*seconds }.load(Ordering::Relaxed)
}

/// Maps the file, by calls that allocate nothing and read no clock. Null if there is none.
fn map() -> *mut AtomicI64 {
    // SAFETY: each call gets what it demands: names that end with a zero, and a file that is open. Nothing else has the
    // address that the kernel chooses.
    unsafe {
        let path = libc::getenv(FILE.as_ptr());
        if path.is_null() {
            return ptr::null_mut();
        }
        let file = libc::open(path, libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return ptr::null_mut();
        }
        let size = size_of::<i64>();
        let page: *mut c_void = libc::mmap(ptr::null_mut(), size, libc::PROT_READ, libc::MAP_SHARED, file, 0);
        libc::close(file);
        if page == libc::MAP_FAILED {
            return ptr::null_mut();
        }
        page.cast()
    }
}
