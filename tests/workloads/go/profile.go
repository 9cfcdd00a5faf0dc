// SPDX-License-Identifier: GPL-2.0-or-later

// With sites.go: a program that keeps a heap profile of itself, because
// something in it asks for that. GODEBUG=memprofilerate=N sets the rate.
package main

import (
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
)

var records [4096]runtime.MemProfileRecord

// The function that asked the runtime for memory.
func asker(stack []uintptr) string {
	frames := runtime.CallersFrames(stack)
	for {
		frame, more := frames.Next()
		runtimes := strings.HasPrefix(frame.Function, "runtime.") ||
			strings.HasPrefix(frame.Function, "internal/runtime/")
		if !runtimes || !more {
			return frame.Function
		}
	}
}

func init() {
	writeHeap = func(path string) error {
		file, err := os.Create(path)
		if err != nil {
			return err
		}
		defer file.Close()
		return pprof.Lookup("heap").WriteTo(file, 0)
	}
	profile = func(out []byte) []byte {
		n, ok := runtime.MemProfile(records[:], true)
		if !ok {
			return append(out, "null"...)
		}
		out = append(out, '[')
		for i := range records[:n] {
			r := &records[i]
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, "{\"site\":\""...)
			out = append(out, asker(r.Stack())...)
			out = append(out, '"')
			out = put(out, "rate", runtime.MemProfileRate)
			out = put(out, "alloc_count", int(r.AllocObjects))
			out = put(out, "alloc_bytes", int(r.AllocBytes))
			out = put(out, "live_count", int(r.InUseObjects()))
			out = put(out, "live_bytes", int(r.InUseBytes()))
			out = append(out, '}')
		}
		return append(out, ']')
	}
}
