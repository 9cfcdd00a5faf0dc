# SPDX-License-Identifier: GPL-2.0-or-later
#
# make help says what there is. Everything that is built lies under $(O).

PREFIX ?= /usr/local
DESTDIR ?=
CLANG ?= clang
# The first that runs: Ubuntu's /usr/sbin/bpftool is a wrapper that refuses
# when the running kernel's tools are missing, as in a container.
BPFTOOL ?= $(shell for tool in bpftool /usr/sbin/bpftool /usr/lib/linux-tools*/*/bpftool \
	/usr/lib/linux-tools-*/bpftool; do $$tool version >/dev/null 2>&1 && break; done; \
	echo $$tool)
PKG_CONFIG ?= pkg-config
PROTOC_C ?= protoc-c
PYTHON ?= python3

O ?= build
ARCH := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
VERSION := $(shell cat .version 2>/dev/null || \
	git describe --tags --always --dirty 2>/dev/null || echo unknown)

PKGS := libbpf libelf libdw capstone sqlite3 json-c zlib liblzma \
	ncursesw libprotobuf-c
ifneq ($(filter-out clean help lint fetch-targets,$(or $(MAKECMDGOALS),all)),)
ifneq ($(shell $(PKG_CONFIG) --short-errors --print-errors --exists \
	'libbpf >= 1.1' $(PKGS) || echo no),)
$(error What is needed is not there (see above); scripts/install-deps installs it)
endif
endif
CPPFLAGS += -D_GNU_SOURCE -Iuser -I. -I$(O) $(shell $(PKG_CONFIG) --cflags $(PKGS))
CFLAGS ?= -O2 -g
# No path of this machine in the program: the same sources give the same bytes anywhere.
CFLAGS += -ffile-prefix-map=$(CURDIR)=.
CFLAGS += -std=gnu11 -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes \
	  -Wshadow -Wno-unused-parameter -fno-omit-frame-pointer -pthread
# The cache of unwind tables asks which program made an entry.
LDFLAGS += -Wl,--build-id
LDLIBS += $(shell $(PKG_CONFIG) --libs $(PKGS)) -liberty -lm -pthread
BPF_CFLAGS := -O2 -g -ffile-prefix-map=$(CURDIR)=. -target bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) \
	  -Wall -Wextra -Wno-unused-parameter -Wno-gnu-variable-sized-type-not-at-end \
	  -Ivmlinux/$(ARCH) -I.

ifeq ($(CI),true)
WERROR ?= 1
endif
ifeq ($(WERROR),1)
CFLAGS += -Werror
BPF_CFLAGS += -Werror
endif
ifeq ($(DEBUG),1)
CFLAGS += -O0
endif
ifneq ($(SAN),)
CFLAGS += -fsanitize=$(SAN) -fno-sanitize-recover=all
LDFLAGS += -fsanitize=$(SAN)
endif
ifeq ($(COVERAGE),1)
CFLAGS += --coverage
LDFLAGS += --coverage
endif

ifeq ($(V),1)
say = @:
Q :=
else
say = $(if $(findstring s,$(firstword -$(MAKEFLAGS))),@:,@printf '  %-7s %s\n')
Q := @
endif

.DELETE_ON_ERROR:
# Made on the way to a test, and kept for the next time.
.PRECIOUS: $(O)/%.o $(O)/tests/kernel/%.bpf.o $(O)/tests/kernel/%.global.bpf.o
.SUFFIXES:
.DEFAULT_GOAL := all

