// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Address spaces of real processes: this one and children of it, whose
 * libraries are deleted, replaced, unloaded, or in another mount namespace.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "symbol/object.h"
#include "symbol/symbolizer.h"
#include "tests/unit/symbol_helpers.h"
#include "tests/unit/test.h"

#define ADDRESS(fn) ((uint64_t)(uintptr_t)(fn))

/* ---- This process ---- */

static __attribute__((noinline)) int static_function(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 1;
}

int exported_function(int x);
__attribute__((noinline)) int exported_function(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 2;
}

static struct address_space *refreshed(pid_t pid)
{
	struct address_space *as = address_space_create(pid);

	check_ok(address_space_refresh(as, NULL));
	return as;
}

static struct symbol symbolized(const struct address_space *as, uint64_t pc)
{
	struct symbol sym;

	address_space_symbolize(as, pc, false, &sym);
	return sym;
}

/* Names @pc as if nobody had been there before. */
static void check_function(pid_t pid, uint64_t pc, const char *name)
{
	struct address_space *as __cleanup(address_space_destroyp) = refreshed(pid);
	struct symbol sym = symbolized(as, pc);

	check_str(sym.function, name);
}

TEST(own_process)
{
	struct address_space *as __cleanup(address_space_destroyp) = refreshed(getpid());
	struct symbol sym = symbolized(as, ADDRESS(static_function) + 1);
	char exe[4096] = "";
	const struct mapping *m;

	check(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	check_str(sym.function, "static_function");
	check_str(sym.raw, "static_function");
	check_str(sym.module, strrchr(exe, '/') + 1);
	check_str(sym.path, exe);
	m = address_space_find(as, ADDRESS(static_function));
	check(m);
	check_int(sym.offset, ADDRESS(static_function) + 1 - m->bias);
	check_str(symbolized(as, ADDRESS(exported_function)).function, "exported_function");
	check_str(symbolized(as, ADDRESS(a64l)).function, "a64l");
	check(strncmp(symbolized(as, ADDRESS(a64l)).module, "libc", 4) == 0);
	check(*symbolized(as, ADDRESS(a64l)).build_id);
}

/* The first byte behind a function, as the return address of its last call. */
TEST(return_address)
{
	struct address_space *as __cleanup(address_space_destroyp) = refreshed(getpid());
	const struct mapping *m = address_space_find(as, ADDRESS(static_function));
	const struct object_symbol *own =
		object_find_symbol(m->object, ADDRESS(static_function) - m->bias);
	uint64_t end = own->vaddr + own->size + m->bias;
	struct symbol sym;

	address_space_symbolize(as, end, true, &sym);
	check_str(sym.function, "static_function");
	check_int(sym.offset, own->vaddr + own->size);
	address_space_symbolize(as, end, false, &sym);
	check(!sym.function || strcmp(sym.function, "static_function"));
	/* The end of the mapping is behind its last byte. */
	address_space_symbolize(as, m->end, true, &sym);
	check_int(sym.offset, m->end - m->bias);
	check(*sym.module);
}

TEST(unknown_addresses)
{
	struct address_space *as __cleanup(address_space_destroyp) = address_space_create(getpid());
	uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int on_stack;
	uint64_t nowhere[] = { 0, 1, 8, ADDRESS(&on_stack), ADDRESS(code) + 5,
			       UINT64_MAX, 1ULL << 63 };

	check(code != MAP_FAILED);
	check_ok(address_space_refresh(as, NULL));
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(*nowhere); i++) {
		for (int is_return = 0; is_return < 2; is_return++) {
			struct symbol sym;

			address_space_symbolize(as, nowhere[i], is_return, &sym);
			check(!sym.function && !sym.raw);
			check_str(sym.module, "");
			check_str(sym.path, "");
			check_str(sym.build_id, "");
			check_int(sym.offset, nowhere[i]);
			check(!address_space_find(as, nowhere[i]));
		}
	}
	munmap(code, 4096);
}

