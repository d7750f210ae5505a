// xmod FILE: checks what a JSON file holds with golang.org/x/mod alone: two signed notes of one log, one inclusion proof
// in the newer one, one consistency proof from the older to the newer. Prints what it found good; FAIL and status 1 else.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type input struct {
	VKeys         []string
	Origin        string
	Old, New      string // signed notes
	Index         int64
	Entry         []byte
	Incl, Consist []string
}

func check(err error) {
	if err != nil {
		fmt.Println("FAIL", err)
		os.Exit(1)
	}
}

func hashes(texts []string) (found []tlog.Hash) {
	for _, text := range texts {
		hash, err := tlog.ParseHash(text)
		check(err)
		found = append(found, hash)
	}
	return
}

// tree opens a note and parses its checkpoint (tlog.ParseTree wants the Go checksum database's own first line).
func tree(signed string, verifiers note.Verifiers, origin string) (size int64, root tlog.Hash) {
	opened, err := note.Open([]byte(signed), verifiers)
	check(err)
	lines := strings.SplitN(opened.Text, "\n", 4)
	if len(lines) < 4 || lines[0] != origin {
		check(fmt.Errorf("origin %q", lines[0]))
	}
	_, err = fmt.Sscanf(lines[1], "%d", &size)
	check(err)
	decoded, err := base64.StdEncoding.DecodeString(lines[2])
	check(err)
	copy(root[:], decoded)
	fmt.Printf("note ok: size %d, %d verified, %d unverified signature(s)\n", size, len(opened.Sigs), len(opened.UnverifiedSigs))
	return
}

func main() {
	var in input
	data, err := os.ReadFile(os.Args[1])
	check(err)
	check(json.Unmarshal(data, &in))
	var verifiers []note.Verifier
	for _, text := range in.VKeys {
		verifier, err := note.NewVerifier(text)
		if err != nil {
			continue // x/mod knows Ed25519 only
		}
		verifiers = append(verifiers, verifier)
	}
	list := note.VerifierList(verifiers...)
	oldSize, oldRoot := tree(in.Old, list, in.Origin)
	newSize, newRoot := tree(in.New, list, in.Origin)
	check(tlog.CheckRecord(hashes(in.Incl), newSize, newRoot, in.Index, tlog.RecordHash(in.Entry)))
	fmt.Println("inclusion ok")
	check(tlog.CheckTree(hashes(in.Consist), newSize, newRoot, oldSize, oldRoot))
	fmt.Println("consistency ok")
}
