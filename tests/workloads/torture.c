// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * torture MODE ROUNDS: what is hard on whoever watches, and whether the program
 * itself comes through it unharmed. Every block is filled and looked at again.
 * "ready PID" and a line on stdin before; one line after, the same for the same
 * arguments whether it is watched or not: MODE, ROUNDS and a sum over all blocks.
 *
 *	crowd	64 threads on one processor, each ROUNDS times
 *	forks	ROUNDS children, four at a time, each with 101 blocks
 *	plugins	a library loaded, used and unloaded ROUNDS times
 *	births	ROUNDS threads, four at a time, that end with blocks in hand
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/wait.h>

#include "books.h"

#define CROWD 64
#define AT_ONCE 4
#define BLOCKS 101

#define UNUSED __attribute__((unused))

static unsigned long rounds;

/* A block's bytes tell their own sum; 1000003 if one was changed. */
static unsigned long check_block(const unsigned char *p, size_t size, unsigned char fill)
{
	for (size_t i = 0; i < size; i++)
		if (p[i] != fill)
			return 1000003;
	return size;
}

static unsigned char *filled(unsigned char *p, size_t size, unsigned char fill)
{
	if (!p)
		exit(3);
	memset(p, fill, size);
	return p;
}

static unsigned long use_block(unsigned long i)
{
	size_t size = 1 + i * 37 % 1021;
	unsigned char fill = (unsigned char)i, *p = filled(malloc(size), size, fill);
	unsigned long sum = check_block(p, size, fill);

	if (i % 3 == 0) {
		p = realloc(p, size * 2);
		if (!p)
			exit(3);
		sum += check_block(p, size, fill);
	}
	if (i % 7 == 0)
		free(calloc(3, size));
	free(p);
	return sum;
}

static unsigned long use_blocks(unsigned long count)
{
	unsigned long sum = 0;

	for (unsigned long i = 0; i < count; i++)
		sum += use_block(i);
	return sum;
}

static void *crowd_main(UNUSED void *arg)
{
	return (void *)use_blocks(rounds);
}

static void stay_on_one_processor(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static unsigned long crowd(void)
{
	pthread_t threads[CROWD];
	unsigned long sum = 0;
	void *of_one;

	stay_on_one_processor();
	for (int i = 0; i < CROWD; i++)
		if (pthread_create(&threads[i], NULL, crowd_main, NULL))
			exit(3);
	for (int i = 0; i < CROWD; i++) {
		pthread_join(threads[i], &of_one);
		sum += (unsigned long)of_one;
	}
	return sum;
}

static unsigned long await_child(void)
{
	int status;

	if (wait(&status) < 0)
		exit(3);
	return WIFEXITED(status) ? (unsigned long)WEXITSTATUS(status) : 1000003;
}

static unsigned long forks(void)
{
	unsigned long sum = 0;

	for (unsigned long i = 0; i < rounds; i++) {
		pid_t pid = fork();

		if (pid < 0)
			exit(3);
		if (!pid)
			_exit(use_blocks(BLOCKS) % 251);
		sum += use_block(i);
		if (i >= AT_ONCE - 1)
			sum += await_child();
	}
	for (unsigned long i = 0; i < rounds && i < AT_ONCE - 1; i++)
		sum += await_child();
	return sum;
}

static unsigned long plugin_notes;

static void count_note(UNUSED const char *site)
{
	plugin_notes++;
}

static void call_it(void (*fn)(void))
{
	fn();
}

static unsigned long plugins(void)
{
	unsigned long sum = 0;

	for (unsigned long i = 0; i < rounds; i++) {
		void *plugin = dlopen("libplugin.so", RTLD_NOW);
		void (*use)(void (*)(void (*)(void)), void (*)(const char *)) =
			plugin ? dlsym(plugin, "plugin_run") : NULL;

		if (!use)
			exit(3);
		use(call_it, count_note);
		sum += use_block(i);
		dlclose(plugin);
	}
	return sum + plugin_notes;
}

static void *birth_main(UNUSED void *arg)
{
	unsigned char *kept = filled(malloc(77), 77, 7);

	return (void *)(use_blocks(BLOCKS) + check_block(kept, 77, 7));
}

static unsigned long births(void)
{
	unsigned long sum = 0;
	void *of_one;

	for (unsigned long i = 0; i < rounds; i += AT_ONCE) {
		pthread_t threads[AT_ONCE];

		for (int k = 0; k < AT_ONCE; k++)
			if (pthread_create(&threads[k], NULL, birth_main, NULL))
				exit(3);
		for (int k = 0; k < AT_ONCE; k++) {
			pthread_join(threads[k], &of_one);
			sum += (unsigned long)of_one;
		}
	}
	return sum;
}

int main(int argc, char **argv)
{
	static const struct { const char *name; unsigned long (*run)(void); } modes[] = {
		{ "crowd", crowd }, { "forks", forks }, { "plugins", plugins },
		{ "births", births },
	};

	if (argc != 3)
		return 2;
	rounds = strtoul(argv[2], NULL, 10);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i].name, argv[1]))
			continue;
		books_ready();
		books_say("%s %lu %lu\n", modes[i].name, rounds, modes[i].run());
		books_send();
		return 17;
	}
	return 2;
}