TEST(mappings_sorted)
{
	struct address_space *as __cleanup(address_space_destroyp) = refreshed(getpid());
	const struct mapping_vec *all = address_space_mappings(as);

	check(all->len >= 3);
	for (size_t i = 0; i < all->len; i++) {
		check(all->data[i].start < all->data[i].end && all->data[i].object);
		check(!i || all->data[i - 1].end <= all->data[i].start);
		check(address_space_find(as, all->data[i].end - 1)->object == all->data[i].object);
	}
}

TEST(vdso)
{
	struct address_space *as __cleanup(address_space_destroyp) = refreshed(getpid());
	void *vdso = dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);
	void *function = vdso ? dlsym(vdso, "__vdso_clock_gettime") : NULL;
	struct symbol sym;

	if (!function)
		test_skip("no __vdso_clock_gettime");
	sym = symbolized(as, ADDRESS(function) + 1);
	check_str(sym.module, "[vdso]");
	check(sym.function && strstr(sym.function, "clock_gettime"));
	check(*sym.build_id);
	dlclose(vdso);
}

/* ---- Libraries that come and go ---- */

/* A library with one function @name; returns its handle, its address in @address_ret. */
static void *load_library(const char *path, const char *name, uint64_t *address_ret)
{
	__cleanup_free char *source = xasprintf(
		"__attribute__((noinline)) int %s(int x) { return x * 3 + 1; }\n", name);
	void *handle;

	check(compile_library(path, source));
	handle = dlopen(path, RTLD_NOW);
	if (!handle)
		test_fail("%s", dlerror());
	*address_ret = ADDRESS(dlsym(handle, name));
	check(*address_ret);
	return handle;
}

TEST(refresh_tells_changes)
{
	struct address_space *as __cleanup(address_space_destroyp) = address_space_create(getpid());
	__cleanup_free char *path = scratch("libnew.so");
	const struct object *first;
	bool changed = false;
	uint64_t address;
	void *handle;

	check_ok(address_space_refresh(as, &changed));
	check(changed);
	first = address_space_mappings(as)->data[0].object;
	check_ok(address_space_refresh(as, &changed));
	check(!changed);
	handle = load_library(path, "loaded_later", &address);
	check(!symbolized(as, address).function);
	check_ok(address_space_refresh(as, &changed));
	check(changed);
	check_str(symbolized(as, address).function, "loaded_later");
	check(address_space_mappings(as)->data[0].object == first);
	check(dlclose(handle) == 0);
	check_ok(address_space_refresh(as, &changed));
	check(!changed);
	/* Old stacks are still named. */
	check_str(symbolized(as, address).function, "loaded_later");
	check_str(symbolized(as, address).module, "libnew.so");
}

TEST(deleted_library)
{
	__cleanup_free char *path = scratch("libdeleted.so");
	struct address_space *as __cleanup(address_space_destroyp) = NULL;
	uint64_t address;
	void *handle = load_library(path, "in_deleted", &address);
	struct symbol sym;

	check(!unlink(path));
	as = refreshed(getpid());
	sym = symbolized(as, address);
	check_str(sym.function, "in_deleted");
	check_str(sym.module, "libdeleted.so");
	check_str(sym.path, path);
	check(address_space_find(as, address)->object->deleted);
	dlclose(handle);
}

/* The upgrade of a package: another file under the old name. */
TEST(replaced_library)
{
	__cleanup_free char *path = scratch("libreplaced.so");
	__cleanup_free char *other = scratch("libother.so");
	uint64_t address;
	void *handle = load_library(path, "before_upgrade", &address);

	check(compile_library(other, "int after_upgrade(int x) { return x * 3 + 1; }\n"));
	check(!rename(other, path));
	check_function(getpid(), address, "before_upgrade");
	dlclose(handle);
}

