package main

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Message is a protobuf message, field by field: numbers of varints, and bodies of the others. The last of a number
// counts, as in protobuf; repeated fields are not read here but for `beside`.
type Message struct {
	numbers map[int]uint64
	bodies  map[int][][]byte
}

func parse(data []byte) (Message, error) {
	message := Message{map[int]uint64{}, map[int][][]byte{}}
	for len(data) > 0 {
		tag, rest, ok := varint(data)
		if !ok || tag>>3 == 0 || tag>>3 > math.MaxInt32 {
			return message, errors.New("no protobuf")
		}
		field := int(tag >> 3)
		switch tag & 7 {
		case 0:
			value, next, ok := varint(rest)
			if !ok {
				return message, errors.New("no protobuf")
			}
			message.numbers[field], data = value, next
		case 1, 5:
			size := 8
			if tag&7 == 5 {
				size = 4
			}
			if len(rest) < size {
				return message, errors.New("no protobuf")
			}
			data = rest[size:]
		case 2:
			size, next, ok := varint(rest)
			if !ok || size > uint64(len(next)) {
				return message, errors.New("no protobuf")
			}
			message.bodies[field], data = append(message.bodies[field], next[:size]), next[size:]
		default:
			return message, errors.New("no protobuf")
		}
	}
	return message, nil
}

func varint(data []byte) (uint64, []byte, bool) {
	var value uint64
	for index, octet := range data {
		if index == 10 {
			break
		}
		value |= uint64(octet&0x7f) << (7 * index)
		if octet < 0x80 {
			return value, data[index+1:], true
		}
	}
	return 0, nil, false
}

func (m Message) body(field int) ([]byte, bool) {
	all := m.bodies[field]
	if len(all) == 0 {
		return nil, false
	}
	return all[len(all)-1], true
}

func (m Message) text(field int) string {
	body, _ := m.body(field)
	return string(body)
}

// instant is a Timestamp that has to be present.
func (m Message) instant(field int) (time.Time, error) {
	body, ok := m.body(field)
	if !ok {
		return time.Time{}, fmt.Errorf("field %d is missing", field)
	}
	stamp, err := parse(body)
	seconds, nanos := int64(stamp.numbers[1]), int64(int32(stamp.numbers[2]))
	// Up to the year 9999.
	if err != nil || seconds < -62135596800 || seconds > 253402300799 || nanos < 0 || nanos > 999_999_999 {
		return time.Time{}, fmt.Errorf("field %d is no time", field)
	}
	return time.Unix(seconds, nanos), nil
}

func appendVarint(data []byte, value uint64) []byte {
	for value >= 0x80 {
		data = append(data, byte(value)|0x80)
		value >>= 7
	}
	return append(data, byte(value))
}

func number(data []byte, field int, value uint64) []byte {
	if value == 0 {
		return data
	}
	return appendVarint(appendVarint(data, uint64(field)<<3), value)
}

func bytes(data []byte, field int, value []byte) []byte {
	data = appendVarint(data, uint64(field)<<3|2)
	return append(appendVarint(data, uint64(len(value))), value...)
}

func text(data []byte, field int, value string) []byte {
	if value == "" {
		return data
	}
	return bytes(data, field, []byte(value))
}

func stamp(at time.Time) []byte {
	return number(number(nil, 1, uint64(at.Unix())), 2, uint64(at.Nanosecond()))
}

// checkHeaders rejects what no reader may take for a message of this type.
func checkHeaders(headers nats.Header, kind string) error {
	var major, minor int
	schema := headers.Get("Bellwether-Schema")
	if count, _ := fmt.Sscanf(schema, "%d.%d", &major, &minor); count != 2 || major != 1 {
		return fmt.Errorf("Bellwether-Schema is %q", schema)
	}
	if found := headers.Get("Bellwether-Type"); found != "bellwether.v1."+kind {
		return fmt.Errorf("Bellwether-Type is %q", found)
	}
	return nil
}

var (
	nodeName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	bootID   = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)
	trace    = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)
	uuid     = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

func checkNode(name string) error {
	if len(name) > 253 || !nodeName.MatchString(name) {
		return fmt.Errorf("%q is no node", name)
	}
	return nil
}

