// SPDX-License-Identifier: GPL-2.0-or-later

// A Go program with a C heap beside its own, that keeps books of both. A command a
// line on its standard input, answered by a line:
//
//	c N SIZE          Go calls C, which keeps N more blocks of SIZE bytes
//	callback N SIZE   the same where C called back into Go in between
//	thread N SIZE     the same where a thread that C made calls Go
//	go N SIZE         Go keeps N more objects
//	gocallback N SIZE, gothread N SIZE    Go keeps them where C called back
//	free              C frees all of its blocks
//	churn N SIZE      goroutines whose stacks grow allocate and free N blocks in C
//	exec              begins anew, by execve
//	mem               bytes and blocks that C keeps, HeapAlloc and Mallocs of Go
package main

/*
#cgo LDFLAGS: -lpthread
#include <pthread.h>
#include <stdlib.h>

struct block { struct block *next; };

static struct block *blocks;
static size_t live_bytes, live_blocks;

static __attribute__((noinline)) void keep_in_c(int n, size_t size)
{
	for (int i = 0; i < n; i++) {
		struct block *b = malloc(size);

		b->next = blocks;
		blocks = b;
		live_bytes += size;
		live_blocks++;
	}
}

static void free_in_c(void)
{
	while (blocks) {
		struct block *b = blocks;

		blocks = b->next;
		free(b);
	}
	live_bytes = live_blocks = 0;
}

extern void goCallback(int n, size_t size, int in_go);

static __attribute__((noinline)) void call_back(int n, size_t size, int in_go)
{
	goCallback(n, size, in_go);
	__asm__ volatile("");
}

struct order { int n; size_t size; int in_go; };

static void *run_thread(void *arg)
{
	struct order *order = arg;

	call_back(order->n, order->size, order->in_go);
	return NULL;
}

static void call_from_thread(int n, size_t size, int in_go)
{
	struct order order = { n, size, in_go };
	pthread_t thread;

	if (!pthread_create(&thread, NULL, run_thread, &order))
		pthread_join(thread, NULL);
}

static __attribute__((noinline)) void churn_in_c(int n, size_t size)
{
	for (int i = 0; i < n; i++) {
		void *volatile block = malloc(size);

		free(block);
	}
}

static size_t c_live_bytes(void) { return live_bytes; }
static size_t c_live_blocks(void) { return live_blocks; }
*/
import "C"

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
)

var kept [][]byte

//export goCallback
func goCallback(n C.int, size C.size_t, inGo C.int) {
	if inGo != 0 {
		keepInGo(int(n), int(size))
	} else {
		inCallback(n, size)
	}
}

//go:noinline
func inCallback(n C.int, size C.size_t) {
	C.keep_in_c(n, size)
}

//go:noinline
func keepInC(n, size int) {
	C.keep_in_c(C.int(n), C.size_t(size))
}

//go:noinline
func keepByCallback(n, size, inGo int) {
	C.call_back(C.int(n), C.size_t(size), C.int(inGo))
}

//go:noinline
func keepByThread(n, size, inGo int) {
	C.call_from_thread(C.int(n), C.size_t(size), C.int(inGo))
}

//go:noinline
func keepInGo(n, size int) {
	for i := 0; i < n; i++ {
		kept = append(kept, make([]byte, size))
	}
}

// Each level needs more of the stack, which moves again and again on the way down.
//
//go:noinline
func descend(depth, size int) byte {
	var room [256]byte
	C.churn_in_c(1, C.size_t(size))
	room[depth%len(room)] = 1
	if depth == 0 {
		return room[0]
	}
	return descend(depth-1, size) + room[depth%len(room)]
}

func churn(n, size int) {
	const depth = 250
	var wait sync.WaitGroup
	for done := 0; done < n; done += 4 * (depth + 1) {
		for i := 0; i < 4; i++ {
			wait.Add(1)
			go func() {
				descend(depth, size)
				wait.Done()
			}()
		}
		wait.Wait()
		runtime.GC() // stacks shrink
	}
}

func mem() string {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return fmt.Sprintf("c_bytes=%d c_blocks=%d HeapAlloc=%d Mallocs=%d ",
		uint64(C.c_live_bytes()), uint64(C.c_live_blocks()), stats.HeapAlloc, stats.Mallocs)
}

func do(command string, n, size int) (answer string) {
	switch command {
	case "c":
		keepInC(n, size)
	case "callback":
		keepByCallback(n, size, 0)
	case "thread":
		keepByThread(n, size, 0)
	case "gocallback":
		keepByCallback(n, size, 1)
	case "gothread":
		keepByThread(n, size, 1)
	case "go":
		keepInGo(n, size)
	case "free":
		C.free_in_c()
	case "churn":
		churn(n, size)
	case "exec":
		fmt.Println("ok")
		fmt.Println(syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
	case "mem":
		answer = mem()
	default:
		answer = "unknown "
	}
	return answer + "ok"
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var command string
		var n, size int
		fmt.Sscan(in.Text(), &command, &n, &size)
		fmt.Println(do(command, n, size))
	}
}
