// SPDX-License-Identifier: GPL-2.0-or-later

// A Go program with a known live set for each call site. It obeys a command a
// line on its standard input and answers each with a line:
//
//	work N        N allocations, each by a site drawn at random; most are dropped
//	drop          of what it keeps, every second object of each site
//	gc            runtime.GC
//	churn N       N short-lived allocations by one more site
//	crowd N       N allocations by each of several goroutines that take turns
//	books         JSON: what each site allocated and keeps, in objects, and the blocks
//	              that these lie in, which tiny ones share
//	profile       JSON: what runtime.MemProfile says (with profile.go)
//	heap          its heap profile, to the file that is its argument (with profile.go)
//
// Sites differ in size and kind: tiny, without and with pointers, with a malloc
// header (from Go 1.22 on), large. What is kept goes into slots that are there
// from the start, so that no site but these allocates.
package main

import (
	"os"
	"runtime"
	"strconv"
	"unsafe"
)

const slots = 8192

type (
	scan8    struct{ p *scan8 }
	scan48   struct{ p [6]*scan48 }
	header   struct{ p [75]*header }
	scan4k   struct{ p [500]*scan4k }
	scanBig  struct{ p [20480]*scanBig }
	noscan16 [16]byte
	noscan48 [48]byte
	noscan1k [1024]byte
)

//go:noinline
func siteTiny4() any { p := new(uint32); *p = 7; return p }

//go:noinline
func siteScan8() any { return new(scan8) }

//go:noinline
func siteNoscan16() any { return new(noscan16) }

//go:noinline
func siteScan48() any { return &scan48{} }

//go:noinline
func siteNoscan48() any { return new(noscan48) }

//go:noinline
func siteNoscan100() any { b := make([]byte, 100); return &b[0] }

//go:noinline
func siteHeader600() any { return new(header) }

//go:noinline
func siteNoscan1k() any { return new(noscan1k) }

//go:noinline
func siteScan4k() any { return new(scan4k) }

//go:noinline
func siteNoscan20k() any { b := make([]byte, 20000); return &b[0] }

//go:noinline
func siteLarge64k() any { b := make([]byte, 64<<10); return &b[0] }

//go:noinline
func siteLarge160k() any { return new(scanBig) }

//go:noinline
func siteShared48a() any { return &scan48{} }

//go:noinline
func siteShared48b() any { return &scan48{} }

//go:noinline
func siteCrowd() *scan48 { return &scan48{} }

type site struct {
	name        string
	call        func() any
	often, keep int    // of 1000 draws; of 1000 calls, kept
	size        int    // of the class that its objects come from
	kept        [slots]any
	allocated   int
	live        int
}

var sites = []*site{
	{name: "main.siteTiny4", call: siteTiny4, often: 120, keep: 100, size: 16},
	{name: "main.siteScan8", call: siteScan8, often: 120, keep: 100, size: 8},
	{name: "main.siteNoscan16", call: siteNoscan16, often: 120, keep: 100, size: 16},
	{name: "main.siteScan48", call: siteScan48, often: 120, keep: 100, size: 48},
	{name: "main.siteShared48a", call: siteShared48a, often: 120, keep: 50, size: 48},
	{name: "main.siteShared48b", call: siteShared48b, often: 60, keep: 200, size: 48},
	{name: "main.siteNoscan100", call: siteNoscan100, often: 110, keep: 100, size: 112},
	{name: "main.siteNoscan48", call: siteNoscan48, often: 10, keep: 100, size: 48},
	{name: "main.siteHeader600", call: siteHeader600, often: 100, keep: 60, size: 640},
	{name: "main.siteNoscan1k", call: siteNoscan1k, often: 60, keep: 60, size: 1024},
	{name: "main.siteScan4k", call: siteScan4k, often: 40, keep: 40, size: 4096},
	{name: "main.siteNoscan20k", call: siteNoscan20k, often: 12, keep: 100, size: 20480},
	{name: "main.siteLarge64k", call: siteLarge64k, often: 6, keep: 100, size: 65536},
	{name: "main.siteCrowd", size: 48}, // by crowd only
	{name: "main.siteLarge160k", call: siteLarge160k, often: 2, keep: 200, size: 163840},
}

