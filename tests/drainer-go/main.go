// A second drainer, written from proto/README.md and proto/drainer.md alone, and simpler than Bellwether's own on purpose:
// it asks the API server once a second instead of watching it. It proves that the contract is enough to write a drainer in
// another language: `cargo xtask conformance drainer -- <this program>` passes all must-checks. No one should run it.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	source       = "drainer 0.1.0-go"
	ackWait      = 15 * time.Second
	places       = 50
	recordLost   = 60 * time.Second
	forbiddenFor = 60 * time.Second
)

// Drainer is what all commands share.
type Drainer struct {
	nc      *nats.Conn
	js      nats.JetStreamContext
	kube    *Kube
	kinds   map[string]bool
	streams atomic.Bool
	rights  atomic.Bool
	// Drains under way; each takes a place.
	drains chan struct{}

	mutex   sync.Mutex
	working map[string]bool
	// All evictions rest until then: the API server is busy.
	restUntil time.Time
}

// secret is the content of the file that a setting names, read at each connection: it is renewed while we run. Without
// the file NATS refuses us, and the next try reads it again.
func secret(setting string) string {
	content, err := os.ReadFile(os.Getenv(setting))
	if err != nil {
		log.Printf("%s: %v", setting, err)
	}
	return strings.TrimRight(string(content), "\r\n")
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	kube, err := newKube()
	if err != nil {
		log.Fatal(err)
	}
	drainer := &Drainer{
		kube: kube, kinds: daemonSetKinds(os.Getenv("BELLWETHER_DRAINER_DAEMON_SET_KINDS")),
		drains: make(chan struct{}, places), working: map[string]bool{},
	}
	go drainer.serveHealth()
	options := []nats.Option{
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(time.Second),
		nats.IgnoreAuthErrorAbort(), nats.CustomInboxPrefix("_INBOX.drainer"),
	}
	if credentials := os.Getenv("BELLWETHER_NATS_CREDENTIALS"); credentials != "" {
		options = append(options, nats.UserCredentials(credentials))
	}
	if user := os.Getenv("BELLWETHER_NATS_USER"); user != "" {
		options = append(options, nats.UserInfoHandler(func() (string, string) {
			return user, secret("BELLWETHER_NATS_PASSWORD")
		}))
	}
	if os.Getenv("BELLWETHER_NATS_TOKEN") != "" {
		options = append(options, nats.TokenHandler(func() string { return secret("BELLWETHER_NATS_TOKEN") }))
	}
	if ca := os.Getenv("BELLWETHER_NATS_CA"); ca != "" {
		options = append(options, nats.RootCAs(ca))
	}
	drainer.nc, err = nats.Connect(os.Getenv("BELLWETHER_NATS_URL"), options...)
	if err != nil {
		log.Fatal(err)
	}
	drainer.js, err = drainer.nc.JetStream(nats.MaxWait(5 * time.Second))
	if err != nil {
		log.Fatal(err)
	}
	go drainer.reviewRights(ctx)
	for ctx.Err() == nil {
		if err := drainer.setUpStreams(); err == nil {
			break
		} else {
			log.Printf("JetStream is not set up: %v", err)
		}
		pause(ctx, 2*time.Second)
	}
	drainer.streams.Store(ctx.Err() == nil)
	if err := drainer.answerQuestions(ctx); err != nil {
		log.Printf("no questions are answered: %v", err)
	}
	drainer.consume(ctx)
	drainer.nc.Flush()
	drainer.nc.Close()
}

// consume takes commands until the program stops, and waits for those under way.
func (d *Drainer) consume(ctx context.Context) {
	var workers sync.WaitGroup
	var queue *nats.Subscription
	for ctx.Err() == nil {
		if queue == nil {
			var err error
			queue, err = d.js.PullSubscribe("", consumer, nats.Bind(commandsStream, consumer))
			if err != nil {
				log.Printf("the queue of commands cannot be read: %v", err)
				pause(ctx, time.Second)
				continue
			}
		}
		messages, err := queue.Fetch(1, nats.MaxWait(5*time.Second))
		if err != nil && err != nats.ErrTimeout {
			pause(ctx, 500*time.Millisecond)
			continue
		}
		for _, message := range messages {
			if ctx.Err() != nil {
				message.Nak()
				continue
			}
			workers.Add(1)
			go func() {
				defer workers.Done()
				d.handle(ctx, message)
			}()
		}
	}
	workers.Wait()
}

