// SPDX-License-Identifier: GPL-2.0-or-later

// A Go program that does known work, a command a line on its standard input,
// and answers each with a line:
//
//	mem            what runtime.ReadMemStats says, NAME=VALUE separated by spaces
//	sizes          its BySize: SIZE:MALLOCS:FREES separated by spaces
//	keep N SIZE    keeps N more objects of SIZE bytes
//	nodes N        keeps N more objects with pointers
//	churn N SIZE   allocates N objects and keeps none
//	drop           keeps nothing any more
//	gc, free       runtime.GC, debug.FreeOSMemory
//	gogc N, limit N    debug.SetGCPercent, SetMemoryLimit
//
// Reading a command and answering allocates as little as can be: the books are
// compared to the object.
package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
)

type node struct {
	next *node
	data [5]uint64
}

var (
	kept   [][]byte
	nodes  *node
	sink   []byte
	line   [256]byte
	answer [4096]byte
	stats  runtime.MemStats
)

//go:noinline
func keep(n, size int) {
	for i := 0; i < n; i++ {
		kept = append(kept, make([]byte, size))
	}
}

//go:noinline
func keepNodes(n int) {
	for i := 0; i < n; i++ {
		nodes = &node{next: nodes}
	}
}

//go:noinline
func churn(n, size int) {
	for i := 0; i < n; i++ {
		sink = make([]byte, size)
	}
	sink = nil
}

func put(out []byte, name string, value uint64) []byte {
	out = append(out, name...)
	out = append(out, '=')
	out = strconv.AppendUint(out, value, 10)
	return append(out, ' ')
}

func mem(out []byte) []byte {
	runtime.ReadMemStats(&stats)
	s := &stats
	out = put(out, "HeapAlloc", s.HeapAlloc)
	out = put(out, "TotalAlloc", s.TotalAlloc)
	out = put(out, "Mallocs", s.Mallocs)
	out = put(out, "Frees", s.Frees)
	out = put(out, "HeapObjects", s.HeapObjects)
	out = put(out, "HeapInuse", s.HeapInuse)
	out = put(out, "HeapIdle", s.HeapIdle)
	out = put(out, "HeapReleased", s.HeapReleased)
	out = put(out, "HeapSys", s.HeapSys)
	out = put(out, "NextGC", s.NextGC)
	out = put(out, "NumGC", uint64(s.NumGC))
	out = put(out, "NumForcedGC", uint64(s.NumForcedGC))
	out = put(out, "PauseTotalNs", s.PauseTotalNs)
	out = put(out, "LastGC", s.LastGC)
	out = put(out, "StackInuse", s.StackInuse)
	out = put(out, "StackSys", s.StackSys)
	out = put(out, "MSpanInuse", s.MSpanInuse)
	out = put(out, "MSpanSys", s.MSpanSys)
	out = put(out, "MCacheInuse", s.MCacheInuse)
	out = put(out, "MCacheSys", s.MCacheSys)
	out = put(out, "BuckHashSys", s.BuckHashSys)
	out = put(out, "GCSys", s.GCSys)
	out = put(out, "OtherSys", s.OtherSys)
	out = put(out, "Sys", s.Sys)
	out = append(out, "GCCPUFraction="...)
	out = strconv.AppendFloat(out, s.GCCPUFraction, 'g', -1, 64)
	return append(out, ' ')
}

func sizes(out []byte) []byte {
	runtime.ReadMemStats(&stats)
	for i := range stats.BySize {
		size := &stats.BySize[i]
		out = strconv.AppendUint(out, uint64(size.Size), 10)
		out = append(out, ':')
		out = strconv.AppendUint(out, size.Mallocs, 10)
		out = append(out, ':')
		out = strconv.AppendUint(out, size.Frees, 10)
		out = append(out, ' ')
	}
	return out
}

// The next two numbers of a command; 0 where there is none.
func numbers(args []byte) (n, m int) {
	into := []*int{&n, &m}
	for i, c := 0, 0; c < len(args); c++ {
		if args[c] >= '0' && args[c] <= '9' {
			*into[i] = *into[i]*10 + int(args[c]-'0')
		} else if args[c] == ' ' && c > 0 && i == 0 {
			i++
		}
	}
	return
}

func do(command string, n, m int, out []byte) []byte {
	switch command {
	case "mem":
		out = mem(out)
	case "sizes":
		out = sizes(out)
	case "keep":
		keep(n, m)
	case "nodes":
		keepNodes(n)
	case "churn":
		churn(n, m)
	case "drop":
		kept, nodes = nil, nil
	case "gc":
		runtime.GC()
	case "free":
		debug.FreeOSMemory()
	case "gogc":
		debug.SetGCPercent(n)
	case "limit":
		debug.SetMemoryLimit(int64(n))
	default:
		out = append(out, "unknown"...)
	}
	return append(out, "ok\n"...)
}

func main() {
	for {
		len, err := os.Stdin.Read(line[:])
		if err != nil || len == 0 {
			return
		}
		end := 0
		for end < len && line[end] > ' ' {
			end++
		}
		n, m := numbers(line[end:len])
		os.Stdout.Write(do(string(line[:end]), n, m, answer[:0]))
	}
}