/* Written over in place: what is mapped anew is not what was opened then. */
TEST(overwritten_library)
{
	__cleanup_free char *path = scratch("liboverwritten.so");
	__cleanup_free char *other = scratch("libother.so");
	struct address_space *as __cleanup(address_space_destroyp) = NULL;
	uint64_t address;
	void *handle = load_library(path, "first_text", &address);

	as = refreshed(getpid());
	check_str(symbolized(as, address).function, "first_text");
	check(dlclose(handle) == 0);
	check_ok(address_space_refresh(as, NULL));
	check(compile_library(other, "int second_text(int x) { return x * 3 + 1; }\n"));
	check(shell("cat '%s' > '%s'", other, path));
	handle = dlopen(path, RTLD_NOW);
	check(handle);
	address = ADDRESS(dlsym(handle, "second_text"));
	check_ok(address_space_refresh(as, NULL));
	check_str(symbolized(as, address).function, "second_text");
	dlclose(handle);
}

TEST(odd_paths)
{
	static const char *const names[] = {
		"with space  and  more", "new\nline", "back\\012slash", "ends (deleted)",
		"quote'less \"and\" $HOME", "\xff\xfe not UTF-8",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		__cleanup_free char *plain = scratch("libplain%zu.so", i);
		__cleanup_free char *odd = scratch("%s", names[i]);
		struct address_space *as __cleanup(address_space_destroyp) = NULL;
		uint64_t address;
		void *handle;

		dlclose(load_library(plain, "oddly_named", &address));
		check(!rename(plain, odd));
		handle = dlopen(odd, RTLD_NOW);
		check(handle);
		address = ADDRESS(dlsym(handle, "oddly_named"));
		as = refreshed(getpid());
		check_str(symbolized(as, address).function, "oddly_named");
		/* The kernel does not tell an escaped newline from a name that looks so. */
		if (!strstr(names[i], "\\012"))
			check_str(symbolized(as, address).path, odd);
		check(!address_space_find(as, address)->object->deleted);
		dlclose(handle);
	}
}

