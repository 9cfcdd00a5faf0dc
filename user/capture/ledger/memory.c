// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel's figures for one process; see memory.h. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "base/procfs.h"
#include "base/strbuf.h"
#include "capture/ledger/account.h"
#include "capture/ledger/memory.h"

int64_t memory_rss_bytes(uint32_t pid)
{
	struct strbuf statm __cleanup_strbuf = { 0 };
	long long pages;

	if (procfs_read(pid, "statm", &statm) ||
	    sscanf(strbuf_str(&statm), "%*d %lld", &pages) != 1)
		return -1;
	return pages * sysconf(_SC_PAGESIZE);
}

static int64_t field_or_unknown(const char *text, const char *key)
{
	int64_t value;

	return procfs_field(text, key, &value) ? value : -1;
}

/* Sets of signals are in hexadecimal there. */
static bool is_pending(const char *status, const char *key, int sig)
{
	const char *at = strstr(status, key);
	uint64_t set = at ? strtoull(at + strlen(key), NULL, 16) : 0;

	return set >> (sig - 1) & 1;
}

bool memory_read(uint32_t pid, const struct account *account, struct snapshot_process *ret)
{
	struct strbuf status __cleanup_strbuf = { 0 };
	const char *text;

	procfs_read(pid, "status", &status);
	text = strbuf_str(&status);
	ret->rss_bytes = field_or_unknown(text, "VmRSS");
	ret->anon_bytes = field_or_unknown(text, "RssAnon");
	ret->file_bytes = field_or_unknown(text, "RssFile");
	ret->shmem_bytes = field_or_unknown(text, "RssShmem");
	ret->swap_bytes = field_or_unknown(text, "VmSwap");
	ret->page_tables_bytes = field_or_unknown(text, "VmPTE");
	ret->pss_bytes = -1;
	if (account) {
		/* Of one moment with the account, and without status's per-CPU rounding. */
		ret->rss_bytes = account->rss_bytes;
		ret->anon_bytes = account->anon_bytes;
		ret->file_bytes = account->file_bytes;
		ret->shmem_bytes = account->shmem_bytes;
		ret->pss_bytes = account->pss_bytes;
	}
	return !is_pending(text, "\nSigPnd:", SIGKILL) && !is_pending(text, "\nShdPnd:", SIGKILL);
}
