/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Growing arrays. DEFINE_VEC(name, type) declares
 *
 *	struct name { type *data; size_t len, cap; };
 *	void name##_deinit(struct name *);		frees the array only
 *	void name##_reserve(struct name *, size_t n);	room for n in all
 *	type *name##_append(struct name *);		uninitialised new last
 *	void name##_push(struct name *, type value);
 *
 * A zeroed struct is an empty array. Pointers into it die at the next append.
 */
#ifndef HEAPSONDE_BASE_VEC_H
#define HEAPSONDE_BASE_VEC_H

#include <stddef.h>
#include <stdlib.h>

#include "base/alloc.h"

#define DEFINE_VEC(name, type)						\
	struct name {							\
		type *data;						\
		size_t len, cap;					\
	};								\
									\
	static inline __attribute__((unused))				\
	void name##_deinit(struct name *v)				\
	{								\
		free(v->data);						\
		*v = (struct name){ 0 };				\
	}								\
									\
	static inline __attribute__((unused))				\
	void name##_reserve(struct name *v, size_t n)			\
	{								\
		if (n <= v->cap)					\
			return;						\
		if (n < v->cap * 2)					\
			n = v->cap * 2;					\
		v->data = xreallocarray(v->data, n, sizeof(type));	\
		v->cap = n;						\
	}								\
									\
	static inline __attribute__((unused))				\
	type *name##_append(struct name *v)				\
	{								\
		name##_reserve(v, v->len + 1);				\
		return &v->data[v->len++];				\
	}								\
									\
	static inline __attribute__((unused))				\
	void name##_push(struct name *v, type value)			\
	{								\
		*name##_append(v) = value;				\
	}								\
	struct semicolon_follows

#define vec_for_each(it, v) \
	for (__typeof__(&*(v)->data) it = (v)->data; it && it < (v)->data + (v)->len; it++)

#endif