// handle carries out one command and settles its message.
func (d *Drainer) handle(ctx context.Context, message *nats.Msg) {
	done := make(chan struct{})
	defer close(done)
	go func() {
		ticks := time.NewTicker(ackWait / 3)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				message.InProgress()
			case <-done:
				return
			}
		}
	}()
	command, err := decodeCommand(message)
	if err != nil {
		log.Printf("terminated, on %s: %v", message.Subject, err)
		message.Term()
		return
	}
	if !d.begin(command.key()) {
		message.NakWithDelay(10 * time.Second)
		return
	}
	defer d.end(command.key())
	if command.kind == "taint" {
		d.taint(ctx, command, message)
		return
	}
	if command.kind == "drain" {
		select {
		case d.drains <- struct{}{}:
			defer func() { <-d.drains }()
		default:
			message.NakWithDelay(2 * time.Second)
			return
		}
	}
	permit, record := d.permitWith(command)
	switch permit {
	case moved:
		message.Ack()
		return
	case older:
		if data, err := message.Metadata(); err == nil && time.Since(data.Timestamp) >= recordLost {
			message.Ack()
		} else {
			message.NakWithDelay(time.Second)
		}
		return
	case garbled, unread:
		message.NakWithDelay(5 * time.Second)
		return
	case permitted:
	}
	if command.kind == "drain" {
		// No command is signed: none lets a drain continue beyond the time of its record.
		if !record.deadline.IsZero() && record.deadline.Before(command.notAfter) {
			command.notAfter = record.deadline
		}
		if !d.rights.Load() {
			message.NakWithDelay(5 * time.Second)
			return
		}
		newDrain(d, command).run(ctx, message)
	} else {
		d.uncordon(ctx, command, message)
	}
}

func (d *Drainer) begin(key string) bool {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.working[key] {
		return false
	}
	d.working[key] = true
	return true
}

func (d *Drainer) end(key string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	delete(d.working, key)
}

// reviewRights asks the API server for this drainer's own rights again and again.
func (d *Drainer) reviewRights(ctx context.Context) {
	for ctx.Err() == nil {
		held, err := d.kube.hasRights()
		if err == nil {
			d.rights.Store(held)
		}
		if err == nil && held {
			pause(ctx, time.Minute)
		} else {
			pause(ctx, 10*time.Second)
		}
	}
}

func (d *Drainer) serveHealth() {
	http.HandleFunc("/livez", func(answer http.ResponseWriter, _ *http.Request) { answer.Write([]byte("ok\n")) })
	http.HandleFunc("/metrics", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("/readyz", func(answer http.ResponseWriter, _ *http.Request) {
		var missing []string
		if !d.streams.Load() {
			missing = append(missing, "streams StreamsNotSetUp: JetStream was not looked at yet")
		} else if !d.nc.IsConnected() {
			missing = append(missing, "nats NatsConnectionLost: NATS is not connected")
		}
		if !d.rights.Load() {
			missing = append(missing, "rights RightsMissing: rights in Kubernetes are missing, or not known yet")
		}
		if len(missing) > 0 {
			answer.WriteHeader(http.StatusServiceUnavailable)
			answer.Write([]byte(strings.Join(missing, "\n") + "\n"))
			return
		}
		answer.Write([]byte("ok\n"))
	})
	address := os.Getenv("BELLWETHER_ADMIN_ADDRESS")
	if address == "" {
		address = "0.0.0.0:8080"
	}
	log.Fatal(http.ListenAndServe(address, nil))
}

func pause(ctx context.Context, time_ time.Duration) {
	timer := time.NewTimer(time_)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
