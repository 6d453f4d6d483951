package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	keysMax     = 8
	keyBytesMax = 4096
)

var (
	signatureForm = regexp.MustCompile(`^1\.([0-9a-f]{16})\.([0-9A-Za-z_-]{86})$`)
	base64url     = base64.RawURLEncoding.Strict()
)

// recordKeys reads the file of public keys, by key id. It is read for each record: the kubelet replaces it.
func recordKeys() (map[string]ed25519.PublicKey, error) {
	path := os.Getenv("BELLWETHER_RECORD_KEYS")
	if path == "" {
		path = "/etc/bellwether/record-keys/keys"
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, keyBytesMax+1))
	if err != nil {
		return nil, err
	}
	return parseKeys(string(content))
}

func parseKeys(content string) (map[string]ed25519.PublicKey, error) {
	if len(content) > keyBytesMax {
		return nil, errors.New("the file of keys is too long")
	}
	keys := map[string]ed25519.PublicKey{}
	for _, line := range strings.Split(strings.TrimSuffix(content, "\n"), "\n") {
		if content == "" {
			break
		}
		words := strings.Split(line, " ")
		if len(words) != 3 || words[0] != "ed25519" || strings.ContainsAny(words[1], "\r\n") {
			return nil, errors.New("the file of keys is malformed")
		}
		key, err := base64url.DecodeString(words[1])
		if err != nil || len(key) != ed25519.PublicKeySize {
			return nil, errors.New("the file of keys has no key in a line")
		}
		if _, err := time.Parse(time.RFC3339, words[2]); err != nil {
			return nil, errors.New("the file of keys has no time in a line")
		}
		hash := sha256.Sum256(key)
		keys[hex.EncodeToString(hash[:8])] = key
	}
	if len(keys) == 0 || len(keys) > keysMax {
		return nil, errors.New("the file of keys is empty, or has too many")
	}
	return keys, nil
}

// verify returns the code of a record that is not to be trusted, or nothing.
func verify(subject string, sequence uint64, headers nats.Header, body []byte, keys map[string]ed25519.PublicKey) string {
	values := headers.Values("Bellwether-Signature")
	if len(values) == 0 {
		return "RecordUnsigned"
	}
	parts := signatureForm.FindStringSubmatch(values[0])
	if len(values) > 1 || parts == nil {
		return "RecordSignatureMalformed"
	}
	signature, err := base64url.DecodeString(parts[2])
	if err != nil || len(signature) != ed25519.SignatureSize {
		return "RecordSignatureMalformed"
	}
	if keys == nil {
		return "RecordKeysMissing"
	}
	key, known := keys[parts[1]]
	if !known {
		return "RecordKeyUnknown"
	}
	signed := append([]byte(fmt.Sprintf("bellwether record 1\n%s\n%d\n", subject, sequence)), body...)
	if !ed25519.Verify(key, signed, signature) {
		return "RecordSignatureWrong"
	}
	return ""
}