program := $(O)/heapsonde
lib_sources := $(sort $(filter-out user/main.c,$(wildcard user/*.c user/*/*.c user/*/*/*.c)))
lib_objects := $(lib_sources:%.c=$(O)/%.o) $(O)/user/export/profile.pb-c.o $(O)/version.o
# The page of export --format html, made with npm; HTML=0 leaves it out.
HTML ?= 1
html_sources := $(wildcard user/export/html/*.* user/export/html/*/*.*)
html_locks := $(addprefix user/export/html/,package.json package-lock.json .npmrc)
page := $(O)/html/page.html
ifneq ($(HTML),0)
lib_objects += $(O)/user/export/html_page.o
endif
bpf_sources := $(wildcard bpf/*.bpf.c)
bpf_objects := $(bpf_sources:bpf/%.bpf.c=$(O)/bpf/%.bpf.o)
skeleton := $(O)/heapsonde.skel.h
library := $(O)/libheapsonde.a

unit_sources := $(wildcard tests/unit/*.c)
unit_programs := $(unit_sources:%.c=$(O)/%)
bench_sources := $(wildcard tests/bench/*.c)
bench_programs := $(bench_sources:%.c=$(O)/%)
workload_c := $(wildcard tests/workloads/*.c)
workload_cc := $(wildcard tests/workloads/*.cc)
workload_so := $(wildcard tests/workloads/lib*.c)
workloads := $(patsubst %.c,$(O)/%,$(filter-out $(workload_so),$(workload_c))) \
	     $(workload_cc:%.cc=$(O)/%) $(workload_so:%.c=$(O)/%.so)

all: $(program)

-include tests/tests.mk

$(program): $(O)/user/main.o $(library)
	$(say) LINK $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(library): $(lib_objects)
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(O)/%.o: %.c
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The libraries of the page, by the lock file alone: what npm fetched is what was meant.
no_npm := npm is missing, which the HTML report is built with: run scripts/install-deps,
no_registry := npm could not fetch the libraries of the HTML report (see $(O)/html/npm.log): \
	try again,
without_html := or leave the report out with make HTML=0
$(O)/html/node_modules/.package-lock.json: $(html_locks)
	$(say) NPM $(@D)
	$(Q)command -v npm >/dev/null || { echo '$(no_npm) $(without_html)' >&2; exit 1; }
	$(Q)mkdir -p $(O)/html && cp $(html_locks) $(O)/html/
	$(Q)cd $(O)/html && npm ci > npm.log 2>&1 || { rm -rf node_modules; \
		echo '$(no_registry) $(without_html)' >&2; exit 1; }
	$(Q)touch $@

$(page): $(html_sources) $(O)/html/node_modules/.package-lock.json
	$(say) HTML $@
	$(Q)node user/export/html/build.mjs $(O)/html

$(O)/user/export/html_page.o: user/export/html_page.S $(page)
	$(say) AS $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -DHTML_PAGE='"$(page)"' -c -o $@ $<

$(O)/user/export/html.o: CPPFLAGS += -DHTML=$(if $(filter 0,$(HTML)),0,1)
$(O)/user/export/html.o: $(O)/html/switch

# Changes only when HTML does.
# One small object has the version, so that a commit rebuilds nothing else.
$(O)/version.c: force
	$(Q)mkdir -p $(@D)
	$(Q)echo 'const char heapsonde_version[] = "$(VERSION)";' | cmp -s - $@ || \
		echo 'const char heapsonde_version[] = "$(VERSION)";' > $@

$(O)/version.o: $(O)/version.c
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

$(O)/html/switch: force
	$(Q)mkdir -p $(@D) && echo '$(HTML)' | cmp -s - $@ || echo '$(HTML)' > $@

# The messages of a profile: a header for the one file that sees it, and a source.
profile := $(O)/user/export/profile.pb-c
$(profile).c: user/export/profile.proto
	$(say) PROTO $@
	$(Q)mkdir -p $(@D)
	$(Q)$(PROTOC_C) --c_out=$(O) $<

$(profile).o: $(profile).c
	$(say) CC $@
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(O)/user/export/pprof.o: $(profile).c

# What it takes in with .incbin no compiler tells of.
$(O)/user/export/svg.o: user/export/svg/graph.css user/export/svg/graph.js

# The files that see the BPF skeleton wait for it; all others do not.
skeleton_users := $(shell grep -l '"heapsonde.skel.h"' user/capture/*.c user/capture/*/*.c)
$(skeleton_users:%.c=$(O)/%.o): $(skeleton)

