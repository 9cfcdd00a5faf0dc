# SPDX-License-Identifier: GPL-2.0-or-later
#
# The targets that test and measure; what they run stands in scripts/.

-include tests/kernel/kernel.mk
-include tests/web/web.mk
-include tests/tui/tui.mk

unit-tests: $(unit_programs)

# Clang's libFuzzer, with what each target needs compiled for it. scripts/check
# runs each for a while on a copy of its corpus, tests/fuzz/corpus/NAME.
FUZZ_FLAGS := -g -O1 -std=gnu11 -Wall -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=all
FUZZ_LIBS := -lelf -ldw -lcapstone -lsqlite3 -lz -llzma -liberty -lm
fuzz_programs := $(patsubst %.c,$(O)/%,$(wildcard tests/fuzz/*.c))

$(O)/tests/fuzz/cfi: $(addprefix user/symbol/,cfi.c unwind_image.c unwind_table.c call_sites.c \
		elfread.c go/frames.c go/module.c go/pclntab.c) \
	user/base/alloc.c user/base/error.c
$(O)/tests/fuzz/description: $(addprefix user/capture/discovery/,description.c allocators.c) \
	$(addprefix user/base/,alloc.c error.c format.c strbuf.c utf8.c)
$(O)/tests/fuzz/placement: user/capture/discovery/placement.c \
	$(addprefix user/base/,alloc.c error.c)
$(O)/tests/fuzz/go_pclntab: user/symbol/go/pclntab.c
$(O)/tests/fuzz/recording: \
	$(addprefix user/recording/,open.c reader.c read_shares.c columns.c database.c delta.c \
		schema.c) \
	$(addprefix user/model/,snapshot.c fields.c frames.c map64.c metrics.c) \
	$(addprefix user/base/,alloc.c error.c intern.c strbuf.c strpool.c format.c utf8.c)

$(O)/tests/fuzz/usdt: $(addprefix user/symbol/,usdt.c usdt_arguments.c elfread.c) \
	$(addprefix user/base/,alloc.c error.c)

$(O)/tests/fuzz/proc: user/symbol/maps.c user/capture/ledger/smaps.c user/base/alloc.c
$(O)/tests/fuzz/demangle: user/symbol/demangle.c \
	$(addprefix user/base/,alloc.c format.c strbuf.c utf8.c)
$(O)/tests/fuzz/jitmap: $(addprefix user/symbol/,jitmap.c name_stream.c elfread.c safeopen.c) \
	$(wildcard user/base/*.c)
$(O)/tests/fuzz/name_stream: user/symbol/name_stream.c $(wildcard user/base/*.c)
$(O)/tests/fuzz/lines: $(addprefix user/symbol/,dwarf_lines.c dwarf_safe.c dwarf_unit.c \
		demangle.c elfread.c safeopen.c) $(wildcard user/base/*.c)
$(O)/tests/fuzz/records: $(wildcard user/model/*.c user/base/*.c)
$(O)/tests/fuzz/object: $(wildcard user/symbol/*.c user/symbol/go/*.c user/base/*.c)

$(O)/tests/fuzz/%: tests/fuzz/%.c
	$(say) FUZZ $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) $(FUZZ_FLAGS) -o $@ $(filter %.c,$^) $(FUZZ_LIBS)

fuzz: $(fuzz_programs)

benchmarks: $(bench_programs)

# Allocators and C libraries, shared and static, that workloads run with; what
# a library package's name ends with depends on the distribution's age.
fetched_libraries = libjemalloc2 libjemalloc-dev libgoogle-perftools-dev \
	musl musl-dev $(shell apt-cache pkgnames 2>/dev/null | grep -xE \
	'libmimalloc(2\.0|3)|libtcmalloc-minimal4(t64)?|libgoogle-perftools4(t64)?|libunwind8')

# Programs of the distribution that tests watch without installing them.
fetch-targets:
	$(Q)O=$(O) scripts/fetch-target redis-server redis-server redis-cli
	$(Q)O=$(O) scripts/fetch-target yrmcds yrmcdsd
	$(Q)O=$(O) scripts/fetch-target ripgrep rg
	$(Q)O=$(O) scripts/fetch-target debuginfod
	$(Q)O=$(O) scripts/fetch-target nginx
	$(Q)O=$(O) scripts/fetch-target apache2-bin apache2
	$(Q)O=$(O) scripts/fetch-target prometheus-node-exporter
	$(Q)O=$(O) scripts/fetch-target caddy
	$(Q)O=$(O) scripts/fetch-target hugo
	$(Q)O=$(O) scripts/fetch-target --files $(fetched_libraries)
	$(Q)O=$(O) scripts/fetch-go system 1.22=bookworm-backports 1.24=trixie \
		1.26=trixie-backports 1.27=trixie-backports

# Go programs by every toolchain there is: as they come, without symbols,
# position-independent, and for another machine (only to be read); one of them also
# with the collector that came before, and with the allocator that came after it.
go_experiments := nogreenteagc sizespecializedmalloc
go_programs := $(foreach go,$(wildcard $(O)/go/*/bin/go),$(addprefix $(go:bin/go=),\
	server-default server-small server-pie server-arm64 cgo-small \
	lines-default lines-pie lines-external \
	sites-default sites-small sites-pie sites-profile http-default)) \
	$(addprefix $(O)/go/1.26/sites-,$(if $(wildcard $(O)/go/1.26/bin/go),$(go_experiments)))
