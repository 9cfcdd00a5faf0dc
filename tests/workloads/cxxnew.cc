// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cxxnew [throw]: operator new and delete in their forms, each from a call
 * site of its own, and allocations that leave by an exception: what is
 * allocated after them, from deeper stacks, must still count exactly.
 */
#include <cstddef>
#include <cstdint>
#include <new>

#include "books.h"

static volatile std::size_t huge = PTRDIFF_MAX;

/* Needs more than malloc's alignment, and has a size for sized delete. */
struct alignas(128) aligned_thing {
	char data[384];
};

struct thing {
	char data[149];
	~thing()
	{
		data[0] = 0;
	}
};

BOOK(site_new, "heap");
BOOK(site_new_array, "heap");
BOOK(site_new_nothrow, "heap");
BOOK(site_new_array_nothrow, "heap");
BOOK(site_new_aligned, "heap");
BOOK(site_new_aligned_array, "heap");
BOOK(site_new_thing, "heap");
BOOK(site_new_deep, "heap");

SITE struct block site_new(std::size_t n)
{
	return book_alloc(&site_new_book, ::operator new(n), n);
}

SITE struct block site_new_array(std::size_t n)
{
	return book_alloc(&site_new_array_book, ::operator new[](n), n);
}

SITE struct block site_new_nothrow(std::size_t n)
{
	return book_alloc(&site_new_nothrow_book, ::operator new(n, std::nothrow), n);
}

SITE struct block site_new_array_nothrow(std::size_t n)
{
	return book_alloc(&site_new_array_nothrow_book, ::operator new[](n, std::nothrow), n);
}

SITE struct block site_new_aligned(void)
{
	return book_alloc(&site_new_aligned_book, new aligned_thing, sizeof(aligned_thing));
}

SITE struct block site_new_aligned_array(std::size_t n)
{
	return book_alloc(&site_new_aligned_array_book, new aligned_thing[n],
			  n * sizeof(aligned_thing));
}

SITE struct block site_new_thing(void)
{
	return book_alloc(&site_new_thing_book, new thing, sizeof(thing));
}

/* Never returns: std::bad_alloc comes out of operator new. */
SITE void site_new_throws(void)
{
	::operator delete(::operator new(huge));
}

SITE struct block site_new_deep(int depth, std::size_t n)
{
	volatile char pad[256];

	pad[0] = depth;
	if (depth + pad[0] > 1)
		return site_new_deep(depth - 1, n);
	return book_alloc(&site_new_deep_book, ::operator new(n), n);
}

static void frees(struct block *b)
{
	::operator delete(book_free(&b[0]));
	::operator delete[](book_free(&b[7]));
	::operator delete(book_free(&b[14]), std::nothrow);
	::operator delete[](book_free(&b[21]), std::nothrow);
	delete static_cast<aligned_thing *>(book_free(&b[28]));
	delete[] static_cast<aligned_thing *>(book_free(&b[35]));
	delete static_cast<thing *>(book_free(&b[42]));
	::operator delete(nullptr);
}

static void every_form(void)
{
	struct block b[49];

	for (int i = 0; i < 7; i++) {
		b[i] = site_new(31 + i);
		b[7 + i] = site_new_array(61 + i);
		b[14 + i] = site_new_nothrow(91 + i);
		b[21 + i] = site_new_array_nothrow(121 + i);
		b[28 + i] = site_new_aligned();
		b[35 + i] = site_new_aligned_array(i + 1);
		b[42 + i] = site_new_thing();
	}
	frees(b);
}

/*
 * The C++ library allocates the exceptions, even those that the nothrow
 * form catches itself; so the books hold the sites' share and no more.
 */
static int thrown(int times)
{
	int caught = 0;

	for (int i = 0; i < 3; i++)
		site_new_nothrow(huge);
	for (int i = 0; i < times; i++) {
		try {
			site_new_throws();
		} catch (const std::bad_alloc &) {
			caught++;
		}
		for (int depth = 1; depth < 8; depth++)
			site_new_deep(depth, 17);
	}
	return caught;
}

int main(int argc, char **)
{
	books_ready();
	every_form();
	if (argc > 1 && thrown(5) != 5)
		return 1;
	books_close();
	return 0;
}
