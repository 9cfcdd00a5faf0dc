# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the tests of the screen are shown.

tui_programs := $(O)/tests/tui/recording

$(O)/tests/tui/%: tests/tui/%.c $(library)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(library) $(LDLIBS)

tui-programs: $(tui_programs)

.PHONY: tui-programs
