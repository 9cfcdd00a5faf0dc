// SPDX-License-Identifier: GPL-2.0-or-later
//! Rust allocations, each from a call site of its own, with the books of
//! books.h. With cfg(own) a global allocator of the program's own stands in
//! front of the system's and moves every block by 32 bytes.

use std::alloc::{alloc, alloc_zeroed, dealloc, realloc, Layout};
use std::os::raw::{c_int, c_void};

extern "C" {
    fn read(fd: c_int, buf: *mut c_void, n: usize) -> isize;
    fn write(fd: c_int, buf: *const c_void, n: usize) -> isize;
}

#[cfg(own)]
mod own {
    use std::alloc::{GlobalAlloc, Layout, System};

    pub struct Shifted;
    const SHIFT: usize = 32;

    fn grown(l: Layout) -> Layout {
        Layout::from_size_align(l.size() + SHIFT, l.align()).unwrap()
    }

    unsafe impl GlobalAlloc for Shifted {
        unsafe fn alloc(&self, l: Layout) -> *mut u8 {
            let p = System.alloc(grown(l));
            if p.is_null() { p } else { p.add(SHIFT) }
        }
        unsafe fn dealloc(&self, p: *mut u8, l: Layout) {
            System.dealloc(p.sub(SHIFT), grown(l))
        }
    }
}

#[cfg(own)]
#[global_allocator]
static GLOBAL: own::Shifted = own::Shifted;

#[derive(Clone, Copy)]
struct Book {
    name: &'static str,
    alloc_bytes: usize,
    alloc_count: usize,
    free_bytes: usize,
    free_count: usize,
}

const fn book(name: &'static str) -> Book {
    Book { name, alloc_bytes: 0, alloc_count: 0, free_bytes: 0, free_count: 0 }
}

static mut BOOKS: [Book; 3] = [book("site_alloc"), book("site_zeroed"), book("site_grow")];

#[derive(Clone, Copy)]
struct Block {
    p: *mut u8,
    layout: Layout,
    book: usize,
}

unsafe fn enter(book: usize, p: *mut u8, layout: Layout) -> Block {
    BOOKS[book].alloc_bytes += layout.size();
    BOOKS[book].alloc_count += 1;
    Block { p, layout, book }
}

unsafe fn leave(b: Block) {
    BOOKS[b.book].free_bytes += b.layout.size();
    BOOKS[b.book].free_count += 1;
}

#[no_mangle]
#[inline(never)]
unsafe fn site_alloc(n: usize) -> Block {
    let layout = Layout::from_size_align(n, 8).unwrap();
    let p = alloc(layout);
    enter(0, p, layout)
}

#[no_mangle]
#[inline(never)]
unsafe fn site_zeroed(n: usize) -> Block {
    let layout = Layout::from_size_align(n, 64).unwrap();
    let p = alloc_zeroed(layout);
    enter(1, p, layout)
}

#[no_mangle]
#[inline(never)]
unsafe fn site_grow(b: Block, n: usize) -> Block {
    let p = realloc(b.p, b.layout, n);
    leave(b);
    enter(2, p, Layout::from_size_align(n, b.layout.align()).unwrap())
}

unsafe fn drop_block(b: Block) {
    leave(b);
    dealloc(b.p, b.layout);
}

struct Text {
    bytes: [u8; 4096],
    len: usize,
}

impl std::fmt::Write for Text {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        self.bytes[self.len..self.len + s.len()].copy_from_slice(s.as_bytes());
        self.len += s.len();
        Ok(())
    }
}

unsafe fn say(args: std::fmt::Arguments) {
    let mut t = Text { bytes: [0; 4096], len: 0 };
    std::fmt::Write::write_fmt(&mut t, args).unwrap();
    write(1, t.bytes.as_ptr() as *const c_void, t.len);
}

unsafe fn wait() {
    let mut c = 0u8;
    while read(0, &mut c as *mut u8 as *mut c_void, 1) == 1 && c != b'\n' {}
}

unsafe fn work() {
    let mut kept = [None; 101];
    for i in 0..61 {
        kept[i] = Some(site_alloc(33 + 2 * i));
    }
    for i in 61..101 {
        kept[i] = Some(site_zeroed(77 + i));
    }
    for i in (0..101).step_by(5) {
        kept[i] = Some(site_grow(kept[i].unwrap(), 1001 + i));
    }
    for i in (0..101).step_by(3) {
        drop_block(kept[i].take().unwrap());
    }
}

fn main() {
    unsafe {
        say(format_args!("ready {}\n", std::process::id()));
        wait();
        work();
        say(format_args!("{{\"sites\":["));
        for i in 0..3 {
            let b = BOOKS[i];
            say(format_args!(
                "{}{{\"site\":\"{}\",\"kind\":\"heap\",\"live_bytes\":{},\"live_count\":{},\
                 \"alloc_bytes\":{},\"alloc_count\":{},\"free_bytes\":{},\"free_count\":{}}}",
                if i > 0 { "," } else { "" }, b.name, b.alloc_bytes - b.free_bytes,
                b.alloc_count - b.free_count, b.alloc_bytes, b.alloc_count, b.free_bytes,
                b.free_count));
        }
        say(format_args!("],\"unknown_free_count\":0,\"failed_alloc_count\":0}}\n"));
        wait();
    }
}