var (
	line   [256]byte
	answer [65536]byte
	seed   = uint64(os.Getpid())*0x9e3779b97f4a7c15 | 1
	sink   any

	profile   func(out []byte) []byte
	writeHeap func(path string) error
)

func draw(n int) int {
	seed ^= seed << 13
	seed ^= seed >> 7
	seed ^= seed << 17
	return int(seed >> 33 % uint64(n))
}

func (s *site) work() {
	p := s.call()
	s.allocated++
	if draw(1000) < s.keep && s.live < slots {
		s.kept[s.live] = p
		s.live++
	}
}

//go:noinline
func work(n int) {
	for i := 0; i < n; i++ {
		at := draw(1000)
		for _, s := range sites {
			if at < s.often {
				s.work()
				break
			}
			at -= s.often
		}
	}
}

func (s *site) drop() {
	kept := 0
	for i := 0; i < s.live; i += 2 {
		s.kept[kept] = s.kept[i]
		kept++
	}
	for i := kept; i < s.live; i++ {
		s.kept[i] = nil
	}
	s.live = kept
}

//go:noinline
func churn(n int) {
	for i := 0; i < n; i++ {
		sink = new(scan48)
	}
	sink = nil
}

const (
	goroutines = 8
	keepEvery  = 16
)

var crowdKept [goroutines][slots]*scan48

func member(row *[slots]*scan48, n int, done chan<- int) {
	kept := 0
	for i := 0; i < n; i++ {
		p := siteCrowd()
		if i%keepEvery == 0 && kept < slots {
			row[kept] = p
			kept++
		}
		if i%100 == 0 {
			runtime.Gosched()
		}
	}
	done <- kept
}

func crowd(n int) {
	done := make(chan int)
	for i := range crowdKept {
		crowdKept[i] = [slots]*scan48{}
		go member(&crowdKept[i], n, done)
	}
	s := sites[len(sites)-2]
	s.live = 0
	for range crowdKept {
		s.live += <-done
	}
	s.allocated += goroutines * n
}

func put(out []byte, name string, value int) []byte {
	out = append(out, ",\""...)
	out = append(out, name...)
	out = append(out, "\":"...)
	return strconv.AppendInt(out, int64(value), 10)
}

// The allocator's block that a tiny object is in: 16 bytes, aligned.
func block(p any) uintptr { return uintptr(unsafe.Pointer(p.(*uint32))) &^ 15 }

func (s *site) blocks() int {
	if s.live == 0 || s.kept[0] == nil {
		return s.live
	}
	if _, tiny := s.kept[0].(*uint32); !tiny {
		return s.live
	}
	n := 0
	for i, p := range s.kept[:s.live] {
		seen := false
		for _, q := range s.kept[:i] {
			seen = seen || block(q) == block(p)
		}
		if !seen {
			n++
		}
	}
	return n
}

func books(out []byte) []byte {
	out = append(out, '[')
	for _, s := range sites {
		if s.allocated == 0 {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, "{\"site\":\""...)
		out = append(out, s.name...)
		out = append(out, '"')
		out = put(out, "size", s.size)
		out = put(out, "alloc_count", s.allocated)
		out = put(out, "live_count", s.live)
		out = put(out, "live_blocks", s.blocks())
		out = append(out, '}')
	}
	return append(out, ']')
}

func do(command string, n int, out []byte) []byte {
	switch command {
	case "work":
		work(n)
	case "churn":
		churn(n)
	case "crowd":
		crowd(n)
	case "drop":
		for _, s := range sites {
			s.drop()
		}
	case "gc":
		runtime.GC()
	case "heap":
		if err := writeHeap(os.Args[1]); err != nil {
			out = append(out, err.Error()...)
		}
	case "profile":
		return append(profile(out), '\n')
	case "books":
		return append(books(out), '\n')
	default:
		out = append(out, "unknown "...)
	}
	return append(out, "ok\n"...)
}

func main() {
	for {
		len, err := os.Stdin.Read(line[:])
		if err != nil || len == 0 {
			return
		}
		end, n := 0, 0
		for end < len && line[end] > ' ' {
			end++
		}
		for _, c := range line[end:len] {
			if c >= '0' && c <= '9' {
				n = n*10 + int(c-'0')
			}
		}
		os.Stdout.Write(do(string(line[:end]), n, answer[:0]))
	}
}
