// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target for the ring's records as the model takes them: one after the
 * other, each behind a byte that says how long it is. What a target chooses of them
 * (sizes, addresses, orders no allocator has) may be anything; so may all else be.
 * Sums over rows must be the totals, and shares their rows'.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model/sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* Few processes and threads, so that records meet. */
static void narrow(struct ev_header *h)
{
	h->kind %= EVENT_KINDS_COUNT + 1;
	h->tgid = 1 + h->tgid % 3;
	h->tid = 1 + h->tid % 5;
}

static void feed(struct model *model, const uint8_t *data, size_t size)
{
	uint8_t *record = xmalloc(size + !size);	/* with an end that ASan sees */

	memcpy(record, data, size);
	if (size >= sizeof(struct ev_header)) {
		struct ev_header h;

		memcpy(&h, record, sizeof(h));
		narrow(&h);
		memcpy(record, &h, sizeof(h));
	}
	/* Addresses and sizes have 48 bits. */
	for (size_t i = sizeof(struct ev_header) + 6; i < size; i += 8)
		record[i] = record[i + 1 < size ? i + 1 : i] = 0;
	/* Those that are held back are small, and told of before they are many. */
	if (size >= sizeof(struct ev_pairs) && *(uint16_t *)record == EV_PAIRS) {
		((struct ev_pairs *)record)->count %= 1 << 14;
		((struct ev_pairs *)record)->size %= 1ull << 32;
	}
	model_feed(model, record, size);
	free(record);
}

static void check_sums(const struct model *model)
{
	__cleanup(model_share_vec_deinit) struct model_share_vec shares = { 0 };
	__cleanup(model_row_vec_deinit) struct model_row_vec rows = { 0 };
	struct model_totals totals;
	uint64_t live = 0, of_shares = 0;

	model_rows_and_shares(model, 1ull << 62, MODEL_OLDEST, &rows, &shares, &totals);
	vec_for_each(row, &rows) {
		require(row->kind < MEMORY_KINDS_COUNT && row->status < UNWIND_STATUSES_COUNT);
		for (uint32_t i = 0; i < row->pc_count; i++)
			live += row->pcs[i] & 0;	/* they are there */
		live += row->kind == MEMORY_GROWTH ? 0 : (uint64_t)row->m.live_bytes;
	}
	vec_for_each(share, &shares) {
		require(share->row < rows.len && share->share.size_class <= SIZE_CLASS_ANY);
		of_shares += (uint64_t)share->share.live_bytes;
	}
	require(live == (uint64_t)totals.m.live_bytes);
	require(!shares.len || of_shares == live);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	__cleanup(model_destroyp) struct model *model = model_create();
	const struct reclaim_entry *reclaims;

	while (size) {
		size_t len = data[0] < size - 1 ? data[0] : size - 1;

		feed(model, data + 1, len);
		data += 1 + len;
		size -= 1 + len;
	}
	model_mark_time(model, 1ull << 61);
	model_reclaims(model, &reclaims);
	check_sums(model);
	return 0;
}
