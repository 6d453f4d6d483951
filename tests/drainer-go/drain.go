package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	settle     = 2 * time.Second
	validFor   = 30 * time.Second
	atOnce     = 10
	retryMax   = 30 * time.Second
	roundsMax  = 3
	failureEnd = 13 // the field drain_failed of NodeEvent
)

// The values of DrainFailure.
const (
	timeout       = 1
	foreignCordon = 2
	nodeGone      = 3
	forbidden     = 4
)

// Try is what is known of one pod's evictions.
type Try struct {
	next      time.Time
	delay     time.Duration
	forbidden time.Time
	blocker   string
}

// Drain is one drain under way.
type Drain struct {
	*Drainer
	command    Command
	read       time.Time
	record     Record
	cordoned   time.Time
	announced  bool
	tries      map[string]*Try
	evicted    map[string]bool
	rounds     map[string]int
	roundAt    map[string]time.Time
	old        map[string]bool
	gone       map[string]bool
	forbidden  time.Time
	progressed time.Time
	left       int
	returning  int
	staying    int
	blockers   []string
}

func newDrain(d *Drainer, command Command) *Drain {
	return &Drain{
		Drainer: d, command: command, read: time.Now(), tries: map[string]*Try{}, evicted: map[string]bool{},
		rounds: map[string]int{}, roundAt: map[string]time.Time{}, gone: map[string]bool{},
	}
}

// run goes around once a second until the node is drained, or the drain has failed or is not wanted any more.
func (d *Drain) run(ctx context.Context, message *nats.Msg) {
	for {
		if ctx.Err() != nil {
			message.Nak()
			return
		}
		permit, record := d.permitWith(d.command)
		switch permit {
		case moved:
			message.Ack()
			return
		case permitted:
			d.read, d.record = time.Now(), record
		case older, garbled, unread:
		}
		var failure uint64
		var why string
		settled := false
		if !time.Now().Before(d.command.notAfter) {
			failure, why = timeout, "not drained in time: "+strings.Join(d.blockers, "; ")
		} else if permit == permitted || permit == unread && time.Since(d.read) < validFor {
			failure, why, settled = d.round(ctx)
		}
		if failure != 0 {
			if d.event(ctx, d.command, "drain-failed", failureEnd, text(number(nil, 1, failure), 2, cut(why))) {
				message.Ack()
				return
			}
		} else if settled {
			fact := number(number(number(nil, 1, uint64(len(d.gone))), 2, uint64(d.staying)), 3, uint64(d.returning))
			if d.event(ctx, d.command, "drained", 12, fact) {
				message.Ack()
				return
			}
		}
		pause(ctx, min(time.Second, max(time.Until(d.command.notAfter), 0)))
	}
}

// round looks once at the node and its pods, and does what is due. True: the node is drained.
func (d *Drain) round(ctx context.Context) (failure uint64, why string, drained bool) {
	if failure, why = d.cordon(); failure != 0 || d.cordoned.IsZero() {
		return failure, why, false
	}
	if !d.announced {
		d.announced = d.event(ctx, d.command, "cordoned", 10, nil)
		if !d.announced {
			return 0, "", false
		}
	}
	pods, err := d.kube.pods(d.command.node)
	if err != nil {
		failure, why = d.forbid(err, &d.forbidden)
		return failure, why, false
	}
	d.forbidden = time.Time{}
	due := d.choose(pods)
	d.progress(ctx)
	if time.Since(d.cordoned) < d.record.loadBalancerWait {
		return 0, "", false
	}
	if len(due) > 0 && d.mayAct() {
		if failure, why = d.evict(due); failure != 0 {
			return failure, why, false
		}
		return 0, "", false
	}
	if d.left > 0 || time.Since(d.cordoned) < settle {
		return 0, "", false
	}
	// None has to go: the cordon and the record have to be as they were.
	node, err := d.kube.node(d.command.node)
	if err != nil || !d.ours(node) {
		return 0, "", false
	}
	return 0, "", d.mayAct()
}

// mayAct reads the record again.
func (d *Drain) mayAct() bool { return d.permit(d.command) == permitted }

func (d *Drain) ours(node *Node) bool {
	return node != nil && node.Meta.UID == d.command.uid && node.Meta.Deletion == nil && node.Spec.Unschedulable &&
		node.Meta.Annotations[mark] == d.command.attempt
}

// cordon makes sure that the node carries the attempt's cordon.
func (d *Drain) cordon() (failure uint64, why string) {
	node, err := d.kube.node(d.command.node)
	if err != nil {
		return d.forbid(err, &d.forbidden)
	}
	if node == nil || node.Meta.UID != d.command.uid || node.Meta.Deletion != nil {
		return nodeGone, "the Node object is gone, or another one"
	}
	if d.ours(node) {
		if d.cordoned.IsZero() {
			d.cordoned = time.Now()
		}
		return 0, ""
	}
	if node.Spec.Unschedulable {
		return foreignCordon, "the node carries a foreign cordon"
	}
	d.cordoned = time.Time{}
	if !d.mayAct() {
		return 0, ""
	}
	annotations, labels := map[string]any{mark: d.command.attempt}, map[string]any(nil)
	if _, there := node.Meta.Labels[outOfLoadBalancers]; d.record.leavesLoadBalancers && !there {
		labels = map[string]any{outOfLoadBalancers: "true"}
		listed := strings.Split(node.Meta.Annotations[guardedBy], ",")
		annotations[guardedBy] = strings.Trim(strings.Join(append(listed, outOfLoadBalancers), ","), ",")
	}
	err = d.kube.patchNode(node, annotations, labels, map[string]any{"unschedulable": true})
	if err != nil {
		return d.forbid(err, &d.forbidden)
	}
	d.forbidden = time.Time{}
	d.cordoned = time.Now()
	d.old, d.rounds = nil, map[string]int{}
	return 0, ""
}

