// SPDX-License-Identifier: GPL-2.0-or-later
/* The version; see version.h. */
#include <stdio.h>

#include "base/log.h"
#include "base/version.h"
#include "capture/features.h"
#include "cmd/version.h"

int cmd_version(bool verbose)
{
	struct features features;
	struct error *err;

	printf("heapsonde %s\n", heapsonde_version);
	if (!verbose)
		return 0;
	err = features_detect(&features);
	if (err) {
		log_error("%s", err->message);
		error_destroy(err);
		return 1;
	}
#define X(member, name, without)					\
	printf("  %-28s %s%s\n", name, features.member ? "yes" : "no: ", \
	       features.member ? "" : without);
	FEATURES(X)
#undef X
	return 0;
}