$(O)/bpf/%.bpf.o: bpf/%.bpf.c
	$(say) BPF $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/heapsonde.bpf.o: $(bpf_objects)
	$(say) LINKBPF $@
	$(Q)$(BPFTOOL) gen object $@ $^

$(skeleton): $(O)/heapsonde.bpf.o
	$(say) SKEL $@
	$(Q)$(BPFTOOL) gen skeleton $< name heapsonde_bpf > $@

# The programs for arm64, wherever this runs: that they compile.
bpf-arm64:
	$(Q)$(MAKE) --no-print-directory ARCH=arm64 O=$(O)/arm64 $(O)/arm64/heapsonde.bpf.o

# The whole for arm64, on another Debian machine: with that architecture's
# libraries in a directory of their own, and the distribution's cross compilers.
arm64_root = $(abspath $(O)/arm64/root)
arm64:
	$(Q)O=$(O) scripts/fetch-root arm64
	$(Q)PKG_CONFIG_SYSROOT_DIR=$(arm64_root) \
		PKG_CONFIG_LIBDIR=$(arm64_root)/usr/lib/aarch64-linux-gnu/pkgconfig \
		$(MAKE) --no-print-directory ARCH=arm64 O=$(O)/arm64 \
		CC="aarch64-linux-gnu-gcc --sysroot=$(arm64_root)" \
		CXX="aarch64-linux-gnu-g++ --sysroot=$(arm64_root)" \
		AR=aarch64-linux-gnu-ar all workloads kernel-programs

$(O)/tests/unit/%: tests/unit/%.c $(library)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(library) $(LDLIBS)

$(O)/tests/bench/%: tests/bench/%.c $(library)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(library) $(LDLIBS)

# Workloads are targets, not parts of the program: flags of their own, so that
# the compiler neither merges their allocations nor inlines their call sites.
WORKLOAD_CFLAGS := -std=gnu11 -O1 -g -D_GNU_SOURCE -Wall -Wextra -fno-omit-frame-pointer \
	-fno-builtin -fno-optimize-sibling-calls -pthread

$(O)/tests/workloads/lib%.so: tests/workloads/lib%.c
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(WORKLOAD_CFLAGS) -MMD -MP -shared -fPIC -o $@ $< -ldl

$(O)/tests/workloads/%: tests/workloads/%.c
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(WORKLOAD_CFLAGS) -MMD -MP -o $@ $< -lm -ldl

$(O)/tests/workloads/%: tests/workloads/%.cc
	$(say) CXX $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -O1 -g -Wall -Wextra -fno-omit-frame-pointer -fno-builtin \
		-fno-optimize-sibling-calls -pthread -MMD -MP -o $@ $<

workloads: $(workloads)

clean:
	$(say) CLEAN $(O)
	$(Q)rm -rf $(O)

# What the option table becomes for people and shells. HEAPSONDE is the program
# that prints it: another one than was built where that cannot run here.
HEAPSONDE ?= $(program)
commands := top record report export symbolize mark diff doctor
watching := top record report export
man_pages := $(O)/man/heapsonde.1 $(commands:%=$(O)/man/heapsonde-%.1)
completions := $(addprefix $(O)/completion/,bash zsh fish)

$(watching:%=$(O)/man/heapsonde-%.1): user/cmd/manual/watching.roff
$(O)/man/heapsonde-%.1: user/cmd/manual/%.roff $(program)
	$(say) MAN $@
	$(Q)mkdir -p $(@D)
	$(Q)cat $< $(filter %watching.roff,$^) | $(HEAPSONDE) --manual $* > $@

