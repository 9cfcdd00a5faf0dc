# SPDX-License-Identifier: GPL-2.0-or-later
#
# C programs that test BPF code in the running kernel, each with its objects:
# NAME.bpf.o as the product compiles it, NAME.global.bpf.o for kernels without
# bpf_loop().

kernel_programs := $(O)/tests/kernel/unwind_self $(O)/tests/kernel/verifier_budget

$(O)/tests/kernel/%.bpf.o: tests/kernel/%.bpf.c
	$(say) BPF $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/tests/kernel/%.global.bpf.o: tests/kernel/%.bpf.c
	$(say) BPF $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -DUNWIND_GLOBAL_LOOP -MMD -MP -c -o $@ $<

$(O)/tests/kernel/%: tests/kernel/%.c $(library) \
		$(O)/tests/kernel/%.bpf.o $(O)/tests/kernel/%.global.bpf.o
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(library) $(LDLIBS)

# It loads the product's programs and has none of its own.
$(O)/tests/kernel/verifier_budget: tests/kernel/verifier_budget.c $(library)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(library) $(LDLIBS)

# A benchmark that runs programs of these.
$(O)/tests/bench/unwind: $(O)/tests/kernel/unwind_self.bpf.o $(O)/tests/kernel/kernel_stack.bpf.o

kernel-programs: $(kernel_programs)

# As root.
test-unwind-self: $(O)/tests/kernel/unwind_self
	$(Q)$< $<.bpf.o $<.global.bpf.o

.PHONY: kernel-programs test-unwind-self
