package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	consumer       = "drainers"
	attemptsStream = "KV_bellwether_attempts"
	commandsStream = "BELLWETHER_COMMANDS"
	day            = 24 * time.Hour
	// The last value of Phase that this drainer knows.
	phases = 9
)

// setUpStreams creates what is missing, and verifies what is there.
func (d *Drainer) setUpStreams() error {
	replicas, err := strconv.Atoi(os.Getenv("BELLWETHER_STREAM_REPLICAS"))
	if err != nil {
		replicas = 1
	}
	stream := func(name, subject string, perSubject int64, age time.Duration) *nats.StreamConfig {
		return &nats.StreamConfig{
			Name: name, Subjects: []string{subject}, MaxMsgsPerSubject: perSubject, MaxAge: age, MaxBytes: -1, MaxMsgs: -1,
			Storage: nats.FileStorage, Discard: nats.DiscardOld, AllowDirect: true, Duplicates: 2 * time.Minute,
			Replicas: replicas, AllowRollup: name == attemptsStream,
		}
	}
	hosts := stream("KV_bellwether_hosts", "$KV.bellwether_hosts.>", 1, day)
	attempts := stream(attemptsStream, "$KV.bellwether_attempts.>", 16, 0)
	commands := stream(commandsStream, "bellwether.v1.cmd.*.*", 1, day)
	commands.Retention = nats.WorkQueuePolicy
	events := stream("BELLWETHER_EVENTS", "bellwether.v1.evt.*.*", 256, 30*day)
	events.MaxBytes = 512 << 20
	manages := os.Getenv("BELLWETHER_MANAGE_STREAMS") != "false"
	for _, wanted := range []*nats.StreamConfig{hosts, attempts, commands, events} {
		info, err := d.js.StreamInfo(wanted.Name)
		if err == nats.ErrStreamNotFound && manages {
			info, err = d.js.AddStream(wanted)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", wanted.Name, err)
		}
		found := info.Config
		if len(found.Subjects) != 1 || found.Subjects[0] != wanted.Subjects[0] || found.Retention != wanted.Retention ||
			found.Discard != wanted.Discard || !found.AllowDirect || found.MaxMsgsPerSubject != wanted.MaxMsgsPerSubject {
			return fmt.Errorf("%s differs from the contract", wanted.Name)
		}
	}
	_, err = d.js.ConsumerInfo(commandsStream, consumer)
	if err == nats.ErrConsumerNotFound && manages {
		_, err = d.js.AddConsumer(commandsStream, &nats.ConsumerConfig{
			Durable: consumer, AckPolicy: nats.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: 1000, MaxDeliver: -1,
		})
	}
	return err
}

// Permit is what the record says about a command now.
type Permit int

const (
	permitted Permit = iota
	// Another attempt, UID or phase, or a higher generation: for good.
	moved
	// No record, or one of a lower generation.
	older
	// It cannot be decoded.
	garbled
	// It cannot be read.
	unread
)

// permit reads the record from the leader of its stream.
func (d *Drainer) permit(command Command) Permit {
	permit, _ := d.permitWith(command)
	return permit
}

// permitWith returns the record too, which counts only if it permits the command.
func (d *Drainer) permitWith(command Command) (Permit, Record) {
	query, _ := json.Marshal(map[string]string{"last_by_subj": "$KV.bellwether_attempts." + token(command.node)})
	answer, err := d.nc.Request("$JS.API.STREAM.MSG.GET."+attemptsStream, query, 4*time.Second)
	if err != nil {
		return unread, Record{}
	}
	var found struct {
		Error *struct {
			Code int `json:"code"`
		} `json:"error"`
		Message struct {
			Subject string `json:"subject"`
			Seq     uint64 `json:"seq"`
			Headers string `json:"hdrs"`
			Data    string `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &found); err != nil {
		return unread, Record{}
	}
	if found.Error != nil {
		if found.Error.Code == 404 {
			return older, Record{}
		}
		return unread, Record{}
	}
	data, err := base64.StdEncoding.DecodeString(found.Message.Data)
	if err != nil {
		return unread, Record{}
	}
	headers := decodeHeaders(found.Message.Headers)
	if operation := headers.Get("KV-Operation"); operation != "" && operation != "PUT" {
		return older, Record{}
	}
	keys, err := recordKeys()
	if err != nil {
		log.Printf("the keys of records: %v", err)
	}
	if code := verify(found.Message.Subject, found.Message.Seq, headers, data, keys); code != "" {
		log.Printf("the record of %s is not trusted: %s", command.node, code)
		return garbled, Record{}
	}
	record, err := decodeRecord(headers, data)
	if err != nil || record.node != command.node {
		return garbled, Record{}
	}
	if record.generation < command.generation {
		return older, Record{}
	}
	fits := record.phase == draining
	if command.kind == "uncordon" {
		fits = record.phase == 4 || record.phase == rollingBack || record.phase == 8
	}
	if fits && record.attempt == command.attempt && record.uid == command.uid && record.generation == command.generation {
		return permitted, record
	}
	return moved, Record{}
}

// decodeHeaders reads the headers of a stored message. Their names are case-sensitive.
func decodeHeaders(encoded string) nats.Header {
	headers := nats.Header{}
	block, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return headers
	}
	reader := textproto.NewReader(bufio.NewReader(strings.NewReader(string(block))))
	for {
		line, err := reader.ReadLine()
		if err != nil || line == "" {
			return headers
		}
		if name, value, found := strings.Cut(line, ":"); found {
			headers.Add(name, strings.TrimSpace(value))
		}
	}
}

// event publishes a fact about the command until it is stored; false if the record permits the command no more, or the
// program stops. `field` is the fact's number in NodeEvent.
func (d *Drainer) event(ctx context.Context, command Command, kind string, field int, fact []byte) bool {
	body := number(text(text(nil, 1, command.node), 2, command.attempt), 3, command.generation)
	body = bytes(text(bytes(body, 4, stamp(time.Now())), 5, source), field, fact)
	message := nats.NewMsg("bellwether.v1.evt." + token(command.node) + "." + kind)
	message.Data = body
	message.Header.Set("Bellwether-Type", "bellwether.v1.NodeEvent")
	message.Header.Set("Bellwether-Schema", "1.0")
	message.Header.Set("content-type", "application/protobuf")
	if kind != "drain-progressed" && kind != "uncordon-failed" {
		message.Header.Set("Nats-Msg-Id", fmt.Sprintf("%s:%d:%s:%s", command.attempt, command.generation, kind, rand.Text()))
	}
	for {
		if _, err := d.js.PublishMsg(message); err == nil {
			return true
		}
		pause(ctx, time.Second)
		if ctx.Err() != nil || kind == "drain-progressed" || d.permit(command) == moved {
			return false
		}
	}
}
