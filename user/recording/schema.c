// SPDX-License-Identifier: GPL-2.0-or-later
/* The shape of a recording as SQL; see schema.h. */
#include <string.h>

#include "model/fields.h"
#include "recording/columns.h"
#include "recording/schema.h"

/*
 * X(name, SQL behind "AS"); METRICS stands for ", NAME" of all metrics of m. Bare
 * columns beside max() are those of the row that has the maximum: SQLite promises it.
 */
#define VIEWS(X)								\
	/* When there are rows of stacks. */					\
	X(moment,								\
	  "SELECT snapshot, duration_s AS t_s FROM snapshot WHERE keyframe")	\
	/* Call paths in words, leaf first. */					\
	X(call_path,								\
	  "SELECT s.stack, s.kind, s.status,"					\
	  " (SELECT group_concat(name, ' < ') FROM"				\
	  "  (SELECT coalesce(f.function, nullif(o.module, '')"			\
	  "    || printf('+0x%x', f.offset), printf('[0x%x]', f.pc)) AS name"	\
	  "   FROM json_each(s.frames) AS j"					\
	  "   JOIN frame AS f ON f.frame = j.value"				\
	  "   JOIN object AS o USING(object) ORDER BY j.key)) AS path"		\
	  " FROM stack AS s")							\
	/* Every stack at every such moment: give the snapshot in WHERE. */	\
	X(stack_at,								\
	  "SELECT k.snapshot AS snapshot, k.duration_s AS t_s, s.stack AS stack" "METRICS"\
	  " FROM snapshot AS k CROSS JOIN stack AS s CROSS JOIN sample AS m"	\
	  " ON m.stack = s.stack AND m.snapshot = (SELECT r.snapshot"		\
	  "  FROM snapshot AS r CROSS JOIN sample AS x"				\
	  "  ON x.snapshot = r.snapshot AND x.stack = s.stack"			\
	  "  WHERE r.keyframe AND r.snapshot <= k.snapshot AND r.snapshot >="	\
	  "   (SELECT max(w.snapshot) FROM snapshot AS w"			\
	  "    WHERE w.keyframe = 2 AND w.snapshot <= k.snapshot)"		\
	  "  ORDER BY r.snapshot DESC LIMIT 1)"					\
	  " WHERE k.keyframe AND m.alloc_count IS NOT NULL")			\
	/* The last of these moments, with call paths. */			\
	X(top_stacks,								\
	  "SELECT m.stack AS stack, max(m.snapshot) AS since" "METRICS" ","	\
	  " (SELECT path FROM call_path AS p WHERE p.stack = m.stack) AS path"	\
	  " FROM sample AS m WHERE m.snapshot >="				\
	  " (SELECT max(snapshot) FROM snapshot WHERE keyframe = 2)"		\
	  " GROUP BY m.stack HAVING m.alloc_count IS NOT NULL"			\
	  " ORDER BY m.live_bytes DESC")					\
	/* What changed between any two of them: give both snapshots in WHERE. */ \
	X(grew,									\
	  "SELECT o.snapshot AS old_snapshot, o.duration_s AS old_t_s,"		\
	  " n.snapshot AS new_snapshot, n.t_s AS new_t_s, n.stack AS stack,"	\
	  " n.live_bytes - coalesce((SELECT a.live_bytes FROM stack_at AS a"	\
	  "  WHERE a.snapshot = o.snapshot AND a.stack = n.stack), 0) AS grown_bytes,"\
	  " n.live_count - coalesce((SELECT a.live_count FROM stack_at AS a"	\
	  "  WHERE a.snapshot = o.snapshot AND a.stack = n.stack), 0) AS grown_count,"\
	  " n.live_bytes AS live_bytes,"					\
	  " (SELECT path FROM call_path AS p WHERE p.stack = n.stack) AS path"	\
	  " FROM snapshot AS o JOIN stack_at AS n ON n.snapshot > o.snapshot"	\
	  " WHERE o.keyframe")

#define X(name, sql) "'" #name "', "
const char schema_view_names[] = VIEWS(X) "''";
#undef X

static void add_create(struct strbuf *sql, const struct fields *fields, const char *key,
		       const char *tail)
{
	strbuf_addf(sql, "CREATE TABLE %s(%s", fields->name, key);
	fields_for_each(field, fields)
		strbuf_addf(sql, ", %s %s", field->name, column_type(field));
	strbuf_addf(sql, "%s;\n", tail);
}

static void add_view(struct strbuf *sql, const char *name, const char *text)
{
	static const char placeholder[] = "METRICS";
	const char *at = strstr(text, placeholder);

	strbuf_addf(sql, "CREATE VIEW %s AS ", name);
	if (at) {
		strbuf_add(sql, text, (size_t)(at - text));
		columns_add(sql, &metric_fields, "m.");
		text = at + strlen(placeholder);
	}
	strbuf_addf(sql, "%s;\n", text);
}

void schema_sql(struct strbuf *sql)
{
	strbuf_addf(sql, "PRAGMA application_id=%d; PRAGMA user_version=%d; BEGIN;\n"
		    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;\n"
		    "CREATE TABLE object(object INTEGER PRIMARY KEY, module TEXT, path TEXT,"
		    " build_id TEXT);\n"
		    "CREATE TABLE frame(frame INTEGER PRIMARY KEY, pc INTEGER, offset INTEGER,"
		    " object INTEGER, function TEXT, raw TEXT, file TEXT, line INTEGER,"
		    " column INTEGER, inlined INTEGER, type TEXT, start_line INTEGER);\n"
		    "CREATE TABLE stack(stack INTEGER PRIMARY KEY, target INTEGER, id INTEGER,"
		    " kind TEXT, status TEXT, frames TEXT);\n"
		    "CREATE TABLE delta(snapshot INTEGER PRIMARY KEY, data BLOB);\n",
		    RECORDING_APPLICATION_ID, RECORDING_SCHEMA_VERSION);
	for (int i = 0; i < SNAPSHOT_PARTS_COUNT; i++)
		add_create(sql, &snapshot_parts[i], i == PART_SNAPSHOT ?
			   "snapshot INTEGER PRIMARY KEY, keyframe INTEGER" :
			   "snapshot INTEGER PRIMARY KEY", ")");
	for (int i = 0; i < SNAPSHOT_LISTS_COUNT; i++)
		add_create(sql, &snapshot_lists[i].fields, "snapshot INTEGER, pos INTEGER",
			   ", PRIMARY KEY(snapshot, pos)) WITHOUT ROWID");
	add_create(sql, &metric_fields, "snapshot INTEGER, stack INTEGER",
		   ", PRIMARY KEY(snapshot, stack)) WITHOUT ROWID");
	add_create(sql, &share_fields, "snapshot INTEGER, stack INTEGER, pos INTEGER",
		   ", PRIMARY KEY(snapshot, stack, pos)) WITHOUT ROWID");
#define X(name, text) add_view(sql, #name, text);
	VIEWS(X)
#undef X
	strbuf_addstr(sql, "COMMIT;");
}
