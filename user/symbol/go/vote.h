/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the Go runtime's variables lie, by what its code does; see binary.h. */
#ifndef HEAPSONDE_SYMBOL_GO_VOTE_H
#define HEAPSONDE_SYMBOL_GO_VOTE_H

#include <stdbool.h>

#include "symbol/go/binary.h"
#include "symbol/go/module.h"

/*
 * Fills go->variables, whose text and data are known already. A variable that
 * got no clear majority is 0.
 */
void go_vote(const struct go_module *module, struct go_binary *go);

#endif