/* dlclose(), and another library's text at the same addresses. */
TEST(reused_addresses)
{
	__cleanup_free char *old_path = scratch("libold.so");
	__cleanup_free char *new_path = scratch("libnew2.so");
	struct address_space *as __cleanup(address_space_destroyp) = NULL;
	struct object *obj __cleanup(object_destroyp) = NULL;
	const struct object_segment *seg;
	uint64_t old_address, page;
	struct object_symbol sym;
	void *text, *handle;

	check(compile_library(old_path, "int old_low(int x) { return x + 1; }\n"
		"__asm__(\".skip 16384\");\nint old_high(int x) { return x * 5; }\n"));
	check(compile_library(new_path, "int new_low(int x) { return x + 1; }\n"));
	handle = dlopen(old_path, RTLD_NOW);
	check(handle);
	old_address = ADDRESS(dlsym(handle, "old_low"));
	page = old_address & ~4095ULL;
	uint64_t old_high = ADDRESS(dlsym(handle, "old_high"));
	as = refreshed(getpid());
	check_str(symbolized(as, old_address).function, "old_low");
	check(dlclose(handle) == 0);

	check_ok(object_create(open(new_path, O_RDONLY | O_CLOEXEC), new_path, &obj));
	check_int(object_segments(obj, &seg), 1);
	check_int(object_find_exported(obj, "new_low", &sym, 1), 1);
	text = mmap((void *)page, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED_NOREPLACE,
		    obj->fd, seg->offset & ~4095ULL);
	check(text == (void *)page);
	check_ok(address_space_refresh(as, NULL));
	check_str(symbolized(as, page + sym.vaddr - (seg->vaddr & ~4095ULL)).function, "new_low");
	check_str(symbolized(as, old_address).module, "libnew2.so");
	/* What the new one does not cover is still the old one's. */
	check_str(symbolized(as, old_high).function, "old_high");
	munmap(text, 4096);

	/* Code without a file has no name, whatever stood there before. */
	text = mmap((void *)page, 4096, PROT_READ | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	check(text == (void *)page);
	check_ok(address_space_refresh(as, NULL));
	check_str(symbolized(as, old_address).module, "");
	check_str(symbolized(as, old_high).function, "old_high");
	munmap(text, 4096);
}

/* mprotect() splits a mapping; the parts go on as one file. */
TEST(split_mapping)
{
	__cleanup_free char *path = scratch("libsplit.so");
	struct address_space *as __cleanup(address_space_destroyp) = address_space_create(getpid());
	uint64_t low, high;
	void *handle;

	check(compile_library(path, "int split_low(int x) { return x + 1; }\n"
		"__asm__(\".skip 16384\");\nint split_high(int x) { return x * 5; }\n"));
	handle = dlopen(path, RTLD_NOW);
	check(handle);
	low = ADDRESS(dlsym(handle, "split_low"));
	high = ADDRESS(dlsym(handle, "split_high"));
	for (int round = 0; round < 2; round++) {
		check_ok(address_space_refresh(as, NULL));
		check_str(symbolized(as, low).function, "split_low");
		check_str(symbolized(as, high).function, "split_high");
		check(address_space_find(as, low)->object == address_space_find(as, high)->object);
		check(!mprotect((void *)(low & ~4095ULL), 4096,
				PROT_READ | PROT_WRITE | PROT_EXEC));
	}
	dlclose(handle);
}

/* Executable, of a file, but no ELF: the file is named, and nothing in it. */
TEST(not_an_elf_file)
{
	__cleanup_free char *path = scratch("code.bin");
	struct address_space *as __cleanup(address_space_destroyp) = NULL;
	__cleanup_close int fd = -1;
	struct symbol sym;
	void *text;

	write_file(path, "not an ELF file");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	text = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	check(text != MAP_FAILED);
	as = refreshed(getpid());
	sym = symbolized(as, ADDRESS(text) + 7);
	check_str(sym.module, "code.bin");
	check_int(sym.offset, 7);
	check(!sym.function);
	check(!address_space_find(as, ADDRESS(text)));
	munmap(text, 4096);
}

/* ---- Other processes ---- */

struct child {
	pid_t pid;
	uint64_t addresses[4];
};

/*
 * Forks @run, which sends addresses through @fd; the child then waits to be
 * killed. SKIP if it says (with a byte) that it may not do what it should.
 */
static struct child start_child(void (*run)(int fd, const char *arg), const char *arg)
{
	struct child child = { 0 };
	int fds[2];

	check(!pipe2(fds, O_CLOEXEC));
	child.pid = fork();
	check(child.pid >= 0);
	if (!child.pid) {
		/* A failed check leaves the child to its parent's end. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		run(fds[1], arg);
		for (;;)
			pause();
	}
	close(fds[1]);
	ssize_t n = read(fds[0], child.addresses, sizeof(child.addresses));
	close(fds[0]);
	if (n < 8) {
		kill(child.pid, SIGKILL);
		waitpid(child.pid, NULL, 0);
		if (n == 1)
			test_skip("not allowed here");
		test_fail("the child failed");
	}
	return child;
}

static void kill_child(const struct child *child)
{
	siginfo_t info;

	kill(child->pid, SIGKILL);
	/* A zombie from here on, until it is waited for. */
	waitid(P_PID, child->pid, &info, WEXITED | WNOWAIT);
}

static void reap(const struct child *child)
{
	kill_child(child);
	waitpid(child->pid, NULL, 0);
}

static void child_may_not(int fd)
{
	if (write(fd, "", 1) != 1)
		_exit(3);
	_exit(0);
}

static void send_function(int fd, const char *library, const char *function)
{
	void *handle = dlopen(library, RTLD_NOW);
	uint64_t address = handle ? ADDRESS(dlsym(handle, function)) : 0;

	if (!address || write(fd, &address, sizeof(address)) != sizeof(address))
		_exit(2);
}

static void load_in_child(int fd, const char *path)
{
	send_function(fd, path, "in_child");
}

static void check_gone(struct address_space *as)
{
	struct error *err __cleanup_error = address_space_refresh(as, NULL);

	check(err);
	check_int(err->code, ERROR_GONE);
}

TEST(child_until_its_end)
{
	__cleanup_free char *path = scratch("libchild.so");
	struct address_space *as __cleanup(address_space_destroyp) = NULL;
	struct address_space *late __cleanup(address_space_destroyp) = NULL;
	struct child child;

	check(compile_library(path, "int in_child(int x) { return x + 1; }\n"));
	child = start_child(load_in_child, path);
	as = refreshed(child.pid);
	late = address_space_create(child.pid);
	kill_child(&child);
	check_gone(as);
	check_gone(late);
	waitpid(child.pid, NULL, 0);
	check_gone(as);
	check_gone(late);
	/* Symbols are read at the first question, which comes only now. */
	check_str(symbolized(as, child.addresses[0]).function, "in_child");
	check_str(symbolized(as, ADDRESS(static_function)).function, "static_function");
}

TEST(no_such_process)
{
	struct address_space *as __cleanup(address_space_destroyp) = address_space_create(0);

	check_gone(as);
	check(!symbolized(as, ADDRESS(static_function)).function);
	check_int(address_space_mappings(as)->len, 0);
}

TEST(kernel_thread)
{
	struct address_space *as __cleanup(address_space_destroyp) = address_space_create(2);
	char exe[64];

	if (geteuid() || readlink("/proc/2/exe", exe, sizeof(exe)) >= 0 || errno != ENOENT)
		test_skip("process 2 is no kernel thread");
	check_gone(as);
}

/* A library on a file system that only the child has. */
static void enter_namespace(int fd, const char *library)
{
	__cleanup_free char *root = scratch("namespace");
	__cleanup_free char *copy = scratch("namespace/libns.so");

	mkdir(root, 0755);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", root, "tmpfs", 0, NULL))
		child_may_not(fd);
	if (!shell("cp '%s' '%s'", library, copy) || chdir(root))
		_exit(2);
}

static void load_in_namespace(int fd, const char *library)
{
	__cleanup_free char *copy = scratch("namespace/libns.so");

	enter_namespace(fd, library);
	send_function(fd, copy, "in_child");
}

static void load_in_chroot_in_namespace(int fd, const char *library)
{
	enter_namespace(fd, library);
	if (chroot("."))
		child_may_not(fd);
	send_function(fd, "/libns.so", "in_child");
}

static void load_in_chroot(int fd, const char *library)
{
	if (chroot(scratch_dir))
		child_may_not(fd);
	send_function(fd, strrchr(library, '/'), "in_child");
}

TEST(other_mount_namespace)
{
	__cleanup_free char *path = scratch("libchild.so");
	struct address_space *as __cleanup(address_space_destroyp) = NULL;
	struct child child;

	check(compile_library(path, "int in_child(int x) { return x + 1; }\n"));
	child = start_child(load_in_chroot_in_namespace, path);
	as = refreshed(child.pid);
	check_str(symbolized(as, child.addresses[0]).function, "in_child");
	check_str(symbolized(as, child.addresses[0]).module, "libns.so");
	reap(&child);
}

/* Containers live on overlayfs, where maps may show another device than stat(2). */
static void load_from_overlay(int fd, const char *library)
{
	__cleanup_free char *base = scratch("overlay");
	__cleanup_free char *options = xasprintf("lowerdir=%s/l,upperdir=%s/u,workdir=%s/w",
						 base, base, base);
	__cleanup_free char *merged = scratch("overlay/m");
	__cleanup_free char *in_overlay = scratch("overlay/m/libol.so");

	mkdir(base, 0755);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", base, "tmpfs", 0, NULL) ||
	    !shell("mkdir '%s/l' '%s/u' '%s/w' '%s/m' && cp '%s' '%s/l/libol.so'",
		   base, base, base, base, library, base) ||
	    mount("overlay", merged, "overlay", 0, options))
		child_may_not(fd);
	send_function(fd, in_overlay, "in_child");
}

TEST(overlayfs)
{
	__cleanup_free char *path = scratch("libchild.so");
	struct child child;

	check(compile_library(path, "int in_child(int x) { return x + 1; }\n"));
	child = start_child(load_from_overlay, path);
	check_function(child.pid, child.addresses[0], "in_child");
	reap(&child);
}

/* ---- Without the right to use map_files ---- */

static bool drop_map_files(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &header, caps))
		return false;
	caps[CAP_SYS_ADMIN / 32].effective &= ~(1u << CAP_SYS_ADMIN % 32);
	caps[CAP_CHECKPOINT_RESTORE / 32].effective &= ~(1u << CAP_CHECKPOINT_RESTORE % 32);
	return !syscall(SYS_capset, &header, caps);
}

