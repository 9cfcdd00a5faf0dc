// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Allocates from stacks of all shapes that C++ makes and tells them itself
 * (truth.h): below libstdc++'s templates and its library, and while an
 * exception is in flight. libstdc++ calls the operator new defined here.
 */
#include <algorithm>
#include <functional>
#include <memory>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "truth.h"

static bool telling;

SITE void *operator new(std::size_t n)
{
	void *p = std::malloc(n);

	if (!p)
		abort();
	if (telling)
		truth_note("operator new");
	KEEP_FRAME();
	return p;
}

SITE void operator delete(void *p) noexcept
{
	std::free(p);
}

SITE void operator delete(void *p, std::size_t) noexcept
{
	std::free(p);
}

/* ---- exceptions ---- */

struct on_the_way_out {
	int depth;
	SITE ~on_the_way_out();
};

SITE void site_while_unwinding(int depth)
{
	ALLOCATE_HERE(100 + depth);
}

on_the_way_out::~on_the_way_out()
{
	site_while_unwinding(depth);
	KEEP_FRAME();
}

SITE void throw_deep(int depth)
{
	on_the_way_out guard = { depth };

	if (!depth)
		throw std::runtime_error("on purpose");
	throw_deep(depth - 1);
	KEEP_FRAME();
}

SITE void site_in_catch(const std::exception &e)
{
	ALLOCATE_HERE(200 + e.what()[0]);
}

SITE void site_after_catch()
{
	ALLOCATE_HERE(201);
}

SITE void exceptions()
{
	try {
		throw_deep(4);
	} catch (const std::exception &e) {
		site_in_catch(e);
	}
	site_after_catch();
	/* A rethrown one, caught by type in a caller. */
	try {
		try {
			throw_deep(2);
		} catch (...) {
			throw;
		}
	} catch (const std::runtime_error &e) {
		site_in_catch(e);
	}
	KEEP_FRAME();
}

/* ---- templates ---- */

SITE bool site_comparator(int a, int b)
{
	ALLOCATE_HERE(300);
	return a < b;
}

SITE int site_function(int n)
{
	ALLOCATE_HERE(301);
	return n;
}

SITE void templates()
{
	int numbers[] = { 3, 1, 2, 5, 4 };
	std::function<int(int)> function = site_function;

	std::sort(numbers, numbers + 5, site_comparator);
	std::for_each(numbers, numbers + 2, [&](int n) { function(n); });
	std::stable_sort(numbers, numbers + 3, site_comparator);
	KEEP_FRAME();
}

/* ---- what libstdc++ allocates ---- */

SITE void library()
{
	std::vector<std::string> strings;
	std::ostringstream stream;
	auto shared = std::make_shared<std::vector<int>>(10);

	for (int i = 0; i < 5; i++)
		strings.push_back(std::string(30 + i, 'x'));
	std::string longer = strings[0] + strings[1];
	longer.append(500, 'y');
	stream << longer << 1.5;
	shared->resize(1000);
	TOUCH(&longer);
	KEEP_FRAME();
}

SITE void site_in_std_thread(int depth)
{
	ALLOCATE_HERE(400 + depth);
}

SITE void run_all()
{
	exceptions();
	templates();
	library();
	std::thread(site_in_std_thread, 7).join();
	KEEP_FRAME();
}

int main()
{
	truth_begin();
	telling = true;
	run_all();
	telling = false;
	truth_end();
	return 0;
}
