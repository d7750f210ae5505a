// gofsck: tessera's fsck library with a real exit code, no hang, and a JSON-free one-line verdict.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
)

func main() {
	u := flag.String("url", "", "file:///abs/dir or http://")
	vk := flag.String("vkey", "", "verifier key text")
	origin := flag.String("origin", "", "origin")
	to := flag.Duration("timeout", 60*time.Second, "limit")
	n := flag.Uint("n", 4096, "workers: must exceed the number of bad tiles or the library hangs")
	flag.Parse()
	die := func(err error) {
		s := err.Error()
		if len(s) > 160 {
			s = s[:160] + "..."
		}
		fmt.Println("FAIL", strings.ReplaceAll(s, "\n", " "))
		os.Exit(1)
	}
	l, err := url.Parse(*u)
	if err != nil {
		die(err)
	}
	var src fsck.Fetcher = &client.FileFetcher{Root: l.Path}
	if l.Scheme != "file" {
		if src, err = client.NewHTTPFetcher(l, nil); err != nil {
			die(err)
		}
	}
	v, err := fnote.NewVerifier(strings.TrimSpace(*vk))
	if err != nil {
		die(err)
	}
	if *origin == "" {
		*origin = v.Name()
	}
	hash := func(b []byte) (r [][]byte, err error) {
		eb := &api.EntryBundle{}
		if err = eb.UnmarshalText(b); err != nil {
			return nil, err
		}
		for _, e := range eb.Entries {
			r = append(r, rfc6962.DefaultHasher.HashLeaf(e))
		}
		return r, nil
	}
	done := make(chan error, 1)
	go func() { done <- fsck.New(*origin, v, src, hash, fsck.Opts{N: *n}).Check(context.Background()) }()
	select {
	case err := <-done:
		if err != nil {
			die(err)
		}
		fmt.Println("OK")
	case <-time.After(*to):
		die(fmt.Errorf("timeout (library deadlock or slow source)"))
	}
}
