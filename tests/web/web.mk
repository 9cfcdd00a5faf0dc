# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the browser tests open.

web-pages: $(O)/tests/web/pages $(O)/tests/web/graphs

$(O)/tests/web/%: tests/web/%.c $(library)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(library) $(LDLIBS)

.PHONY: web-pages
