package main

import (
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// The vectors of the contract: what this program finds is what they state.
func TestVectors(t *testing.T) {
	folder := "../../proto/tests/golden/signed/"
	content, err := os.ReadFile(folder + "keys")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := parseKeys(string(content))
	if err != nil {
		t.Fatal(err)
	}
	vectors, err := os.ReadFile(folder + "vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(vectors), "\n"), "\n")[1:]
	if len(lines) < 20 {
		t.Fatalf("only %d vectors", len(lines))
	}
	for _, line := range lines {
		columns := strings.Split(line, " | ")
		sequence, err := strconv.ParseUint(columns[3], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		headers := nats.Header{}
		if columns[4] != "-" {
			headers["Bellwether-Signature"] = []string{columns[4]}
		}
		body, err := hex.DecodeString(columns[5])
		if err != nil {
			t.Fatal(err)
		}
		found := verify(columns[2], sequence, headers, body, keys)
		if found == "" {
			found = "ok"
		}
		if found != columns[0] {
			t.Errorf("%s: found %s instead of %s", columns[1], found, columns[0])
		}
	}
}