$(O)/man/heapsonde.1: user/cmd/manual/heapsonde.roff $(program)
	$(say) MAN $@
	$(Q)mkdir -p $(@D)
	$(Q)$(HEAPSONDE) --manual heapsonde < $< > $@

$(O)/completion/%: $(program)
	$(say) COMPLETE $@
	$(Q)mkdir -p $(@D)
	$(Q)$(HEAPSONDE) --completion $* > $@

man: $(man_pages)

prefix := $(DESTDIR)$(PREFIX)
install: $(program) $(man_pages) $(completions)
	install -d $(prefix)/bin $(prefix)/share/man/man1 $(prefix)/share/zsh/site-functions \
		$(prefix)/share/bash-completion/completions \
		$(prefix)/share/fish/vendor_completions.d
	install -m 755 $(program) $(prefix)/bin/heapsonde
	install -m 644 $(man_pages) $(prefix)/share/man/man1
	install -m 644 $(O)/completion/bash $(prefix)/share/bash-completion/completions/heapsonde
	install -m 644 $(O)/completion/zsh $(prefix)/share/zsh/site-functions/_heapsonde
	install -m 644 $(O)/completion/fish \
		$(prefix)/share/fish/vendor_completions.d/heapsonde.fish

# Packages are of the last commit's time, so that the same sources give the same bytes.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
MAINTAINER ?= $(shell git log -1 --format='%an <%ae>' 2>/dev/null)
packaging = O='$(O)' VERSION='$(VERSION)' SOURCE_DATE_EPOCH='$(SOURCE_DATE_EPOCH)' \
	MAINTAINER='$(MAINTAINER)' MAKE='$(MAKE)'

deb: $(program) $(man_pages) $(completions)
	+$(Q)$(packaging) scripts/package/deb

# What libdw.a wants of compression libraries differs from release to release. glibc's
# warnings are about name services and dlopen(), which the tarball's script speaks of.
static_extra = $(foreach lib,lzma bz2 zstd,$(if $(filter /%,$(shell $(CC) \
	-print-file-name=lib$(lib).a)),-l$(lib)))
$(O)/heapsonde-static: $(O)/user/main.o $(library)
	$(say) LINK $@
	$(Q)$(CC) -static $(LDFLAGS) -o $@ $^ -Wl,--start-group $(LDLIBS) $(static_extra) \
		-Wl,--end-group

tarball: $(program) $(O)/heapsonde-static $(man_pages) $(completions)
	+$(Q)$(packaging) scripts/package/tarball

help:
	@echo 'make                 build $(program)'
	@echo 'make install         into $$(DESTDIR)$$(PREFIX) (PREFIX=$(PREFIX))'
	@echo 'make deb             a Debian package, in $(O)/'
	@echo 'make tarball         statically linked, for any distribution, in $(O)/'
	@echo 'make man             the manual pages, in $(O)/man'
	@echo 'make test            all tests (root; see scripts/check)'
	@echo 'make check-kernels   the tests on every kernel of the distribution, in QEMU'
	@echo 'make check-package   the Debian package, installed and run in a fresh system'
	@echo 'make torture         storms of threads, forks and kills, for an hour'
	@echo 'make go-runs         heaps of Go programs against their books, 50 times each'
	@echo 'make lint            formatting, includes, shell scripts'
	@echo 'make bench           what it costs, measured side by side'
	@echo 'make bench-windows   how far estimates of --mode windows are from the truth'
	@echo 'make clean           remove $(O)/'
	@echo
	@echo 'V=1 shows commands; WERROR=1 DEBUG=1 SAN=address,undefined COVERAGE=1;'
	@echo 'HTML=0 builds without npm and without export --format html.'
	@echo 'O=DIR builds there; CC, CLANG, BPFTOOL name the tools.'

.PHONY: all arm64 bpf-arm64 clean deb force help install man tarball workloads

-include $(shell find $(O)/user $(O)/bpf $(O)/tests -type f -name '*.d' 2>/dev/null)