# By the newest one also with a runtime that no other program has.
go_newest := $(lastword $(sort $(filter-out $(O)/go/system,$(wildcard $(O)/go/*.*))))
ifneq ($(go_newest),)
go_programs += $(addprefix $(go_newest)/,server-odd server-odd-small)
endif
go_sites := tests/workloads/go/sites.go

$(O)/go/%/server-default: tests/workloads/go/server.go
	$(say) GO $@
	$(Q)$(O)/go/$*/bin/go build -o $@ $<

$(O)/go/%/server-small: tests/workloads/go/server.go
	$(say) GO $@
	$(Q)$(O)/go/$*/bin/go build -ldflags '-s -w' -o $@ $<

$(O)/go/%/server-pie: tests/workloads/go/server.go
	$(say) GO $@
	$(Q)$(O)/go/$*/bin/go build -buildmode pie -o $@ $<

$(O)/go/%/server-arm64: tests/workloads/go/server.go
	$(say) GO $@
	$(Q)GOARCH=arm64 $(O)/go/$*/bin/go build -o $@ $<

# The heap and its processors, laid out as in no version of Go.
$(O)/go/%/odd.json: tests/workloads/go/server.go
	$(Q)runtime=$$($(O)/go/$*/bin/go env GOROOT)/src/runtime; mkdir -p $(@D)/odd && \
	for file in mheap runtime2; do \
		sed -E 's/^type (mheap|p) struct \{$$/&\n\todd [3]uint64/' \
			$$runtime/$$file.go > $(@D)/odd/$$file.go; \
	done && printf '{"Replace": {"%s": "%s", "%s": "%s"}}\n' \
		$$runtime/mheap.go $(abspath $(@D))/odd/mheap.go \
		$$runtime/runtime2.go $(abspath $(@D))/odd/runtime2.go > $@

$(O)/go/%/server-odd: tests/workloads/go/server.go $(O)/go/%/odd.json
	$(say) GO $@
	$(Q)$(O)/go/$*/bin/go build -overlay $(@D)/odd.json -o $@ $<

$(O)/go/%/server-odd-small: tests/workloads/go/server.go $(O)/go/%/odd.json
	$(say) GO $@
	$(Q)$(O)/go/$*/bin/go build -overlay $(@D)/odd.json -ldflags '-s -w' -o $@ $<

$(O)/go/%/cgo-small: tests/workloads/go/cgo.go
	$(say) GO $@
	$(Q)CGO_ENABLED=1 $(O)/go/$*/bin/go build -ldflags '-s -w' -o $@ $<

# What lines.go asks of the runtime, linkers since 1.23 refuse unless told.
go_linkname = $(if $(filter system 1.19 1.21 1.22,$*),,-checklinkname=0)

$(O)/go/%/lines-default: tests/workloads/go/lines.go
	$(say) GO $@
	$(Q)$(O)/go/$*/bin/go build -ldflags '$(go_linkname)' -o $@ $<

$(O)/go/%/lines-external: tests/workloads/go/lines.go
	$(say) GO $@
	$(Q)CGO_ENABLED=1 $(O)/go/$*/bin/go build -buildmode pie \
		-ldflags '-linkmode external $(go_linkname)' -o $@ $<

$(O)/go/%/lines-pie: tests/workloads/go/lines.go
	$(say) GO $@
	$(Q)$(O)/go/$*/bin/go build -buildmode pie -ldflags '$(go_linkname)' -o $@ $<

$(O)/go/%/sites-default: $(go_sites)
	$(say) GO $@
	$(Q)$(O)/go/$*/bin/go build -o $@ $<

$(O)/go/%/sites-small: $(go_sites)
	$(say) GO $@
	$(Q)$(O)/go/$*/bin/go build -ldflags '-s -w' -o $@ $<

$(O)/go/%/sites-pie: $(go_sites)
	$(say) GO $@
	$(Q)$(O)/go/$*/bin/go build -buildmode pie -o $@ $<

$(addprefix $(O)/go/1.26/sites-,$(go_experiments)): $(go_sites)
	$(say) GO $@
	$(Q)GOEXPERIMENT=$(@:$(O)/go/1.26/sites-%=%) $(O)/go/1.26/bin/go build -o $@ $<

$(O)/go/%/sites-profile: $(go_sites) tests/workloads/go/profile.go
	$(say) GO $@
	$(Q)$(O)/go/$*/bin/go build -o $@ $^

$(O)/go/%/http-default: tests/workloads/go/http.go
	$(say) GO $@
	$(Q)$(O)/go/$*/bin/go build -o $@ $<

go-programs: $(go_programs)

.PHONY: go-programs

test: all unit-tests workloads
	$(Q)O=$(O) scripts/check --no-install

# Every kernel that the distribution has, booted in QEMU; the README's table of them.
check-kernels: all workloads kernel-programs
	$(Q)O=$(O) $(PYTHON) tests/kernels/test_matrix.py --all; status=$$?; \
		O=$(O) $(PYTHON) tests/kernels/table.py && exit $$status

lint:
	$(Q)scripts/lint

bench: all benchmarks workloads
	$(Q)O=$(O) scripts/bench

# The long form of what scripts/check does in short: an hour or more.
# The Debian package in a system that has nothing else.
check-package: all workloads
	$(Q)O=$(O) $(PYTHON) tests/package/test_install.py

torture: all workloads
	$(Q)O=$(O) HEAPSONDE_TORTURE=100 $(PYTHON) tests/kernel/test_torture.py

# Live heaps of Go programs, exact and sampled, against their books, 50 times each.
go-runs: all go-programs
	$(Q)O=$(O) HEAPSONDE_GO_RUNS=50 $(PYTHON) tests/kernel/test_go_live.py 'sampled_*' 'exact_*'

# Estimates of --mode windows against books: half an hour a budget, or a quick look by
# PROGRAMS=redis BUDGETS=2 TRIALS=1.
bench-windows: all workloads
	$(Q)O=$(O) $(PYTHON) tests/bench/long/windows.py $(BUDGETS:%=--budgets %) \
		$(TRIALS:%=--trials %) $(PROGRAMS)

# The same for a page, with the machine it was measured on.
bench-report: all benchmarks workloads
	$(Q)O=$(O) scripts/bench --markdown > $(O)/bench.md
	$(say) REPORT $(O)/bench.md

.PHONY: unit-tests fuzz benchmarks fetch-targets test check-kernels check-package lint bench \
	bench-report bench-windows torture go-runs