// forbid judges an error: a right is missing once the answer was 403 for a minute.
func (d *Drain) forbid(err error, since *time.Time) (failure uint64, why string) {
	if code(err) != 403 {
		*since = time.Time{}
		return 0, ""
	}
	if since.IsZero() {
		*since = time.Now()
	}
	if time.Since(*since) >= forbiddenFor {
		return forbidden, err.Error()
	}
	return 0, ""
}

// choose counts the pods and returns those whose eviction is due.
func (d *Drain) choose(pods []Pod) []Pod {
	first := d.old == nil
	if first {
		d.old = map[string]bool{}
	}
	now := time.Now()
	here := map[string]bool{}
	var due []Pod
	d.left, d.staying, d.returning, d.blockers = 0, 0, 0, nil
	returned := map[string][]Pod{}
	consider := func(pod Pod) {
		d.left++
		try := d.tries[pod.Meta.UID]
		if try == nil {
			try = &Try{}
			d.tries[pod.Meta.UID] = try
		}
		if try.blocker != "" {
			d.blockers = append(d.blockers, pod.Meta.Namespace+"/"+pod.Meta.Name+": "+try.blocker)
		}
		if len(due) < atOnce && !now.Before(try.next) {
			due = append(due, pod)
		}
	}
	for _, pod := range pods {
		uid := pod.Meta.UID
		here[uid] = true
		if first {
			d.old[uid] = true
		}
		switch classify(pod, d.kinds) {
		case stays:
			d.staying++
		case ends:
			d.left++
			d.blockers = append(d.blockers, pod.Meta.Namespace+"/"+pod.Meta.Name+" ends")
		case goes:
			if d.old[uid] || !d.evicted[origin(pod)] || d.tries[uid] != nil {
				consider(pod)
			} else {
				returned[origin(pod)] = append(returned[origin(pod)], pod)
			}
		}
	}
	pauses := []time.Duration{0, 5 * time.Second, 15 * time.Second}
	for owner, pods := range returned {
		round := d.rounds[owner]
		switch {
		case round >= roundsMax:
			d.returning += len(pods)
			d.staying += len(pods)
		case now.Sub(d.roundAt[owner]) < pauses[round]:
			d.left += len(pods)
		default:
			d.rounds[owner]++
			d.roundAt[owner] = now
			for _, pod := range pods {
				consider(pod)
			}
		}
	}
	for uid := range d.tries {
		if !here[uid] {
			d.gone[uid] = true
		}
	}
	return due
}

// evict asks for all of these evictions at once, and waits for the answers.
func (d *Drain) evict(pods []Pod) (failure uint64, why string) {
	d.mutex.Lock()
	rests := time.Now().Before(d.restUntil)
	d.mutex.Unlock()
	if rests {
		return 0, ""
	}
	answers := make([]error, len(pods))
	var all sync.WaitGroup
	for index, pod := range pods {
		all.Add(1)
		go func() {
			defer all.Done()
			answers[index] = d.kube.evict(pod)
		}()
	}
	all.Wait()
	for index, pod := range pods {
		if failure, why := d.judge(pod, answers[index]); failure != 0 {
			return failure, why
		}
	}
	return 0, ""
}

// judge applies the table of answers to an eviction; the first row that fits counts.
func (d *Drain) judge(pod Pod, err error) (failure uint64, why string) {
	try := d.tries[pod.Meta.UID]
	since := try.forbidden
	try.forbidden = time.Time{}
	if err == nil {
		d.evicted[origin(pod)] = true
		*try = Try{next: time.Now().Add(30 * time.Second)}
		return 0, ""
	}
	try.blocker = cut(err.Error())
	status, _ := err.(Status)
	denied := strings.HasPrefix(status.Message, `admission webhook "`) || strings.Contains(status.Message, " denied request: ")
	again := func(first time.Duration) {
		try.delay = min(max(2*try.delay, first), retryMax)
		try.next = time.Now().Add(try.delay)
	}
	switch {
	case denied:
		again(5 * time.Second)
	case status.Code == 404:
		again(5 * time.Second)
	case status.Code == 409:
		try.next = time.Now().Add(time.Second)
	case status.Code == 429 && status.cause("DisruptionBudget"):
		again(5 * time.Second)
	case status.Code == 429:
		d.mutex.Lock()
		d.restUntil = time.Now().Add(time.Duration(max(status.Details.RetryAfter, 1)) * time.Second)
		d.mutex.Unlock()
	case status.Code == 403 && status.cause("NamespaceTerminating"):
		try.next = time.Now().Add(10 * time.Second)
	case status.Code == 403 && strings.Contains(status.Message, "poddisruptionbudgets"):
		again(5 * time.Second)
	case status.Code == 403:
		again(time.Second)
		try.forbidden = since
		return d.forbid(err, &try.forbidden)
	default:
		again(time.Second)
	}
	return 0, ""
}

// progress publishes how far the drain is, every few seconds.
func (d *Drain) progress(ctx context.Context) {
	if d.left == 0 || time.Since(d.progressed) < 5*time.Second {
		return
	}
	d.progressed = time.Now()
	fact := number(number(nil, 1, uint64(d.left)), 2, uint64(len(d.gone)))
	for index, blocker := range d.blockers {
		if index == 19 && len(d.blockers) > 20 {
			fact = text(fact, 3, fmt.Sprintf("… and %d more", len(d.blockers)-19))
			break
		}
		fact = text(fact, 3, cut(blocker))
	}
	d.event(ctx, d.command, "drain-progressed", 11, fact)
}

// cut keeps texts for operators within the limits of the contract.
func cut(text string) string {
	const most = 1000
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
