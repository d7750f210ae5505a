// govfy VKEY LEAFFILE: note signature, one inclusion proof, one consistency proof; x/mod only.
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

type in struct {
	VKeys         []string
	Old, New      string // signed notes
	Index         int64
	Entry         []byte
	Incl, Consist []string
}

func hs(ss []string) (r []tlog.Hash) {
	for _, s := range ss {
		h, err := tlog.ParseHash(s)
		chk(err)
		r = append(r, h)
	}
	return
}
func chk(err error) {
	if err != nil {
		fmt.Println("FAIL", err)
		os.Exit(1)
	}
}
func tree(msg string, vs note.Verifiers, origin string) (n int64, h tlog.Hash) {
	nt, err := note.Open([]byte(msg), vs)
	chk(err)
	l := strings.SplitN(nt.Text, "\n", 4) // tlog.ParseTree wants "go.sum database tree": parse C2SP by hand
	if len(l) < 4 || l[0] != origin {
		chk(fmt.Errorf("origin %q", l[0]))
	}
	_, err = fmt.Sscanf(l[1], "%d", &n)
	chk(err)
	b, err := base64.StdEncoding.DecodeString(l[2])
	chk(err)
	copy(h[:], b)
	fmt.Printf("note ok: size %d, %d verified, %d unverified signature(s)\n", n, len(nt.Sigs), len(nt.UnverifiedSigs))
	return
}
func main() {
	var i in
	b, err := os.ReadFile(os.Args[1])
	chk(err)
	chk(json.Unmarshal(b, &i))
	var vs []note.Verifier
	for _, k := range i.VKeys {
		v, err := note.NewVerifier(k)
		if err != nil {
			fmt.Printf("NewVerifier(%s...): %v\n", k[:34], err)
			continue
		}
		vs = append(vs, v)
	}
	vl := note.VerifierList(vs...)
	n1, h1 := tree(i.Old, vl, "audit.example.org/log1")
	n2, h2 := tree(i.New, vl, "audit.example.org/log1")
	chk(tlog.CheckRecord(hs(i.Incl), n2, h2, i.Index, tlog.RecordHash(i.Entry)))
	fmt.Println("inclusion ok")
	chk(tlog.CheckTree(hs(i.Consist), n2, h2, n1, h1))
	fmt.Println("consistency ok")
}
