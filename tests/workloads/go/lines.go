// SPDX-License-Identifier: GPL-2.0-or-later

// A Go program that says what its own runtime calls its code: of N return
// addresses all over its text, as distances from main.main, every function
// inlined there, the innermost first:
//
//	lines N
//
//	DISTANCE
//		FUNCTION	FILE	LINE
//		...
//
// The runtime expands inlined calls only for profiles; hence the linkname, and
// the linker's flag in tests.mk that allows it.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"sort"
	"strconv"
	_ "unsafe"
)

//go:linkname expand runtime/pprof.runtime_expandFinalInlineFrame
func expand(stack []uintptr) []uintptr

type number interface{ ~int | ~uint8 | ~float64 }

func sum[T number](values []T) (total T) {
	for _, v := range values {
		total += add(total, v) - total
	}
	return total
}

func add[T number](a, b T) T { return a + b }

type shape struct{ Sides, Area int }

func (s shape) String() string { return strconv.Itoa(s.Sides) + " sides" }

// Something of everything, so that it is in the program.
func use() {
	shapes := []shape{{3, 4}, {1, 2}}
	sort.Slice(shapes, func(i, j int) bool { return shapes[i].Area < shapes[j].Area })
	text, _ := json.Marshal(shapes)
	fmt.Fprintln(os.Stderr, string(text), shapes[0], sum([]int{1, 2}), sum([]uint8{1}), sum([]float64{.5}))
}

func print(out *bufio.Writer, pc, from uintptr) {
	fmt.Fprintln(out, int64(pc-from))
	frames := runtime.CallersFrames(expand([]uintptr{pc}))
	for {
		frame, more := frames.Next()
		fmt.Fprintf(out, "\t%s\t%s\t%d\n", frame.Function, frame.File, frame.Line)
		if !more {
			return
		}
	}
}

// The text that the runtime knows around @at.
func bounds(at uintptr) (low, high uintptr) {
	const step = 16
	for low = at; runtime.FuncForPC(low-step) != nil; low -= step {
	}
	for high = at; runtime.FuncForPC(high+step) != nil; high += step {
	}
	return
}

func main() {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		use()
	}
	from := reflect.ValueOf(main).Pointer()
	low, high := bounds(from)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	random := uint64(1)
	for i := 0; i < n; i++ {
		random = random*6364136223846793005 + 1442695040888963407
		pc := low + 1 + uintptr((random>>16)%uint64(high-low-1))
		if runtime.FuncForPC(pc).Entry() == pc {
			pc++ // nothing returns to where a function begins
		}
		print(out, pc, from)
	}
}