func checkUID(uid string) error {
	if len(uid) < 1 || len(uid) > 128 || strings.ContainsFunc(uid, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		return fmt.Errorf("%q is no UID", uid)
	}
	return nil
}

// attemptID brings any form of a UUID into the written one: lower case with hyphens.
func attemptID(text string) (string, error) {
	bare := strings.ToLower(strings.TrimPrefix(strings.Trim(text, "{}"), "urn:uuid:"))
	bare = strings.ReplaceAll(bare, "-", "")
	if !uuid.MatchString(bare) {
		return "", fmt.Errorf("%q is no UUID", text)
	}
	return strings.Join([]string{bare[:8], bare[8:12], bare[12:16], bare[16:20], bare[20:]}, "-"), nil
}

func token(node string) string { return strings.ReplaceAll(node, ".", "_") }

// Command is one of the three kinds.
type Command struct {
	kind, node, uid, attempt string
	generation               uint64
	notAfter                 time.Time
	present                  bool
}

func (c Command) key() string { return fmt.Sprintf("%+v", c) }

func decodeCommand(message *nats.Msg) (Command, error) {
	parts := strings.Split(message.Subject, ".")
	if len(parts) != 5 {
		return Command{}, errors.New("no subject of a command")
	}
	command := Command{kind: parts[4]}
	types := map[string]string{"drain": "DrainNode", "uncordon": "UncordonNode", "taint": "TaintNode"}
	kind, known := types[command.kind]
	if !known {
		return command, errors.New("an unknown kind")
	}
	if err := checkHeaders(message.Header, kind); err != nil {
		return command, err
	}
	body, err := parse(message.Data)
	if err != nil {
		return command, err
	}
	command.node, command.uid = body.text(1), body.text(2)
	if err := errors.Join(checkNode(command.node), checkUID(command.uid)); err != nil {
		return command, err
	}
	if token(command.node) != parts[3] {
		return command, errors.New("another node than that of the subject")
	}
	if kind == "TaintNode" {
		command.present = body.numbers[3] != 0
		command.notAfter, err = body.instant(4)
		return command, err
	}
	command.generation = body.numbers[4]
	command.attempt, err = attemptID(body.text(3))
	if err == nil && kind == "DrainNode" {
		command.notAfter, err = body.instant(5)
	}
	return command, err
}

const (
	draining    = 1
	rollingBack = 6
)

// Record is what a drainer has to know of an attempt.
type Record struct {
	node, uid, attempt string
	generation, phase  uint64
	// An operator took the cordon away after the drain: the present one is an operator's.
	cordonRemoved bool
	// The cordon takes the node out of load balancers, and no pod is evicted before this time is over.
	leavesLoadBalancers bool
	// When the phase has to be over; zero: not stated.
	deadline         time.Time
	loadBalancerWait time.Duration
}

// decodeRecord checks as much of an Attempt as the table of checked values demands.
func decodeRecord(headers nats.Header, data []byte) (Record, error) {
	if err := checkHeaders(headers, "Attempt"); err != nil {
		return Record{}, err
	}
	body, err := parse(data)
	if err != nil {
		return Record{}, err
	}
	record := Record{node: body.text(2), uid: body.text(3), generation: body.numbers[4], phase: body.numbers[5]}
	record.attempt, err = attemptID(body.text(1))
	_, since := body.instant(11)
	if err := errors.Join(err, since, checkNode(record.node), checkUID(record.uid)); err != nil {
		return record, err
	}
	if !bootID.MatchString(body.text(7)) || !trace.MatchString(body.text(21)) {
		return record, errors.New("no boot id, or no trace")
	}
	if _, record.cordonRemoved = body.body(31); record.cordonRemoved {
		if _, err := body.instant(31); err != nil {
			return record, err
		}
	}
	if _, ok := body.body(6); ok {
		if record.deadline, err = body.instant(6); err != nil {
			return record, err
		}
	}
	if terms, ok := body.body(28); ok {
		drain, err := parse(terms)
		if err != nil {
			return record, err
		}
		var seconds uint64
		seconds, record.leavesLoadBalancers = drain.numbers[6]
		record.loadBalancerWait = time.Duration(uint32(seconds)) * time.Second
	}
	if record.phase < 1 || record.phase > phases {
		return record, fmt.Errorf("the unknown phase %d", record.phase)
	}
	return record, nil
}