static bool restore_map_files(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &header, caps))
		return false;
	caps[0].effective = caps[0].permitted;
	caps[1].effective = caps[1].permitted;
	return !syscall(SYS_capset, &header, caps);
}

static void without_map_files(pid_t pid, struct address_space **ret)
{
	struct error *err;

	check(drop_map_files());
	*ret = address_space_create(pid);
	err = address_space_refresh(*ret, NULL);
	check(restore_map_files());
	check_ok(err);
}

/* By name then: the right file is found, also on overlayfs; a wrong one is not believed. */
static void check_by_path(void (*run)(int fd, const char *library))
{
	__cleanup_free char *path = scratch("libchild.so");
	struct address_space *as __cleanup(address_space_destroyp) = NULL;
	struct child child;

	check(compile_library(path, "int in_child(int x) { return x + 1; }\n"));
	child = start_child(run, path);
	without_map_files(child.pid, &as);
	check_str(symbolized(as, child.addresses[0]).function, "in_child");
	check_str(symbolized(as, ADDRESS(static_function)).function, "static_function");
	reap(&child);
}

TEST(by_path)
{
	check_by_path(load_in_child);
}

TEST(by_path_in_namespace)
{
	check_by_path(load_in_namespace);
}

TEST(by_path_in_chroot)
{
	check_by_path(load_in_chroot);
}

