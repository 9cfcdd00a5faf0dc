// SPDX-License-Identifier: GPL-2.0-or-later

// An HTTP server on the loopback whose handler makes a hundred allocations a
// request, and the client that loads it:
//
//	http serve            prints its address, serves until its input ends
//	http load ADDR N      N requests over four connections
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
)

type item struct {
	data []byte
	next *item
	size int
}

const cached = 4096

var (
	lock  sync.Mutex
	cache [cached]*item
	turn  int
)

// With what net/http needs about a hundred objects, of 16 to 264 bytes for the
// most part; all but one die with the request.
func handle(w http.ResponseWriter, r *http.Request) {
	var list *item
	for i := 0; i < 32; i++ {
		list = &item{data: make([]byte, 16+i*8), next: list, size: i}
	}
	n := 0
	for at := list; at != nil; at = at.next {
		n += len(at.data)
	}
	lock.Lock()
	cache[turn%cached] = &item{size: n}
	turn++
	lock.Unlock()
	io.WriteString(w, strconv.Itoa(n))
}

func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	go http.Serve(listener, http.HandlerFunc(handle))
	io.Copy(io.Discard, os.Stdin)
}

func load(address string, n int) {
	var clients sync.WaitGroup
	for c := 0; c < 4; c++ {
		clients.Add(1)
		go func() {
			defer clients.Done()
			client := http.Client{Transport: &http.Transport{}}
			for i := 0; i < n/4; i++ {
				answer, err := client.Get("http://" + address)
				if err != nil {
					panic(err)
				}
				io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
			}
		}()
	}
	clients.Wait()
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "load" {
		n, _ := strconv.Atoi(os.Args[3])
		load(os.Args[2], n)
		return
	}
	serve()
}
