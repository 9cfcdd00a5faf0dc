/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a symbol's name to the name its author wrote: C++ (Itanium), Rust
 * (legacy and v0) and D, by libiberty.
 */
#ifndef HEAPSONDE_SYMBOL_DEMANGLE_H
#define HEAPSONDE_SYMBOL_DEMANGLE_H

/*
 * The name to show for @raw; the caller frees it. NULL if it is @raw itself.
 * What compilers append to a function they split or specialised (".cold",
 * ".constprop.0") is dropped, so that the pieces go by one name. Bounded in
 * time and memory whatever @raw is: names are foreign input.
 */
char *demangle(const char *raw);

#endif