TEST(by_path_on_overlayfs)
{
	check_by_path(load_from_overlay);
}

TEST(by_path_replaced)
{
	__cleanup_free char *path = scratch("libchild.so");
	__cleanup_free char *other = scratch("libother.so");
	struct address_space *as __cleanup(address_space_destroyp) = NULL;
	struct child child;
	struct symbol sym;

	check(compile_library(path, "int in_child(int x) { return x + 1; }\n"));
	check(compile_library(other, "int impostor(int x) { return x + 1; }\n"));
	child = start_child(load_in_child, path);
	check(!rename(other, path));
	without_map_files(child.pid, &as);
	sym = symbolized(as, child.addresses[0]);
	check(!sym.function);
	check_str(sym.module, "libchild.so");
	reap(&child);
}

/* A FIFO under the library's name must neither be opened nor waited for. */
TEST(by_path_fifo)
{
	__cleanup_free char *path = scratch("libchild.so");
	struct address_space *as __cleanup(address_space_destroyp) = NULL;
	struct child child;

	check(compile_library(path, "int in_child(int x) { return x + 1; }\n"));
	child = start_child(load_in_child, path);
	check(!unlink(path) && !mkfifo(path, 0600));
	alarm(20);
	without_map_files(child.pid, &as);
	alarm(0);
	check(!symbolized(as, child.addresses[0]).function);
	reap(&child);
	unlink(path);
}

/* ---- Programs as linkers make them ---- */

static const char program_source[] =
	"#include <stdio.h>\n#include <unistd.h>\n"
	"static __attribute__((noinline)) int near_one(int x) { return x * 3 + 1; }\n"
	"__attribute__((noinline, section(\".far\"))) int far_one(int x) { return x * 7 + 1; }\n"
	"int main(void) {\n"
	"	unsigned long a[2] = { (unsigned long)near_one, (unsigned long)far_one };\n"
	"if (write(3, a, sizeof(a)) != sizeof(a)) return 2; for (;;) pause(); }\n";

static void run_program(int fd, const char *program)
{
	/* Without CLOEXEC: the program writes there. */
	if (dup2(fd, 3) < 0)
		_exit(2);
	if (fd == 3)
		fcntl(3, F_SETFD, 0);
	execl(program, program, NULL);
	_exit(2);
}

