// SPDX-License-Identifier: GPL-2.0-or-later
//! Allocates from stacks of all shapes that Rust makes and tells them itself
//! (truth.h): closures, callbacks of the standard library, trait objects,
//! threads, panics being unwound and caught. What the standard library allocates
//! for itself on the way comes through the global allocator, which tells, too.

use std::alloc::{GlobalAlloc, Layout};
use std::collections::BTreeMap;
use std::ffi::{c_char, c_void, CStr};
use std::hint::black_box;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};

extern "C" {
    fn aligned_alloc(align: usize, size: usize) -> *mut c_void;
    fn malloc(size: usize) -> *mut c_void;
    fn free(p: *mut c_void);
    fn truth_note(site: *const c_char);
    fn tell_begin();
    fn tell_end();
}

static TELLING: AtomicBool = AtomicBool::new(false);
static NOTING: AtomicBool = AtomicBool::new(false);

/// From the very function that allocated. There is one table for all threads.
#[inline(always)]
unsafe fn note(site: &CStr) {
    while NOTING.swap(true, Ordering::Acquire) {
        std::hint::spin_loop();
    }
    truth_note(site.as_ptr());
    NOTING.store(false, Ordering::Release);
}

struct Telling;

#[global_allocator]
static GLOBAL: Telling = Telling;

#[no_mangle]
#[inline(never)]
unsafe extern "C" fn site_global_allocator(size: usize) -> *mut c_void {
    let p = malloc(size);
    if TELLING.load(Ordering::Relaxed) {
        note(c"site_global_allocator");
    }
    p
}

unsafe impl GlobalAlloc for Telling {
    unsafe fn alloc(&self, l: Layout) -> *mut u8 {
        if l.align() > 16 {
            return aligned_alloc(l.align(), l.size().next_multiple_of(l.align())).cast();
        }
        site_global_allocator(l.size()).cast()
    }
    unsafe fn dealloc(&self, p: *mut u8, _: Layout) {
        free(p.cast())
    }
}

#[no_mangle]
#[inline(never)]
extern "C" fn site_leaf(size: usize) {
    unsafe {
        black_box(malloc(size));
        note(c"site_leaf");
    }
}

trait Shape {
    fn area(&self) -> usize;
}

struct Square(usize);

impl Shape for Square {
    #[inline(never)]
    fn area(&self) -> usize {
        site_leaf(self.0);
        self.0 * self.0
    }
}

#[inline(never)]
fn closures() {
    let sizes: Vec<usize> = (10..14).collect();
    let boxed: Box<dyn Fn(usize) -> usize> = Box::new(|n| { site_leaf(n); n + 1 });

    black_box(sizes.iter().map(|n| boxed(*n)).filter(|n| n % 2 == 0).sum::<usize>());
    let shapes: Vec<Box<dyn Shape>> = vec![Box::new(Square(5)), Box::new(Square(6))];
    black_box(shapes.iter().map(|s| s.area()).max());
}

#[inline(never)]
fn callbacks() {
    let mut numbers = [5, 1, 4, 2, 3];

    numbers.sort_by(|a, b| { site_leaf(40); a.cmp(b) });
    numbers.sort_unstable_by_key(|a| { site_leaf(41); 10 - a });
    black_box(numbers.binary_search_by(|a| { site_leaf(42); 3.cmp(a) })).ok();
}

#[inline(never)]
fn library() {
    let mut map = BTreeMap::new();
    for i in 0..20 {
        map.insert(format!("key {i}"), vec![i; i + 1]);
    }
    black_box(map.values().map(|v| format!("{v:?}")).collect::<Vec<_>>().join(","));
}

#[inline(never)]
fn recurse(depth: usize) -> usize {
    let space = black_box([depth; 20]);

    if depth == 0 {
        site_leaf(50);
        return space[3];
    }
    recurse(depth - 1) + space[7]
}

struct OnTheWayOut(usize);

impl Drop for OnTheWayOut {
    fn drop(&mut self) {
        site_leaf(60 + self.0);
    }
}

#[inline(never)]
fn panic_deep(depth: usize) {
    let _guard = OnTheWayOut(black_box(depth));

    if depth == 0 {
        panic!("on purpose");
    }
    panic_deep(depth - 1);
    black_box(depth);
}

#[inline(never)]
fn panics() {
    std::panic::set_hook(Box::new(|_| site_leaf(70)));
    let caught = catch_unwind(|| panic_deep(3));
    site_leaf(71);
    let again = catch_unwind(AssertUnwindSafe(|| resume_unwind(caught.unwrap_err())));
    black_box(again).ok();
    site_leaf(72);
}

fn main() {
    unsafe { tell_begin() };
    TELLING.store(true, Ordering::SeqCst);
    closures();
    callbacks();
    library();
    recurse(20);
    panics();
    std::thread::spawn(|| { closures(); panics() }).join().unwrap();
    TELLING.store(false, Ordering::SeqCst);
    unsafe { tell_end() };
}
