// logcheck: Tessera's fsck library on a log, with a real exit status. One line: OK, or FAIL and why.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
)

const longest = 160

func fail(err error) {
	text := err.Error()
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	fmt.Println("FAIL", strings.ReplaceAll(text, "\n", " "))
	os.Exit(1)
}

func leaves(bundle []byte) (hashes [][]byte, err error) {
	entries := &api.EntryBundle{}
	if err = entries.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	for _, entry := range entries.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return
}

func main() {
	address := flag.String("url", "", "file:///folder or http://")
	vkey := flag.String("vkey", "", "verifier key")
	origin := flag.String("origin", "", "origin, if it is not the key's name")
	limit := flag.Duration("timeout", 60*time.Second, "how long it may take")
	workers := flag.Uint("n", 4096, "workers: must outnumber the bad tiles, or the library hangs")
	flag.Parse()
	place, err := url.Parse(*address)
	if err != nil {
		fail(err)
	}
	var source fsck.Fetcher = &client.FileFetcher{Root: place.Path}
	if place.Scheme != "file" {
		if source, err = client.NewHTTPFetcher(place, nil); err != nil {
			fail(err)
		}
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(*vkey))
	if err != nil {
		fail(err)
	}
	if *origin == "" {
		*origin = verifier.Name()
	}
	done := make(chan error, 1)
	go func() {
		done <- fsck.New(*origin, verifier, source, leaves, fsck.Opts{N: *workers}).Check(context.Background())
	}()
	select {
	case err := <-done:
		if err != nil {
			fail(err)
		}
		fmt.Println("OK")
	case <-time.After(*limit):
		fail(fmt.Errorf("timeout (the library hangs, or the source is slow)"))
	}
}