static void check_program(const char *flags)
{
	__cleanup_free char *path = scratch("program");
	struct address_space *as __cleanup(address_space_destroyp) = NULL;
	struct child child;

	/* Not every linker is everywhere. */
	if (!compile(path, program_source, flags))
		return;
	child = start_child(run_program, path);
	as = refreshed(child.pid);
	for (int i = 0; i < 2; i++) {
		struct symbol sym = symbolized(as, child.addresses[i] + 1);

		if (!sym.function || strcmp(sym.function, i ? "far_one" : "near_one")) {
			reap(&child);
			test_fail("%s: %s", flags, sym.function ? sym.function : "nothing");
		}
	}
	reap(&child);
}

TEST(programs)
{
	static const char *const flags[] = {
		"-pie -fPIE", "-no-pie", "-static -no-pie", "-static-pie",
		"-no-pie -Wl,-z,noseparate-code", "-pie -fPIE -Wl,-z,noseparate-code",
		"-no-pie -Wl,--section-start=.far=0x10000000",
		"-no-pie -Wl,--section-start=.far=0x10000345",
		"-pie -fPIE -Wl,-z,max-page-size=0x200000",
		"-no-pie -fuse-ld=gold", "-pie -fPIE -fuse-ld=gold",
		"-no-pie -fuse-ld=lld", "-pie -fPIE -fuse-ld=lld",
		"-pie -fPIE -fuse-ld=lld -Wl,-z,separate-loadable-segments",
		"-pie -fPIE -fuse-ld=lld -Wl,--section-start=.far=0x10000340",
		"-pie -fPIE -Wl,-z,execstack",
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		check_program(flags[i]);
}

/* The dynamic linker called as a program: the real one is just a library of it. */
static void run_by_linker(int fd, const char *program)
{
	if (dup2(fd, 3) < 0)
		_exit(2);
	if (fd == 3)
		fcntl(3, F_SETFD, 0);
	execl("/lib64/ld-linux-x86-64.so.2", "ld.so", program, NULL);
	execl("/lib/ld-linux-aarch64.so.1", "ld.so", program, NULL);
	_exit(2);
}

TEST(run_by_linker)
{
	__cleanup_free char *path = scratch("program");
	struct child child;

	check(compile(path, program_source, "-pie -fPIE"));
	child = start_child(run_by_linker, path);
	check_function(child.pid, child.addresses[0], "near_one");
	reap(&child);
}

TEST(program_of_32_bit)
{
	static const char source[] =
		"long syscall(long, ...);\n"
		"void _start(void) { long r, a = 1; __asm__ volatile(\"int $0x80\" : \"=a\"(r) :"
		" \"a\"(4), \"b\"(3), \"c\"(\"12345678\"), \"d\"(8) : \"memory\");"
		" for (;;) __asm__ volatile(\"int $0x80\" : \"=a\"(r) : \"a\"(29)); (void)a; }\n";
	__cleanup_free char *path = scratch("program32");
	struct address_space *as __cleanup(address_space_destroyp) = NULL;
	struct error *err __cleanup_error = NULL;
	struct child child;

	if (!compile(path, source, "-m32 -static -nostdlib -fno-pie -no-pie -w"))
		test_skip("no 32-bit compiler");
	child = start_child(run_program, path);
	as = address_space_create(child.pid);
	/* It stays so. */
	error_destroy(address_space_refresh(as, NULL));
	err = address_space_refresh(as, NULL);
	reap(&child);
	check(err);
	check_int(err->code, ERROR_UNSUPPORTED);
	check(strstr(err->message, "32-bit"));
}

/* ---- How fast ---- */

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Ten thousand other mappings: a refresh that finds nothing new is a few milliseconds. */
TEST(many_mappings)
{
	struct address_space *as __cleanup(address_space_destroyp) = NULL;
	size_t size = 20000 * 4096ULL;
	uint8_t *area = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool changed;
	double begin;

	check(area != MAP_FAILED);
	for (size_t at = 0; at < size; at += 8192)
		check(!mprotect(area + at, 4096, PROT_READ | PROT_WRITE));
	as = refreshed(getpid());
	begin = now_s();
	for (int i = 0; i < 10; i++)
		check_ok(address_space_refresh(as, &changed));
	check(!changed && now_s() - begin < 3);
	munmap(area, size);
}
